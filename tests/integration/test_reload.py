"""SIGHUP and SIGUSR1: settings that change, files that are opened anew, no stream that notices."""
import json
import os
import pathlib
import signal
import subprocess

from harness import BIN, DEADLINE, OneDaemonATest, main, run, wait_for

TAKEN = "configuration reloaded"
WAITING = "these settings have changed, but take a restart"
REFUSED = "SIGHUP: the configuration is refused; what was in force stays in force"


class Case(OneDaemonATest):
    def start_with(self, text, *options, **more):
        """A daemon with a file of its own, which `reload` writes anew."""
        self.path = pathlib.Path(self.scratch()) / "a.conf"
        self.path.write_text(text)
        return self.start(*options, arguments=["-c", str(self.path)], **more)

    def signal(self, daemon, number, message, **fields):
        """Sends it, and returns the line that it has in the log."""
        count = len(daemon.log(message))
        daemon.process.send_signal(number)
        return daemon.wait_log(message, count + 1, **fields)

    def reload(self, daemon, text, message=TAKEN):
        self.path.write_text(text)
        return self.signal(daemon, signal.SIGHUP, message)

    def assert_lives(self, daemon, stream, user):
        """What is sent arrives on the stream that was open before, and nothing came between."""
        daemon.notify(user=user, data="still here")
        self.assertEqual(stream.next().data, "still here")


class Reload(Case):
    def test_a_limit_is_in_force_at_once_and_no_stream_notices(self):
        daemon = self.start_with("")
        stream = self.open("u", daemon)
        changed = self.reload(daemon, "[streams]\nmax_streams_per_user = 1\nretry = 7s\n")
        self.assertEqual(changed["changed"], "streams.retry streams.max_streams_per_user")
        self.assert_problem(daemon.get("/notifications/u"), 429, "max_streams_per_user")
        self.assertEqual(self.open("v", daemon).retry, 7000)
        self.assert_lives(daemon, stream, "u")

    def test_limits_of_requests(self):
        daemon = self.start_with("")
        daemon.notify(user="u", data="x" * 1000)
        self.reload(daemon, "[publish]\nmax_payload = 1kB\nmax_body = 2kB\n"
                            "[http]\nmax_header = 1KiB\n")
        body = json.dumps({"user": "u", "data": "x" * 1001}).encode()
        self.assert_problem(daemon.post(body), 413, "max_payload")
        self.assertEqual(daemon.post(b" " * 2001).status, 413)
        self.assertEqual(daemon.get("/healthz", [("X-Long", "x" * 1024)]).status, 431)
        self.reload(daemon, "")
        self.assertEqual(daemon.post(body).status, 200)

    def test_origins_and_proxies(self):
        daemon = self.start_with("[http]\nallowed_origins = https://a.example\n")
        stream = self.open("u", daemon)
        self.reload(daemon, "[http]\nallowed_origins = https://b.example\n"
                            "trusted_proxies = 127.0.0.1\n")
        for origin, status in (("https://a.example", 403), ("https://b.example", 200)):
            self.assertEqual(daemon.get("/healthz", [("Origin", origin)]).status, status, origin)
        self.open("v", daemon, headers=[("X-Forwarded-For", "192.0.2.7")])
        self.assertEqual(daemon.presence("v")["streams"][0]["peer"], "192.0.2.7")
        self.reload(daemon, "")
        self.assertEqual(daemon.get("/healthz", [("Origin", "https://b.example")]).status, 403)
        self.open("w", daemon, headers=[("X-Forwarded-For", "192.0.2.7")])
        self.assertIn("127.0.0.1", daemon.presence("w")["streams"][0]["peer"])
        self.assert_lives(daemon, stream, "u")

    def test_a_limit_for_addresses_counts_the_streams_that_are_open_already(self):
        daemon = self.start_with("")
        first, second = self.open("a", daemon), self.open("b", daemon)
        self.reload(daemon, "[streams]\nmax_streams_per_ip = 2\n")
        self.assert_problem(daemon.get("/notifications/c"), 429, "max_streams_per_ip")
        first.close()
        wait_for(lambda: daemon.stats()["streams_open"] == 1, "its end")
        self.open("c", daemon)
        self.reload(daemon, "")
        for _ in range(3):
            self.open("d", daemon)
        self.assert_lives(daemon, second, "b")

    def test_a_shorter_queue_while_one_is_full(self):
        daemon = self.start_with("[streams]\nqueue = 2000\n")
        slow = self.open("u", daemon, rcvbuf=4096)
        ids = [daemon.notify(user="u", data=f"{n} " + "x" * 20000)["id"] for n in range(400)]
        wait_for(lambda: daemon.presence("u")["streams"][0]["queued"] > 100, "a queue")
        self.reload(daemon, "[streams]\nqueue = 1\n")
        daemon.request("DELETE", f"/notifications/u/{ids[-1]}")
        daemon.request("DELETE", "/users/u/streams")
        events = slow.expect_end()
        self.assertEqual(events[-1].event, "bye")
        self.assertEqual(daemon.get("/healthz").status, 200)

    def test_the_log(self):
        daemon = self.start_with("")
        daemon.get("/users/before")
        daemon.wait_log("request", path="/users/before")
        self.path.write_text("[log]\nlevel = warning\n[server]\nuser = nobody\n")
        self.signal(daemon, signal.SIGHUP, WAITING)
        daemon.get("/users/silent")
        self.reload(daemon, "[log]\nlevel = debug\n")
        daemon.get("/users/after")
        daemon.wait_log("request", path="/users/after")
        self.assertEqual([e for e in daemon.log() if e.get("path") == "/users/silent"], [])

    def test_the_command_line_and_the_environment_still_win(self):
        daemon = self.start_with("[streams]\nretry = 3s\n", "streams.queue=5",
                                 env={"SSE_NOTIFY_STREAMS_RETRY": "4s"})
        changed = self.reload(daemon, "[streams]\nretry = 5s\nqueue = 6\nheartbeat = 20s\n")
        self.assertEqual(changed["changed"], "streams.heartbeat")
        self.assertEqual(self.open("u", daemon).retry, 4000)

    def test_what_takes_a_restart_is_named_and_stays(self):
        daemon = self.start_with("")
        self.reload(daemon, "[journal]\nkeep = 1h\n[listener.more]\naddress = 127.0.0.1:0\n"
                            "[streams]\nretry = 5s\n")
        waiting = daemon.wait_log(WAITING)
        self.assertEqual(waiting["level"], "warning")
        self.assertEqual(waiting["settings"], "listener.more journal.keep")
        self.assertEqual(self.open("u", daemon).retry, 5000)


