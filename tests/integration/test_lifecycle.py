"""From start to end of the process: the log, the drain, the address that is taken."""
import json
import signal
import socket
import subprocess
import time
import unittest

from harness import BIN, DEADLINE, TIMES, Closed, Daemon, Http, OneDaemonATest, main, run, wait_for

SECRET = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"


Case = OneDaemonATest


class Drain(Case):
    def test_every_stream_gets_bye_with_a_retry_of_its_own_and_a_clean_end(self):
        daemon = self.start("server.drain_time=1s")
        streams = [self.open(f"u{n}", daemon) for n in range(40)]
        daemon.process.send_signal(signal.SIGTERM)
        retries = set()
        for stream in streams:
            events = stream.expect_end()
            self.assertEqual([e.event for e in events], ["bye"])
            self.assertEqual(json.loads(events[0].data), {"reason": "shutdown"})
            self.assertEqual(stream.ended, "last-chunk")
            self.assertGreaterEqual(stream.retry, 1)
            retries.add(stream.retry)
        self.assertGreater(len(retries), 10, "reconnects are not spread")
        daemon.stop()

    def test_the_byes_are_spread_over_the_drain_time(self):
        daemon = self.start("server.drain_time=2s")
        streams = [self.open(f"u{n}", daemon) for n in range(40)]
        start = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        ends = []
        for stream in streams:
            stream.expect_end()
            ends.append(time.monotonic() - start)
        daemon.stop()
        self.assertGreater(max(ends), 1.0, "all at once")
        self.assertLess(max(ends), 2 + 5 * TIMES)

    def test_without_streams_it_ends_at_once(self):
        daemon = self.start("server.drain_time=60s")
        start = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - start, 5 * TIMES)

    def test_what_was_queued_arrives_before_the_bye(self):
        daemon = self.start()
        stream = self.open("u", daemon)
        for n in range(100):
            daemon.notify(user="u", data=f"{n}")
        daemon.process.send_signal(signal.SIGTERM)
        events = stream.expect_end()
        self.assertEqual([e.data for e in events[:-1]], [f"{n}" for n in range(100)])
        self.assertEqual(events[-1].event, "bye")
        daemon.stop()

    def test_a_request_in_flight_is_answered(self):
        daemon = self.start("server.drain_time=2s")
        stream = self.open("holds-the-drain", daemon)
        self.assertIsNotNone(stream)
        body = json.dumps({"user": "u", "data": 1}).encode()
        http = self.connect(daemon)
        http.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body))
        http.send(body[:5])
        wait_for(lambda: daemon.stats()["connections_open"] >= 2, "the connection to be seen")
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.refuses(daemon.port), "accepting to stop")
        http.send(body[5:])
        response = http.read_response()
        self.assertIn(response.status, (200, 503))
        self.assertTrue(http.is_closed())
        daemon.stop()

    @staticmethod
    def refuses(port):
        try:
            Http(port).close()
        except ConnectionError:
            return True
        return False

    def test_it_stops_accepting_and_closes_idle_connections(self):
        daemon = self.start("server.drain_time=2s")
        self.open("holds-the-drain", daemon)
        idle = self.connect(daemon)
        idle.send_request("GET", "/healthz")
        self.assertEqual(idle.read_response().status, 200)
        daemon.process.send_signal(signal.SIGTERM)
        self.assertTrue(idle.is_closed())
        wait_for(lambda: self.refuses(daemon.port), "accepting to stop")
        daemon.stop()

    def test_a_reader_that_takes_nothing_does_not_hold_the_end_up(self):
        daemon = self.start("server.drain_time=1s")
        self.open("slow", daemon, rcvbuf=4096)
        for _ in range(300):
            daemon.notify(user="slow", data="x" * 60000)
        start = time.monotonic()
        daemon.stop(seconds=30 * TIMES)
        self.assertLess(time.monotonic() - start, 20 * TIMES)

    def test_sigint_is_the_same(self):
        daemon = self.start()
        stream = self.open("u", daemon)
        daemon.process.send_signal(signal.SIGINT)
        self.assertEqual([e.event for e in stream.expect_end()], ["bye"])
        self.assertEqual(daemon.process.wait(DEADLINE), 0)
        daemon.process = None

    def test_a_second_signal_ends_it_at_once(self):
        daemon = self.start("server.drain_time=60s")
        for n in range(20):
            self.open(f"u{n}", daemon)
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.refuses(daemon.port), "accepting to stop")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(5 * TIMES)
        daemon.process = None


class RestartOfTheMemoryJournal(Case):
    def test_after_a_kill_a_client_with_an_id_is_told_of_the_gap(self):
        daemon = self.start("journal.type=memory")
        stream = self.open("u", daemon)
        daemon.notify(user="u", data="1")
        self.assertEqual(stream.next().data, "1")
        daemon.kill()
        with self.assertRaises(Closed):
            stream.next()
        daemon.start()
        again = self.open("u", daemon, last_event_id=stream.last_id)
        self.assert_gap(again.next(), "unknown-id")
        daemon.notify(user="u", data="2")
        self.assertEqual(again.next().data, "2")

    def test_ids_of_two_lives_differ(self):
        daemon = self.start("journal.type=memory")
        first = daemon.notify(user="u", data=1)["id"]
        daemon.restart()
        self.assertNotEqual(daemon.notify(user="u", data=1)["id"], first)


