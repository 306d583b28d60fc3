"""Daemons that share a record in Redis, when that hangs, dies, forgets, is full, cannot be reached,
or is another server all of a sudden."""
import json
import signal
import time

from harness import TIMES, OneDaemonATest, main, wait_for
from redis_server import Case, Link, Redis, Sentinel, free_port


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

    def test_without_memory_nothing_is_sent_and_it_is_told_why(self):
        node = self.node()
        node.notify(user="u", data="kept")
        self.redis.call("CONFIG", "SET", "maxmemory", 1)
        wait_for(lambda: node.get("/readyz").status == 503, "it is seen that Redis is full")
        self.assert_problem(node.get("/readyz"), 503, "full")
        self.assertEqual(node.request("DELETE", "/users/u/history").status, 200)  # makes room
        self.redis.call("CONFIG", "SET", "maxmemory", 0)
        self.wait_ready(node)
        self.assertIn("OOM", node.log_text())

    def test_a_link_that_is_cut(self):
        """One node's packets are dropped: its publishers are told in time, and nobody else."""
        link = Link(self.redis.path)
        self.addCleanup(link.close)
        a = self.node(f"journal.redis_url={link.url}")
        b = self.node()
        streams = [self.open("u", node) for node in (a, b)]
        b.notify(user="u", data="1")
        self.assertEqual([stream.next().data for stream in streams], ["1", "1"])
        link.hold()
        began = time.monotonic()
        refused = a.post(b'{"user":"u","data":"2","idempotency_key":"k"}')
        self.assertLess(time.monotonic() - began, 1.5 * TIMES)  # of a redis_timeout of 0.5
        self.assert_problem(refused, 503, "idempotency")
        self.assertIsNotNone(refused["Retry-After"])
        self.assert_problem(a.get("/readyz"), 503, "Redis")
        b.notify(user="u", data="2", idempotency_key="k")
        b.notify(user="u", data="3")
        self.assertEqual(streams[1].take(2), ["2", "3"])
        link.heal()
        self.wait_ready(a)
        a.notify(user="u", data="4")
        self.assertEqual(streams[0].take(3), ["2", "3", "4"])
        self.assertEqual(streams[1].take(1), ["4"])
        for stream, node in zip(streams, (a, b)):
            stream.expect_quiet(node, "u")

    def test_not_there_at_the_start(self):
        self.redis.kill()
        node = self.node(wait_ready=False)
        self.assert_problem(node.get("/readyz"), 503, "Redis")
        for method, target in (("GET", "/notifications/u"), ("GET", "/notifications/u/history"),
                               ("DELETE", "/notifications/u/abcdefgh-1"),
                               ("DELETE", "/users/u/history")):
            self.assert_problem(node.request(method, target), 503)
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

    def test_who_reads_when_redis_goes_reads_on_when_it_is_back(self):
        a = self.node("journal.window=4KiB", "journal.keep_per_user=1000", "streams.heartbeat=1h")
        start = self.open("u", a)
        start.close()
        for i in range(100):
            a.notify(user="u", data=f"{i} " + "x" * 500)
        self.redis.kill()
        self.wait_down(a)
        stream = self.open("u", a, last_event_id=start.start_id)
        self.redis.start()
        self.wait_ready(a)
        self.assertEqual([int(d.split()[0]) for d in stream.take(100)], list(range(100)))
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
        body = b'{"user":"u","data":"after","idempotency_key":"after"}'
        wait_for(lambda: b.post(body).status == 200, "it is taken")  # it was asleep meanwhile
        self.wait_ready(a)
        sent = b.post(body).json()["id"]
        self.assertGreater(int(sent.partition("-")[2]), int(lost.partition("-")[2]))
        self.assertNotEqual(sent.partition("-")[0], kept.partition("-")[0])
        for stream in streams:
            self.assert_gap(stream.next(), "expired")
            self.assertEqual(stream.take(1), ["after"])


class Failover(OneDaemonATest):
    """Two servers, and a Sentinel that makes one the master when the other is gone."""

    def setUp(self):
        super().setUp()
        self.servers = []
        for _ in range(2):
            port = free_port()
            more = ("--replicaof", "127.0.0.1", str(self.servers[0].port)) if self.servers else ()
            server = Redis("--port", str(port), "--repl-diskless-sync-delay", "0", *more)
            server.port = port
            self.addCleanup(server.kill)
            self.servers.append(server)
        self.master, self.replica = self.servers
        wait_for(lambda: self.replica.info("master_link_status") == "up", "the replica is there")
        self.sentinel = Sentinel(self.master.port)
        self.addCleanup(self.sentinel.kill)
        wait_for(lambda: self.sentinel.call("SENTINEL", "REPLICAS", "mine"), "it is known")

    def node(self, **more):
        return self.start("journal.type=redis", "journal.redis_timeout=500ms",
                          "journal.redis_sentinel_name=mine",
                          f"journal.redis_sentinels=127.0.0.1:{free_port()},"
                          f" redis://127.0.0.1:{self.sentinel.port}", **more)

    def wait_failover(self, *nodes):
        wait_for(lambda: self.sentinel.master_port() == self.replica.port, "the failover")
        for node in nodes:
            wait_for(lambda: node.get("/readyz").status == 200, "readiness")

    def test_what_the_replica_has_goes_on(self):
        a, b = self.node(), self.node()
        streams = [self.open("u", node) for node in (a, b)]
        first = a.notify(user="u", data="1")["id"]
        wait_for(lambda: self.replica.call("XLEN", "{sse-notify}:log") == 1, "it is replicated")
        self.master.kill()
        self.wait_failover(a, b)
        second = b.notify(user="u", data="2")["id"]
        self.assertEqual(first.partition("-")[0], second.partition("-")[0])
        for stream in streams:
            self.assertEqual(stream.take(2), ["1", "2"])
            stream.expect_quiet(a, "u")

    def test_what_it_has_not_got_is_told(self):
        a, b = self.node(), self.node()
        streams = [self.open("u", node) for node in (a, b)]
        kept = a.notify(user="u", data="kept")["id"]
        wait_for(lambda: self.replica.call("XLEN", "{sse-notify}:log") == 1, "it is replicated")
        self.replica.pause()
        self.master.call("CLIENT", "KILL", "TYPE", "replica")
        lost = a.notify(user="u", data="lost")["id"]
        for stream in streams:
            self.assertEqual(stream.take(2), ["kept", "lost"])
        self.master.kill()
        self.replica.go_on()
        self.wait_failover(a, b)
        sent = b.notify(user="u", data="after")["id"]
        self.assertGreater(int(sent.partition("-")[2]), int(lost.partition("-")[2]))
        for stream in streams:
            self.assert_gap(stream.next(), "expired")
            event = stream.next()
            self.assertEqual((event.data, event.id), ("after", sent))
        self.assertNotEqual(kept.partition("-")[0], sent.partition("-")[0])

    def test_no_sentinel_knows(self):
        node = self.start("journal.type=redis", "journal.redis_timeout=500ms",
                          "journal.redis_sentinel_name=other", wait_ready=False,
                          *[f"journal.redis_sentinels=127.0.0.1:{self.sentinel.port}"])
        wait_for(lambda: b"no master of the name other" in node.get("/readyz").body, "the reason")


if __name__ == "__main__":
    main()
