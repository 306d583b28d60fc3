"""The Debian package: built, looked at by lintian, and its life on a machine."""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, ROOT, OneDaemonATest, main  # noqa: E402

HERE = ROOT / "tests" / "deploy"
CANNOT = 77


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
                          cwd=ROOT, **more)
    return done.returncode, done.stdout


class Package(OneDaemonATest):
    @classmethod
    def setUpClass(cls):
        status, output = run("make", "deb", f"DEB_OBJECTS={pathlib.Path(BIN).parent}",
                             env=os.environ | {"DEB_BUILD_OPTIONS": "noautodbgsym",
                                               "MAKEFLAGS": ""})
        if status != 0:
            raise AssertionError(output[-5000:])
        cls.changes, = (ROOT / "build" / "deb").glob("*.changes")
        cls.deb, = (p for p in (ROOT / "build" / "deb").glob("sse-notify_*.deb"))

    def test_lintian_has_nothing_to_say(self):
        status, output = run("lintian", "--allow-root", "--fail-on=error,warning", self.changes)
        said = [line for line in output.splitlines() if re.match("[EW]:", line)]
        self.assertEqual((status, said), (0, []))

    def test_its_version_is_the_programs(self):
        _, version = run("dpkg-deb", "--field", self.deb, "Version")
        self.assertEqual(version.strip(), run(BIN, "version")[1].split()[1])

    def later(self):
        """The same package with a later version."""
        folder = pathlib.Path(self.scratch())
        run("dpkg-deb", "--raw-extract", self.deb, folder / "tree")
        control = folder / "tree" / "DEBIAN" / "control"
        control.write_text(re.sub("^Version: (.*)", r"Version: \1+later", control.read_text(),
                                  flags=re.M))
        status, output = run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build",
                             folder / "tree", folder / "later.deb")
        self.assertEqual(status, 0, output)
        return folder / "later.deb"

    def test_it_installs_starts_upgrades_and_purges(self):
        status, output = run(HERE / "in-overlay", HERE / "package-life", self.deb, self.later())
        if status == CANNOT:
            self.skipTest("there is no overlay to be had here")
        self.assertEqual(status, 0, output)


if __name__ == "__main__":
    main()