class Log(Case):
    def test_a_stream_is_one_line_when_opened_and_one_when_closed(self):
        daemon = self.start()
        stream = self.open("Zo%C3%AB%20x", daemon)
        daemon.notify(user="Zoë x", data="1")
        stream.next()
        opened = daemon.wait_log("stream opened", user="Zoë x")
        self.assertEqual(opened["level"], "info")
        self.assertIn(stream.client_id, opened.values())
        stream.close()
        closed = daemon.wait_log("stream closed", user="Zoë x")
        self.assertIn(stream.client_id, closed.values())
        self.assertIn("reason", closed)
        self.assertIn(1, [v for k, v in closed.items() if isinstance(v, int)])
        self.assertEqual(len(daemon.log("stream opened")), 1)
        self.assertEqual(len(daemon.log("stream closed")), 1)

    def test_the_reason_of_a_closed_stream_tells_kick_from_peer(self):
        daemon = self.start()
        kicked = self.open("kicked", daemon)
        daemon.request("DELETE", "/users/kicked/streams")
        kicked.expect_end()
        self.open("left", daemon).close()
        reasons = [daemon.wait_log("stream closed", user=user)["reason"]
                   for user in ("kicked", "left")]
        self.assertIn("kicked", reasons[0])
        self.assertNotEqual(*reasons)

    def test_a_request_is_one_line(self):
        daemon = self.start()
        daemon.get("/users/somebody?x=1")
        line = wait_for(lambda: [e for e in daemon.log("request")
                                 if e.get("path") == "/users/somebody"], "the line")[0]
        self.assertEqual((line["method"], line["status"]), ("GET", 200))
        self.assertIn("127.0.0.1", line["peer"])

    def test_a_token_is_in_no_line(self):
        daemon = self.start("log.level=debug")
        bearer = [("Authorization", f"Bearer {SECRET}"), ("Cookie", f"token={SECRET}")]
        self.open(f"u?token={SECRET}", daemon, headers=bearer).close()
        daemon.wait_log("stream closed")
        daemon.get(f"/notifications/u/history?token={SECRET}", bearer)
        daemon.get(f"/nowhere?token={SECRET}", bearer)
        daemon.post(b"{", bearer, f"/notify?token={SECRET}")
        daemon.request("BREW", f"/users/u?token={SECRET}", None, bearer)
        daemon.stop()
        for part in (SECRET, *SECRET.split(".")):
            self.assertNotIn(part, daemon.log_text())

    def test_a_user_id_cannot_forge_a_line(self):
        daemon = self.start()
        daemon.get("/users/a%22%2C%22level%22%3A%22error%22")
        daemon.get("/users/a%0d%0ab")
        self.open("%22%5C%E2%80%A8", daemon).close()
        daemon.wait_log("stream closed")
        daemon.log()  # every line is JSON
        self.assertEqual([e for e in daemon.log() if e["level"] == "error"], [])

    def test_text_lines_are_for_a_terminal(self):
        with subprocess.Popen([BIN, "serve", "-o", "listener.default.address=127.0.0.1:0", "-o",
                               "journal.type=memory", "-o", "log.format=text"],
                              stderr=subprocess.PIPE, text=True) as process:
            line = process.stderr.readline()
            while "listening" not in line:
                self.assertNotEqual(line, "", "it ended")
                line = process.stderr.readline()
            self.assertRegex(line, r"\A\d{4}-\d\d-\d\dT\S+Z info +listening.* address=127\.")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(DEADLINE), 0)


class Address(unittest.TestCase):
    def test_two_daemons_on_one_port(self):
        daemon = Daemon()
        try:
            address = f"127.0.0.1:{daemon.port}"
            done = run("serve", "-o", f"listener.default.address={address}")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(address, done.stderr)
            self.assertIn("in use", done.stderr)
            self.assertEqual(daemon.get("/healthz").status, 200)
        finally:
            daemon.stop()

    def test_an_address_that_is_not_ours(self):
        done = run("serve", "-o", "listener.default.address=192.0.2.1:0", "-o",
                   "streams.allow_anonymous=yes", "-o", "publish.allow_anonymous=yes")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("192.0.2.1", done.stderr)

    def test_it_can_start_again_at_once_after_its_clients_were_connected(self):
        daemon = Daemon()
        for _ in range(3):
            with daemon.stream("u"):
                daemon.kill()
                daemon.start()
        daemon.stop()


class Descriptors(Case):
    def test_running_out_of_descriptors_pauses_accepting_and_recovers(self):
        daemon = Daemon(start=False)
        command = daemon.command()
        daemon.command = lambda: ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh", *command]
        daemon.start()
        self.addCleanup(lambda: daemon.process and daemon.stop())
        held = []
        for _ in range(100):
            sock = socket.create_connection(("127.0.0.1", daemon.port), timeout=DEADLINE)
            held.append(sock)
        wait_for(lambda: any(e["level"] in ("warning", "error") for e in daemon.log()),
                 "a word in the log")
        for sock in held:
            sock.close()
        wait_for(lambda: daemon.get("/healthz").status == 200, "recovery")
        self.assertGreaterEqual(daemon.stats()["accept_paused"], 1)


if __name__ == "__main__":
    main()
