"""The configuration as its writer meets it: check-config, the three ways in, refusals to start."""
import os
import pathlib
import tempfile
import unittest

from harness import Daemon, TestCase, main, run


class CheckConfig(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "sse-notify.conf"

    def check(self, text, *options, env=None):
        self.path.write_text(text)
        done = run("check-config", "-c", self.path,
                   *(word for option in options for word in ("-o", option)), env=env)
        return done.returncode, done.stdout + done.stderr

    def refused(self, text, *parts, options=(), env=None):
        status, output = self.check(text, *options, env=env)
        self.assertEqual(status, 2, output)
        for part in parts:
            self.assertIn(part, output)
        return output

    def test_a_good_file_is_ok(self):
        text = "# a comment\n[streams]\nheartbeat = 20s\n\n[log]\nlevel=debug\n"
        status, output = self.check(text)
        self.assertEqual((status, output), (0, f"{self.path}: ok\n"))

    def test_a_wrong_value_names_file_line_value_and_what_is_allowed(self):
        self.refused("[streams]\n\nheartbeat = often\n", f"{self.path}:3:", "heartbeat", "often")
        self.refused("[streams]\nheartbeat = 10ms\n", f"{self.path}:2:", "10ms", "1s", "1h")
        self.refused("[journal]\nwindow = 64XB\n", f"{self.path}:2:", "64XB")
        self.refused("[streams]\noverflow = drop\n", ":2:", "drop", "catchup", "drop-oldest",
                     "disconnect")
        self.refused("[log]\nformat = xml\n", ":2:", "xml", "text", "json")
        self.refused("[publish]\nallow_anonymous = maybe\n", ":2:", "maybe", "yes", "no")
        self.refused("[listener.a]\naddress = 127.0.0.1:99999\n", "99999")
        self.refused("[listener.a]\naddress = 127.0.0.1:0\nrole = admin\n", ":3:", "admin",
                     "public", "internal", "all")

    def test_an_unknown_key_or_section_gets_the_nearest_known(self):
        self.refused("[streams]\nhartbeat = 15s\n", ":2:", "hartbeat", "heartbeat")
        self.refused("[stream]\nheartbeat = 15s\n", ":1:", "stream", "streams")

    def test_all_errors_are_told_not_only_the_first(self):
        output = self.refused("[streams]\nheartbeat = x\nretry = y\nqueue = z\n",
                              ":2:", ":3:", ":4:")
        self.assertEqual(len([line for line in output.splitlines() if str(self.path) in line]), 3)

    def test_a_repeated_key_names_both_lines(self):
        self.refused("[streams]\nretry = 1s\nretry = 2s\n", ":3:", "2")

    def test_a_line_that_is_nothing_is_refused(self):
        self.refused("[streams]\nheartbeat\n", ":2:")
        self.refused("heartbeat = 15s\n", ":1:")
        self.refused("[streams\n", ":1:")

    def test_an_option_or_environment_that_is_wrong_names_itself(self):
        self.refused("", "-o", "heartbeat", "x", options=["streams.heartbeat=x"])
        self.refused("", "-o", "hartbeat", "heartbeat", options=["streams.hartbeat=1s"])
        self.refused("", "SSE_NOTIFY_STREAMS_HEARTBEAT", env={"SSE_NOTIFY_STREAMS_HEARTBEAT": "x"})

    def test_a_file_that_is_not_there_is_named(self):
        done = run("check-config", "-c", "/nonexistent/a.conf")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent/a.conf", done.stderr + done.stdout)

    def test_the_example_file_is_good_as_it_is(self):
        example = pathlib.Path(__file__).resolve().parents[2] / "sse-notify.conf.example"
        done = run("check-config", "-c", example)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_example_and_the_reference_are_what_the_program_writes(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        for flag, name in (("--example", "sse-notify.conf.example"),
                           ("--reference", "docs/configuration.md")):
            done = run("check-config", flag)
            self.assertEqual(done.stdout, (root / name).read_text(), name)


class Sources(TestCase):
    """default < file < environment < -o"""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name) / "a.conf"
        cls.path.write_text("[streams]\nretry = 3s\n")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def retry_of(self, *options, env=None):
        daemon = self.start(*options, env=env, arguments=["-c", str(self.path)])
        return self.open(daemon=daemon).retry

    def test_the_file_counts(self):
        self.assertEqual(self.retry_of(), 3000)

    def test_the_environment_wins_over_the_file(self):
        self.assertEqual(self.retry_of(env={"SSE_NOTIFY_STREAMS_RETRY": "4s"}), 4000)

    def test_an_option_wins_over_all(self):
        env = {"SSE_NOTIFY_STREAMS_RETRY": "4s"}
        self.assertEqual(self.retry_of("streams.retry=5s", env=env), 5000)


class Starting(TestCase):
    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def refused(self, *options):
        done = run("serve", *(word for option in options for word in ("-o", option)))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_another_address_than_loopback_needs_a_word(self):
        text = self.refused("listener.default.address=0.0.0.0:0")
        self.assertIn("allow_anonymous", text)
        self.assertIn("default", text)

    def test_each_role_names_the_setting_that_would_fix_it(self):
        text = self.refused("listener.default.address=0.0.0.0:0", "listener.default.role=public")
        self.assertIn("streams", text)
        self.assertIn("allow_anonymous", text)
        text = self.refused("listener.default.address=0.0.0.0:0", "listener.default.role=internal")
        self.assertIn("publish", text)
        self.assertIn("allow_anonymous", text)

    def test_the_explicit_way_out_works(self):
        daemon = Daemon("listener.default.address=0.0.0.0:0", "streams.allow_anonymous=yes",
                        "publish.allow_anonymous=yes")
        self.addCleanup(daemon.stop)
        self.assertEqual(daemon.get("/healthz").status, 200)

    def test_a_unix_socket_with_its_mode(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/s"
            daemon = Daemon(f"listener.unix.address=unix:{path}", "listener.unix.mode=0600")
            self.addCleanup(lambda: daemon.process and daemon.stop())
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            done = run("send", "--unix", path, "--user", "u", '"x"')
            self.assertEqual(done.returncode, 0, done.stderr)
            daemon.stop()
            self.assertFalse(os.path.exists(path))

    def test_ipv6(self):
        daemon = Daemon("listener.six.address=[::1]:0")
        self.addCleanup(daemon.stop)
        address = [e["address"] for e in daemon.log("listening") if e["address"].startswith("[")]
        self.assertRegex(address[0], r"\A\[::1\]:\d+\Z")
        done = run("send", "--url", f"http://{address[0]}", "--user", "u", '"x"')
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_default_command_is_serve(self):
        done = run("-o", "streams.heartbeat=x")
        self.assertEqual(done.returncode, 2)
        self.assertIn("heartbeat", done.stderr)

    def test_unknown_commands_and_options_are_usage_errors(self):
        for arguments in (["surf"], ["--surf"], ["serve", "--surf"], ["serve", "extra"],
                          ["check-config", "--surf"]):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(arguments[-1].lstrip("-"), done.stderr)


if __name__ == "__main__":
    main()
