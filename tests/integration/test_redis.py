"""The journal in Redis: several daemons that are one service."""
import json
import signal
import socket

from harness import DEADLINE, ROOT, TIMES, main, run, wait_for
from redis_server import Case


class TwoNodes(Case):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.node(), self.node()

    def test_what_one_takes_both_deliver_in_one_order_with_one_id(self):
        streams = [self.open("u", node) for node in (self.a, self.b)]
        ids = [(self.a, self.b)[i % 2].notify(user="u", data=i)["id"] for i in range(20)]
        for stream in streams:
            events = [stream.next() for _ in range(20)]
            self.assertEqual([e.data for e in events], [str(i) for i in range(20)])
            self.assertEqual([e.id for e in events], ids)

    def test_topics_and_broadcasts_reach_both(self):
        streams = [node.stream("/notifications/u?topic=t") for node in (self.a, self.b)]
        self.a.notify(topic="t", data="topic", event="named")
        self.b.notify(broadcast=True, data={"to": ["all"]})
        for stream in streams:
            self.addCleanup(stream.close)
            first, second = stream.next(), stream.next()
            self.assertEqual((first.event, first.data), ("named", "topic"))
            self.assertEqual(json.loads(second.data), {"to": ["all"]})

    def test_the_answer_counts_the_streams_of_the_node_that_was_asked(self):
        self.open("u", self.a), self.open("u", self.a), self.open("u", self.b)
        self.assertEqual(self.a.notify(user="u", data=1)["streams"], 2)
        self.assertEqual(self.b.notify(user="u", data=1)["streams"], 1)

    def test_a_stream_resumes_on_the_other_node(self):
        stream = self.open("u", self.a)
        self.a.notify(user="u", data="1")
        self.assertEqual(stream.next().data, "1")
        stream.close()
        self.b.notify(user="u", data="2")
        self.a.notify(user="u", data="3")
        resumed = self.open("u", self.b, last_event_id=stream.last_id)
        self.assertEqual(resumed.take(2), ["2", "3"])
        resumed.expect_quiet(self.b, "u")

    def test_an_id_that_the_other_node_has_not_heard_of_yet_is_no_gap(self):
        for i in range(50):
            sent = self.a.notify(user="u", data=i)["id"]
            stream = self.open("u", self.b, last_event_id=sent)
            stream.expect_quiet(self.b, "u")
            stream.close()

    def test_a_node_that_starts_later_has_all_that_is_kept(self):
        for i in range(1200):  # more than one read of the log
            self.a.post(json.dumps({"user": f"u{i % 3}", "data": i}).encode())
        for window in ("64MiB", "4KiB"):  # from the window, or from pages
            with self.subTest(window=window):
                late = self.node("journal.keep_per_user=1000", f"journal.window={window}")
                stream = self.open("u1", late, last_event_id="earliest")
                self.assertEqual(stream.take(100),
                                 [str(i) for i in range(1200) if i % 3 == 1][-100:])
                stream.expect_quiet(late, "u1")

    def test_a_repeated_idempotency_key_is_known_to_all(self):
        stream = self.open("u", self.b)
        first = self.a.notify(user="u", data="once", idempotency_key="k")
        again = self.b.notify(user="u", data="once", idempotency_key="k")
        self.assertEqual(again, {"id": first["id"], "streams": 0, "duplicate": True})
        self.assertEqual(stream.next().data, "once")
        stream.expect_quiet(self.b, "u")

    def test_collapse_retract_and_erase_hold_everywhere(self):
        streams = [self.open("u", node) for node in (self.a, self.b)]
        self.a.notify(user="u", data="old", collapse_key="c")
        self.b.notify(user="u", data="new", collapse_key="c")
        gone = self.a.notify(user="u", data="gone")["id"]
        for stream in streams:
            self.assertEqual(stream.take(3), ["old", "new", "gone"])
        self.assertEqual(self.b.request("DELETE", f"/notifications/u/{gone}").status, 200)
        for stream in streams:
            event = stream.next()
            self.assertEqual((event.event, json.loads(event.data)), ("retract", {"id": gone}))
        for node in (self.a, self.b):
            stream = self.open("u", node, last_event_id="earliest")
            self.assertEqual(stream.take(1), ["new"])
            stream.expect_quiet(node, "u")
        self.assertEqual(self.a.request("DELETE", "/users/u/history").status, 200)
        for node in (self.a, self.b):
            self.assertEqual(node.history("u")["notifications"], [])

    def test_what_is_for_those_connected_now_is_not_kept(self):
        streams = [self.open("u", node) for node in (self.a, self.b)]
        self.a.notify(user="u", data="now", ttl=0)
        for stream in streams:
            self.assertEqual(stream.next().data, "now")
        late = self.node()
        stream = self.open("u", late, last_event_id="earliest")
        stream.expect_quiet(late, "u")


