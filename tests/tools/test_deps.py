"""tools/deps in a made-up system: a PATH of stubs, and a folder in place of /usr."""
import os
import pathlib
import pty
import shutil
import stat
import subprocess
import tempfile
import unittest

DEPS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "deps"

# What the script itself needs of the real system.
REAL = "sh dirname sed env cp cmp cat grep".split()

BUILD_PROGRAMS = "make cc pkg-config".split()
BUILD_HEADERS = ("stdlib.h ev.h cjson/cJSON.h curl/curl.h lmdb.h hiredis/hiredis.h "
                 "liburing.h openssl/evp.h").split()
TEST_PROGRAMS = ("clang valgrind gcovr python3 curl openssl promtool slowhttptest nginx haproxy "
                 "caddy redis-server systemd-analyze dh lintian man groff node npm "
                 "chromium").split()
TEST_HEADERS = ["cmocka.h"]

BUILD_PACKAGES = ("make gcc libc6-dev pkg-config libev-dev libcjson-dev libcurl4-openssl-dev "
                  "liblmdb-dev libhiredis-dev liburing-dev libssl-dev libjs-chart.js").split()
TEST_PACKAGES = ("libcmocka-dev clang valgrind gcovr python3 python3-yaml python3-jsonschema "
                 "curl openssl prometheus slowhttptest nginx haproxy caddy redis-server systemd "
                 "debhelper "
                 "build-essential lintian "
                 "man-db groff-base nodejs npm").split()

LOGGED = 'echo "${0##*/} $*" >>"$LOG"\n'

STUBS = {
    "apt-get": LOGGED + 'echo "frontend ${DEBIAN_FRONTEND:-}" >>"$LOG"\n',
    # `show` knows the packages of this system; `depends clang` is as apt prints it.
    "apt-cache": LOGGED + """case $1 in
show) grep -qx "$2" "$HOME/packages" || { echo "E: No packages found" >&2; exit 100; } ;;
depends) cat "$HOME/depends" ;;
esac
""",
    "sudo": LOGGED + '[ "$1" != -n ] || shift\nexec "$@"\n',
    "id": '[ "$*" = -u ] && echo "$FAKE_UID"\n',
    "uname": "echo x86_64\n",
    "pkg-config": '[ "$*" = "--exists libllhttp >= 9" ] && [ -e "$HOME/has-libllhttp" ]\n',
    # As the real one: the path of a file that is there, else the name itself.
    "clang": """name=${1#-print-file-name=}
if [ -e "$HOME/$name" ]; then echo "$HOME/$name"; else echo "$name"; fi
""",
    # `python3 -c "from MODULE import NAME"`
    "python3": '[ "$1" = -c ] && [ -e "$HOME/modules/$2" ]\n',
    "npm": LOGGED + "mkdir -p node_modules\n",
}
MODULES = ("from yaml import SafeLoader", "from jsonschema import Draft202012Validator")

DEBIAN_12 = {"packages": "node-llhttp chromium", "clang": 14, "llhttp": "node-llhttp"}
# Debian 13 has llhttp as a library, too; Ubuntu 24.04 has no chromium but the browser's snap.
DEBIAN_13 = {"packages": "libllhttp-dev node-llhttp chromium", "clang": 19,
             "llhttp": "libllhttp-dev"}
UBUNTU_24 = {"packages": "node-llhttp chromium-browser", "clang": 18, "llhttp": "node-llhttp"}


