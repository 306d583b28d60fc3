"""sse-notify status, and what the clients take from the daemon's configuration."""
import json
import pathlib
import re

from harness import OneDaemonATest, main, run, wait_for
from tokens import SECRET, token


class Status(OneDaemonATest):
    def status(self, daemon, *arguments, code=0):
        done = run("status", "--url", f"http://127.0.0.1:{daemon.port}", *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def figure(self, text, word):
        return re.search(rf"([\d,]+|[\d.]+ \w+) {re.escape(word)}(?: |$)", text, re.M)[1]

    def test_a_look_shows_what_happened(self):
        daemon = self.start()
        stream = self.open("alice", daemon)
        for i in range(3):
            daemon.notify(user="alice", data=i)
        self.assertEqual(daemon.post(b'{"user":"alice","data":"?","ttl":-1}').status, 400)
        self.assertEqual([stream.next().data for _ in range(3)], ["0", "1", "2"])
        wait_for(lambda: daemon.stats()["deliveries"] == 3, "the count of deliveries")
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 3, "their commit")
        text = self.status(daemon)
        self.assertRegex(text, rf"\Asse-notify [\d.]+ at http://127\.0\.0\.1:{daemon.port}, "
                               r"up 00:\d\d:\d\d, ready\n")
        for word, count in (("open", "1"), ("users", "1"), ("accepted", "3"), ("refused", "1"),
                            ("written", "3"), ("in the window", "3"), ("kept", "3")):
            self.assertEqual(self.figure(text, word), count, text)
        self.assertRegex(text, r"publish to written under \d[\d.]* (us|ms|s) at p50, ")
        self.assertNotIn("too slow", text)

    def test_large_numbers_are_grouped(self):
        daemon = self.start()
        for count in (1000, 234):
            body = b'{"user":"a","data":1}\n' * count
            done = daemon.post(body, [("Content-Type", "application/x-ndjson")])
            self.assertEqual(done.status, 200, done)
        self.assertEqual(self.figure(self.status(daemon), "accepted"), "1,234")

    def test_json_is_the_answer_of_stats(self):
        daemon = self.start()
        lines = self.status(daemon, "--json", "--count", 2, "--interval", "100ms").splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertEqual(json.loads(line).keys(), daemon.stats().keys())

    def test_who_watches_sees_what_comes_in_a_second(self):
        daemon = self.start()
        daemon.notify(user="a", data=1)
        first, second = self.status(daemon, "-n", 2, "--interval", "100ms").split("\n\n")
        self.assertIn("1 accepted   ", first)
        self.assertIn("1 accepted (0/s)   ", second)
        self.assertNotIn("\x1b", first)  # no terminal

    def test_a_daemon_without_its_keys_is_not_ready(self):
        daemon = self.start("auth.subscribe=jwt", "auth.jwks_url=http://127.0.0.1:1/keys",
                            wait_ready=False)
        text = self.status(daemon, code=1)
        self.assertRegex(text.splitlines()[0], r", not ready: .*keys for tokens")

    def test_nobody_there(self):
        daemon = self.start()
        daemon.stop()
        done = run("status", "--url", f"http://127.0.0.1:{daemon.port}")
        self.assertEqual(done.returncode, 3)
        self.assertIn(f"127.0.0.1 port {daemon.port}", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_another_server_is_told(self):
        daemon = self.start()
        done = run("status", "--url", f"http://127.0.0.1:{daemon.port}/healthz?")
        self.assertEqual(done.returncode, 2)
        done = run("status", "--url", f"http://127.0.0.1:{daemon.port}/nothing")
        self.assertEqual(done.returncode, 1)


class Configured(OneDaemonATest):
    """The clients find the daemon by its configuration."""

    def begin(self, *options, **listeners):
        """A daemon, and a file of its configuration, where `listeners` are NAME=(address, role);
        an address of None is the one that it was given."""
        daemon = self.start(*options)
        path = pathlib.Path(self.scratch()) / "sse-notify.conf"
        lines = [f"[listener.{name}]\naddress = {address or f'127.0.0.1:{daemon.port}'}\n"
                 f"role = {role}\n" for name, (address, role) in listeners.items()]
        lines += ["[{}]\n{} = {}\n".format(*re.match(r"(.*)\.(\w+)=(.*)", option).groups())
                  for option in options if not option.startswith("listener.")]
        path.write_text("".join(lines))
        return daemon, path

    def test_the_listener_of_the_right_role_is_taken(self):
        inner = pathlib.Path(self.scratch()) / "inner.sock"
        _, path = self.begin(f"listener.inner.address=unix:{inner}", "listener.inner.role=internal",
                             "listener.default.role=public", default=(None, "public"),
                             inner=(f"unix:{inner}", "internal"))
        done = run("status", "-c", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f" at {inner}, ", done.stdout)
        done = run("send", "-c", path, "-u", "alice", "hello")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run("tail", "-c", path, "alice", "--once", "--last-event-id", "earliest")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hello", done.stdout)

    def test_a_token_is_made_of_the_daemons_secret(self):
        secret = pathlib.Path(self.scratch()) / "secret"
        secret.write_bytes(SECRET)
        secret.chmod(0o600)
        _, path = self.begin("auth.subscribe=jwt", "auth.publish=jwt",
                             f"auth.jwt_key_file={secret}", "auth.audience=push",
                             default=(None, "all"))
        for arguments in (["send", "-u", "alice", "hello"], ["send", "-t", "news", "there"],
                          ["status"],
                          ["tail", "alice", "-t", "news", "-n", 2, "--last-event-id", "earliest"]):
            with self.subTest(arguments):
                done = run(*arguments, "-c", path)
                self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hello", done.stdout)
        self.assertIn("there", done.stdout)
        done = run("status", "-c", path, "--token", token(secret=b"another" * 9))
        self.assertEqual(done.returncode, 1)
        self.assertIn("signature", done.stderr)

    def test_without_a_secret_to_read_the_daemon_says_what_it_wants(self):
        keys = pathlib.Path(self.scratch()) / "keys"
        made = run("key", "add", "ops", "--file", keys).stdout.strip()
        _, path = self.begin("auth.publish=key", f"auth.publish_keys_file={keys}",
                             default=(None, "all"))
        done = run("status", "-c", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("key", done.stderr)
        done = run("status", "-c", path, env={"SSE_NOTIFY_TOKEN": made})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_mistakes_are_told(self):
        path = pathlib.Path(self.scratch()) / "conf"
        path.write_text("[listener.outer]\naddress = 127.0.7.1:1\nrole = public\n")
        for arguments, part in ((["status", "-c", path], "the role internal"),
                                (["send", "-c", path, "-u", "a", "x"], "the role internal"),
                                (["status", "-c", path, "--url", "http://x"], "--config is for"),
                                (["tail", "-c", "/nonexistent", "alice"], "/nonexistent")):
            with self.subTest(arguments):
                done = run(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(part, done.stderr)


if __name__ == "__main__":
    main()
