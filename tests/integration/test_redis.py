"""The journal in Redis: several daemons that are one service, and what they do when Redis errs."""
import json
import signal

from harness import Daemon, OneDaemonATest, main, run, wait_for
from redis_server import Redis


class Case(OneDaemonATest):
    redis_options = ()
    is_kept = False

    def setUp(self):
        super().setUp()
        self.redis = Redis(*self.redis_options, is_kept=self.is_kept)
        self.addCleanup(self.redis.kill)

    def node(self, *options, **more):
        return self.start("journal.type=redis", f"journal.redis_url={self.redis.url}",
                          "journal.redis_timeout=500ms", *options, **more)

    def wait_ready(self, *nodes):
        for node in nodes:
            wait_for(lambda: node.get("/readyz").status == 200, "readiness")

    def wait_down(self, *nodes):
        for node in nodes:
            wait_for(lambda: node.get("/readyz").status == 503, "it is seen that Redis is away")


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


class Failures(Case):
    def test_killed_and_empty_afterwards(self):
        a, b = self.node(), self.node()
        streams = [self.open("u", node) for node in (a, b)]
        a.notify(user="u", data="before")
        for stream in streams:
            self.assertEqual(stream.next().data, "before")
        self.redis.kill()
        self.wait_down(a, b)
        refused = a.post(b'{"user":"u","data":"lost"}')
        self.assert_problem(refused, 503)
        self.assertIsNotNone(refused["Retry-After"])
        self.redis.start()
        self.wait_ready(a, b)
        sent = b.notify(user="u", data="after")["id"]
        for stream in streams:  # the same connection all along
            gap = self.assert_gap(stream.next(), "expired")
            self.assertEqual(gap["resumed_at"].partition("-")[0], sent.partition("-")[0])
            self.assertNotEqual(gap["after"].partition("-")[0], sent.partition("-")[0])
            event = stream.next()
            self.assertEqual((event.data, event.id), ("after", sent))
            stream.close()
        resumed = self.open("u", a, last_event_id=streams[0].last_id)
        resumed.expect_quiet(a, "u")
        old = self.open("u", a, last_event_id=gap["after"])
        self.assert_gap(old.next(), "unknown-id")
        self.assertEqual(old.next().data, "after")

    def test_hanging_and_back(self):
        a, b = self.node(), self.node()
        streams = [self.open("u", node) for node in (a, b)]
        a.notify(user="u", data="1", idempotency_key="k1")
        self.redis.pause()
        self.addCleanup(self.redis.go_on)
        refused = a.post(json.dumps({"user": "u", "data": "2", "idempotency_key": "k2"}).encode())
        self.assert_problem(refused, 503)
        self.wait_down(a, b)
        self.redis.go_on()
        self.wait_ready(a, b)
        b.notify(user="u", data="2", idempotency_key="k2")  # whatever became of the first try
        a.notify(user="u", data="3")
        for stream in streams:
            self.assertEqual(stream.take(3), ["1", "2", "3"])
            stream.expect_quiet(a, "u")

    def test_out_of_memory(self):
        node = self.node()
        stream = self.open("u", node)
        node.notify(user="u", data="1")
        self.redis.call("CONFIG", "SET", "maxmemory", 1)
        refused = node.post(b'{"user":"u","data":"no"}')
        self.assert_problem(refused, 507)
        self.redis.call("CONFIG", "SET", "maxmemory", 0)
        node.notify(user="u", data="2")
        self.assertEqual(stream.take(2), ["1", "2"])

    def test_not_there_at_the_start(self):
        self.redis.kill()
        node = Daemon("journal.type=redis", f"journal.redis_url={self.redis.url}",
                      "journal.redis_timeout=500ms", wait_ready=False)
        self.addCleanup(lambda: node.process and node.stop())
        node.start()
        self.assert_problem(node.get("/readyz"), 503, "Redis")
        self.assert_problem(node.request("GET", "/notifications/u"), 503)
        self.redis.start()
        self.wait_ready(node)
        stream = self.open("u", node)
        node.notify(user="u", data="1")
        self.assertEqual(stream.next().data, "1")

    def test_the_script_is_forgotten(self):
        node = self.node()
        stream = self.open("u", node)
        self.redis.call("SCRIPT", "FLUSH")
        node.post(b'{"user":"u","data":"1","idempotency_key":"k"}')  # refused, or not
        self.wait_ready(node)
        node.notify(user="u", data="1", idempotency_key="k")
        self.assertEqual(stream.next().data, "1")