class Deps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = pathlib.Path(folder.name)
        self.bin = self.home / "bin"
        self.log = self.home / "log"
        self.log.touch()
        self.bin.mkdir()
        for name in (*REAL, "mkdir"):
            (self.bin / name).symlink_to(shutil.which(name))
        for name in ("apt-get", "apt-cache", "sudo", "id", "uname"):
            self.add_program(name)
        self.tree = self.home / "tree"
        (self.tree / "tools").mkdir(parents=True)
        shutil.copy(DEPS, self.tree / "tools" / "deps")
        (self.tree / "tests" / "browser").mkdir(parents=True)
        (self.tree / "tests" / "browser" / "package-lock.json").write_text("{}")
        self.have_system(DEBIAN_12)
        self.uid = 0

    # -- the made-up system --

    def add_program(self, name):
        path = self.bin / name
        path.write_text("#!/bin/sh\n" + STUBS.get(name, "exit 99\n"))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def add_file(self, name):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def have_system(self, system):
        (self.home / "packages").write_text("\n".join(system["packages"].split()) + "\n")
        (self.home / "depends").write_text(f"clang\n  Depends: clang-{system['clang']}\n"
                                           "  Suggests: clang-doc\n")

    def have_build(self):
        for name in BUILD_PROGRAMS:
            self.add_program(name)
        for name in BUILD_HEADERS:
            self.add_file(f"usr/include/{name}")
        self.add_file("usr/share/llhttp/llhttp.c")
        self.add_file("usr/share/javascript/chart.js/chart.min.js")

    def have_test(self):
        for name in TEST_PROGRAMS:
            self.add_program(name)
        for name in TEST_HEADERS:
            self.add_file(f"usr/include/{name}")
        self.add_file("libclang_rt.fuzzer-x86_64.a")
        self.add_file("usr/share/doc/build-essential")
        for line in MODULES:
            self.add_file(f"modules/{line}")

    # -- running --

    def environment(self, **more):
        return {"PATH": str(self.bin), "HOME": str(self.home), "DEPS_ROOT": str(self.home),
                "LOG": str(self.log), "FAKE_UID": str(self.uid)} | more

    def run_deps(self, *arguments, **env):
        """Without a terminal. (status, stdout, stderr)"""
        done = subprocess.run([self.tree / "tools" / "deps", *arguments], text=True, timeout=60,
                              capture_output=True, check=False, stdin=subprocess.DEVNULL,
                              env=self.environment(**env))
        return done.returncode, done.stdout, done.stderr

    def answer(self, typed, *arguments, **env):
        """On a terminal on which that is typed."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        with subprocess.Popen([self.tree / "tools" / "deps", *arguments], text=True, stdin=slave,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment(**env)) as child:
            os.close(slave)
            os.write(master, typed)
            out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    def calls(self, *programs):
        """What the stubs of these names were called with, in order."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if line.split(" ")[0] in (programs or STUBS)]

    def installed(self):
        """The packages of the one `apt-get install`, which follows `apt-get update`."""
        update, install = self.calls("apt-get")
        self.assertEqual(update, "apt-get -q -o DPkg::Lock::Timeout=300 update")
        head, _, packages = install.partition(" --no-install-recommends ")
        self.assertEqual(head, "apt-get -q -o DPkg::Lock::Timeout=300 install -y")
        self.assertEqual(self.log.read_text().count("frontend noninteractive\n"), 2)
        return packages.split()

    def assert_untouched(self):
        self.assertEqual(self.calls("apt-get", "apt-cache", "sudo"), [])


class Nothing(Deps):
    def test_when_all_is_there_nothing_is_asked_of_apt(self):
        self.have_build()
        self.have_test()
        for uid in (0, 1000):
            self.uid = uid
            self.assertEqual(self.run_deps("build"), (0, "", ""))
            self.assertEqual(self.run_deps("build", "test"), (0, "", ""))
        self.assert_untouched()

    def test_libllhttp_by_pkg_config_is_as_good_as_its_sources(self):
        self.have_build()
        (self.home / "usr/share/llhttp/llhttp.c").unlink()
        self.add_file("has-libllhttp")
        self.assertEqual(self.run_deps("build"), (0, "", ""))
        self.assert_untouched()

    def test_headers_of_an_architectures_own_folder_and_of_usr_local_count(self):
        self.have_build()
        for name, folder in (("ev.h", "usr/local/include"),
                             ("curl/curl.h", "usr/include/x86_64-linux-gnu")):
            (self.home / "usr/include" / name).unlink()
            self.add_file(f"{folder}/{name}")
        self.assertEqual(self.run_deps("build"), (0, "", ""))

    def test_any_chromium_will_do(self):
        self.have_build()
        self.have_test()
        (self.bin / "chromium").unlink()
        for name in ("chromium-browser", "google-chrome"):
            self.add_program(name)
            self.assertEqual(self.run_deps("build", "test"), (0, "", ""))
            (self.bin / name).unlink()
        self.assert_untouched()