class Bounds(Case):
    def test_of_a_user_the_newest_are_kept_and_the_rest_is_told(self):
        a, b = [self.node("journal.keep_per_user=5") for _ in range(2)]
        start = self.open("u", a)
        start.close()
        for i in range(12):
            (a, b)[i % 2].notify(user="u", data=i)
        for node in (a, b):
            stream = self.open("u", node, last_event_id=start.start_id)
            self.assert_gap(stream.next(), "expired")
            self.assertEqual(stream.take(5), ["7", "8", "9", "10", "11"])
            stream.expect_quiet(node, "u")

    def test_a_node_that_is_too_slow_for_the_bounds_tells_what_it_has_not_heard(self):
        a, b = [self.node("journal.keep_per_user=5", "journal.redis_timeout=1min")
                for _ in range(2)]
        stream, other = self.open("u", b), self.open("v", b)
        b.process.send_signal(signal.SIGSTOP)
        for i in range(40):
            a.notify(user="u", data=i)
        a.notify(user="v", data="v")
        b.process.send_signal(signal.SIGCONT)
        heard = []
        event = stream.next()
        while event.event != "gap":
            heard.append(int(event.data))
            event = stream.next()
        self.assert_gap(event, "expired")
        self.assertEqual(heard, list(range(len(heard))))
        self.assertEqual(stream.take(5), ["35", "36", "37", "38", "39"])
        stream.expect_quiet(b, "u")
        self.assertEqual(other.take(1), ["v"])

    def test_all_that_is_kept_stays_within_its_bytes(self):
        node = self.node("journal.keep_bytes=64KiB", "journal.keep_per_user=1000")
        start = self.open("u", node)
        start.close()
        for i in range(300):
            node.notify(user="u", data=f"{i} " + "x" * 1000)
        stats = node.stats()["journal"]
        self.assertLessEqual(stats["bytes"], 64 * 1024)
        late = self.node("journal.keep_bytes=64KiB", "journal.keep_per_user=1000")
        stream = self.open("u", late, last_event_id=start.start_id)
        self.assert_gap(stream.next(), "expired")
        first = int(stream.next().data.split()[0])
        self.assertGreater(first, 200)
        self.assertEqual([int(d.split()[0]) for d in stream.take(299 - first)],
                         list(range(first + 1, 300)))

    def test_what_has_a_ttl_goes_and_nobody_misses_it(self):
        node = self.node()
        start = self.open("u", node)
        start.close()
        node.notify(user="u", data="short", ttl=1)
        node.notify(user="u", data="long")
        wait_for(lambda: node.stats()["journal"]["entries"] == 1, "the sweep")
        stream = self.open("u", node, last_event_id=start.start_id)
        self.assertEqual(stream.take(1), ["long"])

    def test_what_is_old_goes_and_is_told(self):
        node = self.node("journal.keep=1s")
        start = self.open("u", node)
        start.close()
        node.notify(user="u", data="old")
        wait_for(lambda: self.redis.call("XLEN", "{sse-notify}:log") == 0, "the sweep")
        stream = self.open("u", node, last_event_id=start.start_id)
        self.assert_gap(stream.next(), "expired")
        self.assertEqual(self.redis.call("EXISTS", "{sse-notify}:of:uu"), 0)


class Pages(Case):
    def test_of_a_page_nothing_is_passed_over_where_one_channel_has_more_than_it_holds(self):
        node = self.node("journal.window=4KiB", "streams.queue=8")
        start = self.open("u", node)
        start.close()
        gone = [node.notify(broadcast=True, data=f"gone {i}")["id"] for i in range(9)]
        for i in range(9):
            node.notify(broadcast=True, data=f"{i} " + "x" * 1000)
        node.notify(user="u", data="last")
        for number in gone:  # as if their time were over, and nobody had taken them away yet
            self.redis.call("XDEL", "{sse-notify}:log", number.partition("-")[2] + "-0")
        stream = self.open("u", node, last_event_id=start.start_id)
        self.assertEqual([d.split()[0] for d in stream.take(10)], [*map(str, range(9)), "last"])