class Refused(Case):
    def test_a_bad_file_is_refused_whole_with_every_mistake(self):
        daemon = self.start_with("[streams]\nretry = 3s\n")
        stream = self.open("u", daemon)
        line = self.reload(daemon, "[streams]\nretry = 5s\nqueue = none\nhartbeat = 1s\n", REFUSED)
        self.assertEqual(line["level"], "error")
        errors = [e["message"] for e in daemon.log() if e["level"] == "error"]
        for text in (f"{self.path}:3: [streams] queue = none",
                     f"{self.path}:4: [streams] hartbeat"):
            self.assertTrue([e for e in errors if e.startswith(text)], errors)
        self.assertEqual(self.open("v", daemon).retry, 3000)
        self.assert_lives(daemon, stream, "u")
        stats = daemon.stats()
        self.assertEqual((stats["reloads"], stats["reloads_refused"], stats["reload_failed"]),
                         (0, 1, 1))
        self.reload(daemon, "[streams]\nretry = 5s\n")
        self.assertEqual(self.open("w", daemon).retry, 5000)
        self.assertEqual(daemon.stats()["reload_failed"], 0)

    def test_a_log_file_that_cannot_be_opened_keeps_all_else_from_changing(self):
        daemon = self.start_with("")
        self.reload(daemon, "[streams]\nretry = 5s\n[log]\nfile = /nonexistent/log\n", REFUSED)
        self.assertTrue([e for e in daemon.log() if e["message"].startswith(
            "log.file = /nonexistent/log: No such file")], daemon.log_text())
        self.assertEqual(self.open("u", daemon).retry, 2000)

    def test_a_file_that_is_gone_does_not_mean_the_defaults(self):
        daemon = self.start_with("[streams]\nretry = 3s\n")
        self.path.unlink()
        self.signal(daemon, signal.SIGHUP, REFUSED)
        self.assertEqual(self.open("u", daemon).retry, 3000)


class LogFile(Case):
    @staticmethod
    def messages(path):
        return [json.loads(line)["message"] for line in path.read_text().splitlines()]

    def assert_has(self, path, message):
        wait_for(lambda: path.exists() and message in self.messages(path), f"{message} in {path}")

    def test_sigusr1_opens_it_anew_after_it_was_renamed(self):
        daemon = self.start_with("")
        log = self.path.with_name("log")
        old = self.path.with_name("log.1")
        stream = self.open("u", daemon)
        self.path.write_text(f"[log]\nfile = {log}\n")
        daemon.process.send_signal(signal.SIGHUP)
        self.assert_has(log, TAKEN)
        self.assertEqual(os.stat(log).st_mode & 0o777, 0o640)
        log.rename(old)
        daemon.get("/healthz")
        self.assert_has(old, "request")
        daemon.process.send_signal(signal.SIGUSR1)
        self.assert_has(log, f"SIGUSR1: the log goes on in {log}")
        self.assertNotIn(f"SIGUSR1: the log goes on in {log}", self.messages(old))
        self.reload(daemon, "", TAKEN)  # back on standard error
        self.assert_lives(daemon, stream, "u")

    def test_without_one_sigusr1_does_nothing(self):
        daemon = self.start_with("")
        self.signal(daemon, signal.SIGUSR1, "SIGUSR1: there is no log.file to open anew")

    def test_it_stays_open_where_there_can_be_no_new_one(self):
        daemon = self.start_with("")
        folder = self.path.with_name("folder")
        folder.mkdir()
        self.path.write_text(f"[log]\nfile = {folder}/log\n")
        daemon.process.send_signal(signal.SIGHUP)
        self.assert_has(folder / "log", TAKEN)
        moved = folder.rename(self.path.with_name("moved"))
        daemon.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: any(m.startswith("SIGUSR1: the log stays where it is: log.file = ")
                             for m in self.messages(moved / "log")), "a word in the old one")

    def test_from_the_start(self):
        folder = pathlib.Path(self.scratch())
        log = folder / "log"
        with subprocess.Popen([BIN, "serve", "-o", "listener.default.address=127.0.0.1:0", "-o",
                               "journal.type=memory", "-o", "log.format=json", "-o",
                               f"log.file={log}"], stderr=subprocess.PIPE) as process:
            self.assert_has(log, "listening")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(DEADLINE), 0)
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(self.messages(log)[-1], "ended")
        done = run("serve", "-o", f"log.file={folder}")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"log.file = {folder}: Is a directory", done.stderr)


if __name__ == "__main__":
    main()