class Restarted(Case):
    is_kept = True

    def test_with_its_data(self):
        a, b = self.node(), self.node()
        streams = [self.open("u", node) for node in (a, b)]
        first = a.notify(user="u", data="1")["id"]
        for stream in streams:
            self.assertEqual(stream.next().data, "1")
        self.redis.kill()
        self.wait_down(a, b)
        self.redis.start()
        self.wait_ready(a, b)
        second = b.notify(user="u", data="2")["id"]
        self.assertEqual(first.partition("-")[0], second.partition("-")[0])
        self.assertGreater(int(second.partition("-")[2]), int(first.partition("-")[2]))
        for stream in streams:
            self.assertEqual(stream.take(1), ["2"])
            stream.expect_quiet(a, "u")

    def test_what_came_in_while_a_node_was_cut_off(self):
        """A node whose connections are ended again and again misses nothing."""
        a, b = self.node(), self.node()
        stream = self.open("u", b)
        for i in range(30):
            if i % 10 == 5:
                self.redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                self.wait_ready(a, b)
            body = json.dumps({"user": "u", "data": i, "idempotency_key": f"k{i}"}).encode()
            wait_for(lambda: a.post(body).status == 200, "it is taken")
        self.assertEqual(stream.take(30), [str(i) for i in range(30)])
        stream.expect_quiet(b, "u")

    def test_with_the_last_of_it_lost(self):
        """What a replica has not got when it takes over: numbers are not given out again, and
        everybody is told."""
        a, b = self.node(), self.node()
        streams = [self.open("u", node) for node in (a, b)]
        kept = a.notify(user="u", data="kept")["id"]
        keys = ["{sse-notify}:" + name for name in ("log", "meta", "of:uu")]
        copies = [self.redis.call("DUMP", key) for key in keys]
        lost = a.notify(user="u", data="lost")["id"]
        for stream in streams:
            self.assertEqual(stream.take(2), ["kept", "lost"])
        for node in (a, b):
            node.process.send_signal(signal.SIGSTOP)
        for key, value in zip(keys, copies):
            self.redis.call("RESTORE", key, 0, value, "REPLACE")
        self.redis.kill()
        self.redis.start()
        for node in (a, b):
            node.process.send_signal(signal.SIGCONT)
        self.wait_ready(a, b)
        sent = b.notify(user="u", data="after")["id"]
        self.assertGreater(int(sent.partition("-")[2]), int(lost.partition("-")[2]))
        self.assertNotEqual(sent.partition("-")[0], kept.partition("-")[0])
        for stream in streams:
            self.assert_gap(stream.next(), "expired")
            self.assertEqual(stream.take(1), ["after"])


class Settings(Case):
    def test_a_password_a_user_and_a_database(self):
        self.redis.call("ACL", "SETUSER", "notify", "on", ">pass:w@rd", "~*", "+@all")
        port = self.redis.listen()
        node = self.start("journal.type=redis", "journal.redis_prefix=mine",
                          f"journal.redis_url=redis://notify:pass%3Aw%40rd@127.0.0.1:{port}/3")
        stream = self.open("u", node)
        node.notify(user="u", data="1")
        self.assertEqual(stream.next().data, "1")
        self.assertEqual(self.redis.call("KEYS", "*"), [])
        self.assertIn("db3", self.redis.call("INFO", "keyspace").decode())
        self.assertNotIn("w@rd", node.log_text())
        other = Daemon("journal.type=redis", "journal.redis_timeout=500ms",
                       f"journal.redis_url=redis://notify:wr%40ng@127.0.0.1:{port}",
                       wait_ready=False, start=False)
        self.addCleanup(lambda: other.process and other.stop())
        other.start()
        wait_for(lambda: b"WRONGPASS" in other.get("/readyz").body, "the server's no is told")
        self.assertNotIn("wr@ng", other.log_text())

    def test_urls_that_are_none(self):
        for wrong, part in (("http://x", "must begin with"), ("redis://", "host"),
                            ("redis://h:0", "port"), ("rediss://u:secret@h", "stunnel"),
                            ("redis://u:secret%zz@h", "percent"), ("unix://x", "absolute"),
                            ("redis://u:secret@[::1", "]"), ("redis://h/x", "database")):
            with self.subTest(wrong):
                done = run("serve", "-o", "journal.type=redis", "-o",
                           f"journal.redis_url={wrong}", "-o",
                           "listener.default.address=127.0.0.1:0")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("journal.redis_url", done.stderr)
                self.assertIn(part, done.stderr)
                self.assertNotIn("secret", done.stderr)


if __name__ == "__main__":
    main()