class Storm(Case):
    streams = 2000

    def reopen(self, node, ids):
        """All at once, each from its own id; returns the sockets, whose answers were not read."""
        sockets = []
        for i, last in enumerate(ids):
            s = socket.create_connection(("127.0.0.1", node.port), DEADLINE)
            self.addCleanup(s.close)
            s.sendall(f"GET /notifications/u{i} HTTP/1.0\r\nHost: localhost\r\n"
                      f"Last-Event-ID: {last}\r\n\r\n".encode())
            sockets.append(s)
        return sockets

    def read_until(self, s, end):
        got = b""
        while end not in got:
            piece = s.recv(65536)
            self.assertNotEqual(piece, b"", got)
            got += piece
        return got

    def test_very_many_at_a_fresh_node_cost_redis_bounded_reads(self):
        a = self.node("journal.keep_per_user=3", "publish.idempotency_window=0")
        start = self.open("u", a).start_id
        ids = [start] * self.streams
        batch = [{"user": f"u{i}", "data": n} for n in range(2) for i in range(self.streams)]
        for at in range(0, len(batch), 500):
            answer = a.post(json.dumps(batch[at:at + 500]).encode())
            for result, item in zip(answer.json()["results"], batch[at:at + 500]):
                if item["data"] == 0 and int(item["user"][1:]) % 2:
                    ids[int(item["user"][1:])] = result["id"]
        before = self.redis.commands()
        b = self.node("journal.keep_per_user=3", "publish.idempotency_window=0")
        sockets = self.reopen(b, ids)
        a.notify(broadcast=True, data="end")
        for i, s in enumerate(sockets):
            got = self.read_until(s, b"data: end\n")
            self.assertNotIn(b"event: gap", got)
            self.assertEqual(got.count(b"data: "), 2 if i % 2 else 3)
        after = self.redis.commands()
        reads = {name: after[name] - before.get(name, 0) for name in after
                 if name in ("xrange", "xrevrange", "evalsha", "xread")}
        print(f"{self.streams} streams cost Redis {reads}")
        self.assertLess(sum(reads.values()), 100 * TIMES)


class Settings(Case):
    def test_a_password_a_user_and_a_database(self):
        text = (ROOT / "docs" / "clustering.md").read_text(encoding="utf-8")
        rule = next(line.split() for line in text.splitlines() if "ACL SETUSER" in line)
        self.redis.call(*(">pass:w@rd" if word == ">PASSWORD" else
                          word.replace("sse-notify", "mine") for word in rule))
        port = self.redis.listen()
        node = self.start("journal.type=redis", "journal.redis_prefix=mine",
                          f"journal.redis_url=redis://notify:pass%3Aw%40rd@127.0.0.1:{port}/3")
        stream = self.open("u", node)
        node.notify(user="u", data="1")
        self.assertEqual(stream.next().data, "1")
        self.assertEqual(self.redis.call("KEYS", "*"), [])
        self.assertIn("db3", self.redis.call("INFO", "keyspace").decode())
        self.assertNotIn("w@rd", node.log_text())
        other = self.start("journal.type=redis", "journal.redis_timeout=500ms",
                           f"journal.redis_url=redis://notify:wr%40ng@127.0.0.1:{port}",
                           wait_ready=False)
        wait_for(lambda: b"WRONGPASS" in other.get("/readyz").body, "the server's no is told")
        self.assertNotIn("wr@ng", other.log_text())

    def assert_refused(self, option, value, part):
        done = run("serve", "-o", "journal.type=redis", "-o", f"{option}={value}", "-o",
                   "listener.default.address=127.0.0.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(option, done.stderr)
        self.assertIn(part, done.stderr)
        self.assertNotIn("secret", done.stderr)

    def test_urls_that_are_none(self):
        for wrong, part in (("http://x", "must begin with"), ("redis://", "host"),
                            ("redis://h:0", "port"), ("rediss://u:secret@h", "stunnel"),
                            ("redis://u:secret%zz@h", "percent"), ("unix://x", "absolute"),
                            ("redis://u:secret@[::1", "]"), ("redis://h/x", "database")):
            with self.subTest(wrong):
                self.assert_refused("journal.redis_url", wrong, part)

    def test_sentinels_that_are_none(self):
        for wrong, part in (("rediss://u:secret@h", "stunnel"), ("h:0", "must look like"),
                            ("redis://u:secret@h/1", "must look like"),
                            (" ".join(f"h{i}" for i in range(9)), "up to 8")):
            with self.subTest(wrong):
                self.assert_refused("journal.redis_sentinels", wrong, part)

    def test_a_password_is_shown_to_nobody(self):
        node = self.start("journal.redis_url=redis://me:pa55w0rd@127.0.0.1/3",
                          "journal.redis_sentinels=redis://:0penup@10.0.0.1")
        shown = node.get("/config").body.decode()
        self.assertIn("redis://...@127.0.0.1/3", shown)
        self.assertNotIn("pa55w0rd", shown)
        self.assertNotIn("0penup", shown)


if __name__ == "__main__":
    main()