class Missing(Deps):
    def test_an_empty_system_gets_all_that_the_build_needs(self):
        status, out, err = self.run_deps("build")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.installed(), [*BUILD_PACKAGES, "node-llhttp"])
        self.assertEqual(out, "deps: installing " + " ".join(BUILD_PACKAGES) + " llhttp\n")

    def test_each_thing_that_is_missing_alone_is_installed_alone(self):
        self.have_build()
        self.have_test()
        for path, package in (
                ("bin/make", "make"), ("bin/cc", "gcc"), ("usr/include/stdlib.h", "libc6-dev"),
                ("usr/include/ev.h", "libev-dev"), ("usr/include/cjson/cJSON.h", "libcjson-dev"),
                ("usr/include/curl/curl.h", "libcurl4-openssl-dev"),
                ("usr/include/lmdb.h", "liblmdb-dev"),
                ("usr/include/hiredis/hiredis.h", "libhiredis-dev"),
                ("usr/include/liburing.h", "liburing-dev"),
                ("usr/share/llhttp/llhttp.c", "node-llhttp"),
                ("usr/share/javascript/chart.js/chart.min.js", "libjs-chart.js"),
                ("bin/pkg-config", "pkg-config"),
                ("usr/include/cmocka.h", "libcmocka-dev"), ("bin/valgrind", "valgrind"),
                ("libclang_rt.fuzzer-x86_64.a", "libclang-rt-14-dev"), ("bin/gcovr", "gcovr"),
                (f"modules/{MODULES[0]}", "python3-yaml"),
                (f"modules/{MODULES[1]}", "python3-jsonschema"), ("bin/curl", "curl"),
                ("bin/openssl", "openssl"), ("bin/redis-server", "redis-server"),
                ("bin/node", "nodejs"), ("bin/chromium", "chromium")):
            with self.subTest(package):
                aside = (self.home / path).rename(self.home / "aside")
                self.log.write_text("")
                self.assertEqual(self.run_deps("build", "test")[0], 0)
                self.assertEqual(self.installed(), [package])
                aside.rename(self.home / path)

    def test_counting_instructions_needs_little_besides(self):
        self.have_build()
        self.assertEqual(self.run_deps("build", "guard")[0], 0)
        self.assertEqual(self.installed(), ["valgrind", "python3"])

    def test_a_usage_error_installs_nothing(self):
        status, out, err = self.run_deps("everything")
        usage = "usage: tools/deps build [test] [guard] [bench] [million] [deb]\n"
        self.assertEqual((status, out, err), (2, "", usage))
        self.assert_untouched()

    def test_without_apt_the_missing_are_named(self):
        (self.bin / "apt-get").unlink()
        status, _, err = self.run_deps("build")
        self.assertEqual(status, 1)
        self.assertEqual(err, "deps: missing: " + " ".join(BUILD_PACKAGES) +
                         " llhttp; this system has no apt-get: install their like\n")

    def test_a_failed_install_fails(self):
        (self.bin / "apt-get").write_text('#!/bin/sh\ncase $* in *install*) exit 100 ;; esac\n')
        self.assertNotEqual(self.run_deps("build")[0], 0)


class Systems(Deps):
    def test_the_names_of_each_system_are_chosen(self):
        for system, chromium in ((DEBIAN_12, "chromium"), (DEBIAN_13, "chromium"),
                                 (UBUNTU_24, "chromium-browser")):
            with self.subTest(system):
                self.have_system(system)
                self.log.write_text("")
                # npm comes with the packages, so here it is found missing at last.
                self.run_deps("build", "test")
                self.assertEqual(self.installed(),
                                 [*BUILD_PACKAGES, system["llhttp"], *TEST_PACKAGES[:2],
                                  f"libclang-rt-{system['clang']}-dev", *TEST_PACKAGES[2:],
                                  chromium])

    def test_the_names_are_asked_for_once_the_lists_are_fresh(self):
        self.run_deps("build")
        calls = self.calls("apt-get", "apt-cache")
        self.assertEqual([call.split()[-1] for call in calls[:2]], ["update", "libllhttp-dev"])
        self.assertIn("install", calls[2])


class OtherSets(Deps):
    """What measuring needs besides the build."""

    def test_an_empty_system_gets_nchan_to_be_compared_with(self):
        self.have_build()
        self.assertEqual(self.run_deps("build", "bench")[0], 0)
        self.assertEqual(self.installed(),
                         ["python3", "util-linux", "nginx", "libnginx-mod-nchan"])

    def test_nginx_need_not_be_in_the_path(self):
        self.have_build()
        for name in ("python3", "taskset"):
            self.add_program(name)
        for name in ("usr/sbin/nginx", "usr/lib/nginx/modules/ngx_nchan_module.so"):
            self.add_file(name)
        self.assertEqual(self.run_deps("build", "bench"), (0, "", ""))
        self.assert_untouched()

    def test_a_million_streams_need_a_guest(self):
        self.have_build()
        self.add_program("python3")
        self.assertEqual(self.run_deps("build", "million")[0], 0)
        self.assertEqual(self.installed(), ["user-mode-linux"])


