"""The units, judged by systemd's own tools; and the daemon under what they forbid."""
import os
import pathlib
import re
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, DEADLINE, ROOT, Daemon, Http, OneDaemonATest, main, wait_for  # noqa: E402

MOST_EXPOSURE = 15  # tenths
UNIT = ROOT / "deploy" / "sse-notify.service"
CONFINED = ROOT / "tests" / "deploy" / "confined"
MAKE = ("make", "-s", "-C", ROOT, f"BUILD={pathlib.Path(BIN).parent}")


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **more)
    return done.returncode, done.stdout


class Units(OneDaemonATest):
    def test_as_installed_they_have_no_fault(self):
        folder = pathlib.Path(self.scratch())
        status, output = run(*MAKE, "install", f"DESTDIR={folder}", "PREFIX=/usr")
        self.assertEqual(status, 0, output)
        units = folder / "usr" / "lib" / "systemd" / "system"
        for unit in units.iterdir():  # the program is not where it will be
            unit.write_text(unit.read_text().replace("/usr/bin/sse-notify",
                                                     f"{folder}/usr/bin/sse-notify"))
        status, output = run("systemd-analyze", "verify", *units.iterdir(), env=os.environ | {
            "MANPATH": f"{folder}/usr/share/man"})
        self.assertEqual((status, output), (0, ""))
        status, output = run("systemd-sysusers", "--dry-run", f"--root={folder}", "sse-notify.conf")
        self.assertEqual(status, 0, output)
        self.assertIn("sse-notify", output)

    def test_another_prefix_is_the_programs_place_in_them(self):
        folder = self.scratch()
        run(*MAKE, "install", f"DESTDIR={folder}", "PREFIX=/opt/x")
        text = pathlib.Path(f"{folder}/opt/x/lib/systemd/system/sse-notify.service").read_text()
        self.assertEqual(re.findall("^Exec.*=(/[a-z/-]*)", text, re.M),
                         ["/opt/x/bin/sse-notify"] * 2 + ["/bin/kill"])
        status, output = run(*MAKE, "uninstall", f"DESTDIR={folder}", "PREFIX=/opt/x")
        self.assertEqual(status, 0, output)
        left = [p for p in pathlib.Path(folder).rglob("*") if p.is_file()]
        self.assertEqual(left, [pathlib.Path(folder) / "etc" / "sse-notify" / "sse-notify.conf"])

    def test_what_the_service_could_do_is_little(self):
        status, output = run("systemd-analyze", "security", "--offline=yes", "--no-pager",
                             f"--threshold={MOST_EXPOSURE}", UNIT)
        self.assertEqual(status, 0, output)
        self.assertIn("Overall exposure level", output)


class Confined(OneDaemonATest):
    """Under the unit's seccomp filter, without capabilities."""

    def test_it_forbids_what_the_unit_forbids(self):
        for code in ("os.sched_setaffinity(0, {0})", "os.chroot('/')",
                     "os.chown('/dev/null', 1, 1)",
                     "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"):
            status, output = run(CONFINED, UNIT, sys.executable, "-c", f"import os,socket; {code}")
            self.assertEqual(status, 1)
            self.assertIn("PermissionError", output, code)

    def test_a_thread_may_still_let_others_go_first(self):
        status, output = run(CONFINED, UNIT, sys.executable, "-c",
                             "import os; os.setpriority(os.PRIO_PROCESS, 0, 19)")
        self.assertEqual(status, 0, output)

    def test_the_daemon_works(self):
        env = os.environ | {"SSE_NOTIFY_WRAP": f"{CONFINED} {UNIT}", "PYTHONDONTWRITEBYTECODE": "1"}
        for name in ("test_publish.py", "test_reload.py"):
            status, output = run(sys.executable, name, env=env,
                                 cwd=ROOT / "tests" / "integration")
            self.assertEqual(status, 0, output)


class Activation(OneDaemonATest):
    def test_systemd_hands_a_socket_over(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        daemon = Daemon("journal.type=memory", start=False)
        command = [*daemon.command(), "-o", f"listener.default.address=127.0.0.1:{port}"]
        process = subprocess.Popen(
            ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", "--fdname=default",
             *(f"--setenv={name}" for name in ("STATE_DIRECTORY", "HOME") if name in daemon.env),
             *command], env=daemon.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.terminate)

        def answers():
            try:
                with Http(port) as http:
                    http.send_request("GET", "/healthz")
                    return http.read_response().status == 200
            except ConnectionRefusedError:
                return False
        wait_for(answers, "an answer")


if __name__ == "__main__":
    main()
