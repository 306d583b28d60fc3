"""sse-notify send, tail, version and help, as a person at a terminal uses them."""
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
import unittest

from harness import BIN, DEADLINE, TestCase, main, run


class Tail:
    """A running `sse-notify tail`, its lines read with deadlines."""

    def __init__(self, *arguments, env=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SSE_NOTIFY_")}
        command = [BIN, "tail", *map(str, arguments)]
        self.process = subprocess.Popen(command, env=clean | (env or {}), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rest = b""

    def line(self, seconds=DEADLINE):
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError(f"tail printed no line within {seconds} s: {self.rest!r}")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise AssertionError(f"tail ended: {self.process.stderr.read().decode()}")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def end(self, seconds=DEADLINE):
        """(exit status, what else was on stdout, stderr)"""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, (self.rest + out).decode(), err.decode()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Case(TestCase):
    def url(self, daemon=None):
        return f"http://127.0.0.1:{(daemon or self.daemon).port}"

    def send(self, *arguments, status=0, stdin=None, env=None):
        done = run("send", "--url", self.url(), *arguments, stdin=stdin, env=env)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def tail(self, *arguments, daemon=None, user=None, streams=1, env=None):
        """A tail that is connected."""
        user = user or self.user
        tail = Tail(user, "--url", self.url(daemon), *arguments, env=env)
        self.addCleanup(tail.stop)
        (daemon or self.daemon).wait_streams(user, streams)
        return tail


class Send(Case):
    def test_it_prints_id_and_streams(self):
        stream = self.open()
        done = self.send("--user", self.user, "--event", "build", '{"a": 1.0}')
        event = stream.next()
        self.assertEqual((event.event, event.data), ("build", '{"a":1.0}'))
        self.assertRegex(done.stdout, rf"\A{event.id}  1 streams?\n\Z")
        self.assertEqual(done.stderr, "")

    def test_json_prints_the_answer_as_it_came(self):
        done = self.send("--user", self.user, "--json", "x")
        self.assertEqual(set(json.loads(done.stdout)), {"id", "streams"})

    def test_data_is_json_where_it_is_json_else_text(self):
        stream = self.open()
        for data, got in (("hello", "hello"), ('"quoted"', "quoted"), ("5", "5"), ("01", "01"),
                          ("12345678901234567890.0", "12345678901234567890.0"), ("{not", "{not"),
                          ('[1, 2]', "[1,2]"), ("Zoë 🔔", "Zoë 🔔"),
                          ('say "hi"\\', 'say "hi"\\'), ("a\nb", "a\nb")):
            with self.subTest(data):
                self.send("--user", self.user, "--", data)
                self.assertEqual(stream.next().data, got)
        self.send("--user", self.user, "--text", '"quoted"')
        self.assertEqual(stream.next().data, '"quoted"')

    def test_every_target(self):
        one, two = self.open("cli1?topic=cli"), self.open("cli2")
        self.send("--user", "cli1", "--user", "cli2", "users")
        self.send("--topic", "cli", "topic")
        self.send("--broadcast", "everyone")
        self.assertEqual(one.take(3), ["users", "topic", "everyone"])
        self.assertEqual(two.take(2), ["users", "everyone"])

    def test_every_field(self):
        key = f"{self.user}-k"
        self.send("--user", self.user, "--ttl", "0", "not kept")
        self.send("--user", self.user, "--collapse-key", "c", "1")
        self.send("--user", self.user, "--collapse-key", "c", "2")
        first = self.send("--user", self.user, "--idempotency-key", key, "3").stdout.split()[0]
        again = self.send("--user", self.user, "--idempotency-key", key, "3").stdout.split()[0]
        self.assertEqual(first, again)
        kept = [str(n["data"]) for n in self.daemon.history(self.user)["notifications"]]
        self.assertEqual(kept, ["2", "3"])

    def test_ndjson_from_stdin(self):
        stream = self.open()
        items = [{"user": self.user, "data": f"{n}"} for n in range(1200)]
        lines = "".join(json.dumps(item) + "\n" for item in items)
        done = self.send("-", stdin=lines)
        self.assertEqual(len(done.stdout.splitlines()), 1200)
        self.assertEqual(stream.take(1200), [f"{n}" for n in range(1200)])

    def test_a_wrong_line_of_stdin_is_named_and_the_others_sent(self):
        stream = self.open()
        lines = [json.dumps({"user": self.user, "data": "1"}),
                 json.dumps({"user": self.user, "data": "2", "colour": "red"}),
                 json.dumps({"user": self.user, "data": "3"})]
        done = self.send("-", stdin="\n".join(lines) + "\n", status=1)
        self.assertRegex(done.stderr, r"(?m)^(sse-notify send: )?stdin:2: .*colour")
        self.assertEqual(stream.take(2), ["1", "3"])

    def test_stdin_lines_as_data_for_a_target(self):
        stream = self.open()
        self.send("--user", self.user, "-", stdin='{"a":1}\nplain text\n5\n')
        self.assertEqual(stream.take(3), ['{"a":1}', "plain text", "5"])

    def test_a_refusal_is_told_and_is_exit_1(self):
        done = self.send("--user", self.user, "x" * 70000, status=1)
        self.assertIn("max_payload", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_wrong_usage_is_exit_2(self):
        for arguments in ([], ["--user", "u"], ["x"], ["--user", "u", "--ttl", "x", "d"],
                          ["--user", "u", "a", "b"], ["--user", "u", "--topic", "t", "d"],
                          ["--surf", "d"], ["--user"]):
            with self.subTest(arguments):
                done = self.send(*arguments, status=2)
                self.assertNotEqual(done.stderr, "")

    def test_no_server_is_exit_3(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
            port = taken.getsockname()[1]
            done = run("send", "--url", f"http://127.0.0.1:{port}", "--user", "u", "x")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("127.0.0.1", done.stderr)
        self.assertIn(str(port), done.stderr)

    def test_the_url_may_come_from_the_environment(self):
        done = run("send", "--user", self.user, "x", env={"SSE_NOTIFY_URL": self.url()})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_token_is_never_printed(self):
        secret = "se.cr.et"
        for arguments, env in ((["--token", secret], {}), ([], {"SSE_NOTIFY_TOKEN": secret})):
            done = run("send", "--url", self.url(), "--user", self.user, "--event", "bye", "x",
                       *arguments, env=env)
            self.assertNotIn(secret, done.stdout + done.stderr)


class TailOutput(Case):
    def test_the_human_form_is_time_id_event_data(self):
        tail = self.tail()
        sent = self.daemon.notify(user=self.user, event="build", data={"a": 1})
        fields = re.split(r"\s{2,}", tail.line(), maxsplit=3)
        self.assertRegex(fields[0], r"\d\d:\d\d:\d\d")
        self.assertEqual(fields[1:], [sent["id"], "build", '{"a":1}'])

    def test_json_lines(self):
        tail = self.tail("--json")
        sent = self.daemon.notify(user=self.user, event="e", data='a\n"b"é')
        self.assertEqual(json.loads(tail.line()),
                         {"id": sent["id"], "event": "e", "data": 'a\n"b"é'})

    def test_each_event_is_printed_at_once(self):
        tail = self.tail("--json")
        for n in range(5):
            self.daemon.notify(user=self.user, data=f"{n}")
            self.assertEqual(json.loads(tail.line())["data"], f"{n}")

    def test_count_and_once_end_it(self):
        tail = self.tail("--count", "2", "--json")
        for n in range(3):
            self.daemon.notify(user=self.user, data=f"{n}")
        status, out, _ = tail.end()
        self.assertEqual(status, 0)
        self.assertEqual([json.loads(line)["data"] for line in out.splitlines()], ["0", "1"])

    def test_last_event_id_and_earliest(self):
        ids = [self.daemon.notify(user=self.user, data=f"{n}")["id"] for n in range(3)]
        for given, expected in ((ids[1], ["2"]), ("earliest", ["0", "1", "2"])):
            done = run("tail", self.user, "--url", self.url(), "--json", "--last-event-id", given,
                       "--count", str(len(expected)))
            self.assertEqual([json.loads(x)["data"] for x in done.stdout.splitlines()], expected)

    def test_topics(self):
        tail = self.tail("--topic", "t1", "--topic", "t2", "--json")
        for topic in ("t1", "t2"):
            self.daemon.notify(topic=topic, data=topic)
            self.assertEqual(json.loads(tail.line())["data"], topic)

    def test_a_user_that_needs_escaping(self):
        tail = self.tail("--json", user="Zoë /?#%")
        self.daemon.notify(user="Zoë /?#%", data="1")
        self.assertEqual(json.loads(tail.line())["data"], "1")

    def test_a_gap_is_told_on_stderr(self):
        tail = self.tail("--last-event-id", "abcdefgh-1", "--json", "--once")
        self.daemon.notify(user=self.user, data="1")
        status, out, err = tail.end()
        self.assertEqual((status, json.loads(out)["data"]), (0, "1"))
        self.assertIn("gap", err)
        self.assertIn("unknown-id", err)

    def test_signals_end_it_with_exit_0(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            tail = self.tail()
            tail.process.send_signal(number)
            self.assertEqual(tail.end()[0], 0)
            self.daemon.wait_streams(self.user, 0)

    def test_a_reader_that_goes_away_ends_it_quietly(self):
        tail = self.tail()
        tail.process.stdout.close()
        with contextlib.suppress(AssertionError):
            for n in range(100):
                self.daemon.notify(user=self.user, data="x" * 1000)
        status = tail.process.wait(DEADLINE)
        self.assertEqual((status, tail.process.stderr.read()), (0, b""))
        tail.process.stderr.close()

    def test_terminal_control_bytes_are_not_let_through_to_the_terminal(self):
        tail = self.tail()
        self.daemon.notify(user=self.user, data="a\x1b[2Jb\x07", event="e")
        line = tail.line()
        self.assertNotIn("\x1b", line)
        self.assertNotIn("\x07", line)


class TailReconnects(Case):
    options = ("streams.retry=100ms",)

    def test_over_a_restart_of_the_daemon(self):
        daemon = self.start(*self.options)
        tail = self.tail("--json", daemon=daemon)
        daemon.notify(user=self.user, data="before")
        self.assertEqual(json.loads(tail.line())["data"], "before")
        daemon.kill()
        daemon.start()
        daemon.wait_streams(self.user, 1)
        daemon.notify(user=self.user, data="after")
        data = json.loads(tail.line())["data"]
        self.assertEqual(data, "after")

    def test_after_a_kick_with_nothing_lost(self):
        tail = self.tail("--json")
        client = self.daemon.presence(self.user)["streams"][0]["client_id"]
        self.daemon.request("DELETE", f"/users/{self.user}/streams")
        for n in range(20):
            self.daemon.notify(user=self.user, data=f"{n}")
        for n in range(20):
            self.assertEqual(json.loads(tail.line())["data"], f"{n}")
        self.assertNotEqual(self.daemon.presence(self.user)["streams"][0]["client_id"], client)

    def test_no_reconnect_ends_with_the_stream(self):
        tail = self.tail("--no-reconnect")
        self.daemon.request("DELETE", f"/users/{self.user}/streams")
        status, _, err = tail.end()
        self.assertIn(status, (0, 1), err)
        self.assertIn("kicked", err)

    def test_a_refusal_ends_it_with_a_clear_message(self):
        done = run("tail", "u", "--url", self.url() + "/nowhere")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing at this path", done.stderr)

    def test_no_server_and_no_reconnect_is_exit_3(self):
        done = run("tail", "u", "--no-reconnect", "--url", "http://127.0.0.1:1")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("127.0.0.1", done.stderr)


class Help(unittest.TestCase):
    def test_help_of_everything_is_on_stdout_and_exit_0(self):
        for arguments in (["--help"], ["serve", "--help"], ["send", "--help"], ["tail", "--help"],
                          ["check-config", "--help"], ["version", "--help"], ["help"], ["-h"]):
            with self.subTest(arguments):
                done = run(*arguments)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("sse-notify", done.stdout)
                self.assertRegex(done.stdout, r"(?i)usage")
                for line in done.stdout.splitlines():
                    self.assertLessEqual(len(line), 100, line)

    def test_the_main_help_names_every_command_and_every_option(self):
        text = run("--help").stdout + run("serve", "--help").stdout
        for word in ("serve", "send", "tail", "check-config", "version", "heartbeat",
                     "keep_per_user", "allowed_origins", "drain_time"):
            self.assertIn(word, text)

    def test_version(self):
        for arguments in (["version"], ["--version"]):
            done = run(*arguments)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, r"\Asse-notify \d+\.\d+\.\d+")


if __name__ == "__main__":
    main()