class Asking(Deps):
    sudo = "sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "

    def setUp(self):
        super().setUp()
        self.have_build()
        (self.home / "usr/include/ev.h").unlink()
        (self.home / "usr/share/llhttp/llhttp.c").unlink()

    def test_root_is_not_asked_and_needs_no_sudo(self):
        (self.bin / "sudo").unlink()
        for way in (self.run_deps, lambda *arguments: self.answer(b"n\n", *arguments)):
            self.assertEqual(way("build"), (0, "deps: installing libev-dev llhttp\n", ""))
            self.assertEqual(self.installed(), ["libev-dev", "node-llhttp"])
            self.log.write_text("")

    def test_on_a_terminal_yes_and_enter_install_with_sudo(self):
        self.uid = 1000
        for typed in (b"\n", b"y\n", b"Y\n", b"yes\n"):
            with self.subTest(typed):
                self.log.write_text("")
                status, out, err = self.answer(typed, "build")
                self.assertEqual((status, err), (0, ""))
                self.assertEqual(out, "deps: missing: libev-dev llhttp. Install with sudo apt-get? "
                                      "[Y/n] deps: installing libev-dev llhttp\n")
                self.assertEqual(self.installed(), ["libev-dev", "node-llhttp"])
                self.assertEqual(self.calls("sudo")[0], self.sudo + "update")
                self.assertEqual(len(self.calls("sudo")), 2)

    def test_on_a_terminal_no_and_an_end_of_file_install_nothing(self):
        self.uid = 1000
        for typed in (b"n\n", b"N\n", b"no\n", b"what?\n", b"\x04"):
            with self.subTest(typed):
                status, out, _ = self.answer(typed, "build")
                self.assertEqual(status, 1)
                self.assertIn("[Y/n]", out)
                self.assert_untouched()

    def test_without_a_terminal_it_refuses_and_says_what_to_do(self):
        self.uid = 1000
        self.assertEqual(self.run_deps("build"),
                         (1, "", "deps: missing: libev-dev llhttp; not root and no terminal to ask "
                                 "on: run as root or with CI=true\n"))
        self.assert_untouched()

    def test_ci_never_asks(self):
        self.uid = 1000
        for way in (self.run_deps,
                    lambda *arguments, **env: self.answer(b"n\n", *arguments, **env)):
            self.assertEqual(way("build", CI="true"),
                             (0, "deps: installing libev-dev llhttp\n", ""))
            self.assertEqual(self.installed(), ["libev-dev", "node-llhttp"])
            self.assertEqual(self.calls("sudo")[0],
                             self.sudo.replace("sudo", "sudo -n", 1) + "update")
            self.log.write_text("")

    def test_an_empty_ci_is_none(self):
        self.uid = 1000
        self.assertEqual(self.run_deps("build", CI="")[0], 1)
        self.assert_untouched()

    def test_neither_root_nor_sudo(self):
        self.uid = 1000
        (self.bin / "sudo").unlink()
        for env in ({}, {"CI": "true"}):
            self.assertEqual(self.run_deps("build", **env),
                             (1, "", "deps: missing: libev-dev llhttp; neither root nor sudo\n"))
        self.assert_untouched()


class Npm(Deps):
    def setUp(self):
        super().setUp()
        self.have_build()
        self.have_test()

    def test_the_browser_tests_modules_are_installed_once(self):
        self.assertEqual(self.run_deps("build")[0], 0)
        self.assertEqual(self.calls("npm"), [])
        for _ in range(2):
            self.assertEqual(self.run_deps("build", "test")[0], 0)
        self.assertEqual(self.calls("npm"), ["npm ci --no-audit --no-fund --loglevel=error"])

    def test_and_again_after_the_lock_file_has_changed(self):
        self.run_deps("build", "test")
        (self.tree / "tests" / "browser" / "package-lock.json").write_text('{"changed":1}')
        self.run_deps("build", "test")
        self.assertEqual(len(self.calls("npm")), 2)

    def test_a_failed_npm_fails_and_is_tried_again(self):
        (self.bin / "npm").write_text("#!/bin/sh\nexit 1\n")
        self.assertNotEqual(self.run_deps("build", "test")[0], 0)
        self.add_program("npm")
        self.assertEqual(self.run_deps("build", "test")[0], 0)
        self.assertEqual(len(self.calls("npm")), 1)


if __name__ == "__main__":
    unittest.main()
