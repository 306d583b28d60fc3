"""Clients that mean harm, each kind on its own, while honest ones publish and listen: those are
served, in time, and nothing of the others stays behind."""
import contextlib
import functools
import json
import multiprocessing
import os
import re
import resource
import selectors
import socket
import struct
import subprocess
import time

from harness import DEADLINE, TIMES, Daemon, Http, OneDaemonATest, Stream, main, wait_for

# Seconds, the p99 of honest publishes while an attack lasts: what nobody could overlook, as other
# tests run beside this one. HOSTILE_LATE=0.01 is for a quiet machine.
LATE = float(os.environ.get("HOSTILE_LATE", 0.25)) * TIMES
TRIES = 3  # that a machine with other work has for that
ATTACK = 1.5  # seconds that one lasts at least
OPTIONS = ("journal.type=memory", "http.header_timeout=1s", "http.body_timeout=1s",
           "http.idle_timeout=60s", "limits.max_memory=256MiB")


def use_all_descriptors():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def publish_honestly(port, pipe):
    """In a process of its own, so that the attacker's work is not measured: publishes to a stream
    that it reads, until it is told to end; what it sends back is how long each publish took."""
    took, wrong = [], ""
    try:
        with Stream(port, "/notifications/honest") as stream, Http(port) as publisher:
            number = 0
            while not pipe.poll(0.002):
                body = json.dumps({"user": "honest", "data": number}).encode()
                begun = time.monotonic()
                publisher.send_request("POST", "/notify", body)
                response = publisher.read_response()
                took.append(time.monotonic() - begun)
                if response.status != 200 or stream.next().data != str(number):
                    raise AssertionError(f"{number}: {response}")
                number += 1
    except Exception as why:  # whatever it is, the test is to tell it
        wrong = repr(why)
    pipe.send((took, wrong))


def p99(took):
    return sorted(took)[len(took) * 99 // 100]


@contextlib.contextmanager
def honest(daemon):
    """Gives a list that has the times of honest publishes when the block has ended."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=publish_honestly, args=(daemon.port, theirs), daemon=True)
    process.start()
    times = []
    begun = time.monotonic()
    try:
        yield times
        time.sleep(max(0, ATTACK - (time.monotonic() - begun)))
    finally:
        ours.send("end")
        took, wrong = ours.recv() if ours.poll(DEADLINE * 3) else ([], "it hangs")
        process.join(DEADLINE)
        if process.is_alive():
            process.kill()
    times.extend(took)
    if wrong or len(took) < 5:
        raise AssertionError(f"honest publishes: {wrong or 'too few'} after {len(took)}\n"
                             f"{daemon.log_text()[-2000:]}")


def withstood(test):
    """What a test does is an attack."""
    @functools.wraps(test)
    def run(self):
        self.withstand(lambda: test(self))
    return run


class Hostile(OneDaemonATest):
    @classmethod
    def setUpClass(cls):
        cls.most = use_all_descriptors()
        cls.daemon = Daemon(*OPTIONS)
        with honest(cls.daemon) as times:
            pass
        cls.usual = p99(times)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def withstand(self, attack):
        """Honest clients are served while `attack` runs, and all is as before after it."""
        before = len(self.daemon.lines)
        bound = max(LATE, 5 * self.usual)
        for _ in range(TRIES):
            with honest(self.daemon) as times:
                attack()
            wait_for(lambda: self.daemon.stats()["connections_open"] <= 1,
                     "the end of the attack's connections", 3 * DEADLINE)
            if p99(times) < bound:
                break
        else:
            self.fail(f"p99 of {len(times)} publishes: {p99(times)} s, and {self.usual} s without "
                      "an attack")
        stats = self.daemon.stats()
        self.assertEqual((stats["streams_open"], stats["queued_messages"], stats["out_of_memory"]),
                         (0, 0, 0))
        with self.daemon.news:  # a warning may come, but not one for each
            lines = self.daemon.lines[before:]
        warnings = [line for line in lines if '"level":"info"' not in line]
        self.assertLess(len(warnings), 10, "\n".join(warnings[:20]))

    def sockets(self, count, sends=b"", rcvbuf=None):
        """Connected ones that have sent that much."""
        found = []
        for _ in range(count):
            sock = socket.socket()
            self.addCleanup(sock.close)
            if rcvbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            sock.connect(("127.0.0.1", self.daemon.port))
            if sends:
                sock.sendall(sends)
            found.append(sock)
        return found

    def read_all(self, socks, seconds=DEADLINE):
        """What each has got when the daemon has closed them all."""
        got = {sock: b"" for sock in socks}
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for sock in socks:
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ)
            while selector.get_map():
                self.assertLess(time.monotonic(), end, f"{len(selector.get_map())} are open still")
                for key, _ in selector.select(0.1):
                    try:
                        piece = key.fileobj.recv(65536)
                    except ConnectionResetError:
                        piece = b""
                    got[key.fileobj] += piece
                    if not piece:
                        selector.unregister(key.fileobj)
        return list(got.values())

    def close(self, socks):
        for sock in socks:
            sock.close()

    def flood(self, socks, data, seconds=ATTACK):
        """Writes to all of them over and over, as fast as they take it, and reads nothing. Returns
        how much they took."""
        taken = 0
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for sock in socks:
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_WRITE, [0])
            while time.monotonic() < end and selector.get_map():
                for key, _ in selector.select(0.05):
                    try:
                        n = key.fileobj.send(data[key.data[0]:])
                        taken += n
                        key.data[0] = (key.data[0] + n) % len(data)
                    except BlockingIOError:
                        pass
                    except OSError:
                        selector.unregister(key.fileobj)
        return taken

    # -- slow ones --

    @withstood
    def test_heads_that_never_end(self):
        socks = self.sockets(500, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        for _ in range(3):  # a byte now and then does not put it off
            time.sleep(0.3)
            for sock in socks:
                with contextlib.suppress(OSError):
                    sock.send(b"a")
        answers = self.read_all(socks)
        self.assertTrue(all(a.startswith(b"HTTP/1.1 408 ") for a in answers))
        self.assertGreaterEqual(self.daemon.stats()["timeouts_header"], 500)

    @withstood
    def test_bodies_that_never_end(self):
        socks = self.sockets(500, b"POST /notify HTTP/1.1\r\nHost: localhost\r\n"
                                  b"Content-Length: 100000\r\n\r\n{")
        for _ in range(3):
            time.sleep(0.3)
            for sock in socks:
                with contextlib.suppress(OSError):
                    sock.send(b" ")
        answers = self.read_all(socks)
        self.assertTrue(all(a.startswith(b"HTTP/1.1 408 ") for a in answers))
        self.assertGreaterEqual(self.daemon.stats()["timeouts_body"], 500)

    @withstood
    def test_streams_that_never_read(self):
        socks = self.sockets(50, b"GET /notifications/deaf HTTP/1.1\r\nHost: localhost\r\n\r\n",
                             rcvbuf=4096)
        body = json.dumps([{"user": "deaf", "data": "x" * 10000}] * 10).encode()
        for _ in range(60):
            self.assertEqual(self.daemon.post(body).status, 200)
        self.assertLess(self.daemon.stats()["memory_held"], 256 << 20)
        self.close(socks)

    @withstood
    def test_answers_that_are_never_read(self):
        socks = self.sockets(50, rcvbuf=4096)
        request = b"GET /notifications/x/history HTTP/1.1\r\nHost: localhost\r\n\r\n"
        taken = self.flood(socks, request * 100)
        self.assertLess(taken, 50 * (8 << 20), "what is not answered is not read for ever")
        self.close(socks)

    @withstood
    def test_very_many_connections_that_say_nothing(self):
        socks = []
        for _ in range(20):
            socks += self.sockets(min(10000, self.most - 500) // 20)
            time.sleep(0.05)
        wait_for(lambda: self.daemon.stats()["connections_open"] > len(socks), "all of them")
        while socks:
            self.close(socks[:200])
            del socks[:200]
            time.sleep(0.02)

    # -- large ones --

    @withstood
    def test_heads_that_are_too_large(self):
        end = time.monotonic() + ATTACK
        while time.monotonic() < end:
            for bomb in (b"X: " + b"a" * 1000000, b"X: y\r\n" * 100000,
                         b"a" * 500000 + b": x\r\n"):
                sock, = self.sockets(1, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
                with contextlib.suppress(OSError):
                    sock.sendall(bomb)
                answer, = self.read_all([sock])
                self.assertIn(answer[9:12], (b"431", b""), answer)

    @withstood
    def test_extensions_of_chunks_without_end(self):
        head = (b"POST /notify HTTP/1.1\r\nHost: localhost\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n")
        socks = self.sockets(20, head)
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.sendall(b"1;" + b"x" * 3000000)
        for answer in self.read_all(socks):
            self.assertNotIn(b" 200 ", answer[:20])
        socks = self.sockets(20, head)
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.sendall(b"1;abcdefgh\r\nx\r\n" * 200000)
        for answer in self.read_all(socks):
            self.assertNotIn(b" 200 ", answer[:20])

    @withstood
    def test_floods_of_pipelined_requests(self):
        socks = self.sockets(4)
        self.flood(socks, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        self.close(socks)

    @withstood
    def test_storms_of_resets(self):
        end = time.monotonic() + ATTACK
        while time.monotonic() < end:
            socks = self.sockets(100, b"GET /notifications/r HTTP/1.1\r\nHost: localhost\r\n"
                                      b"\r\n")
            for sock in socks:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close(socks)

    def test_large_bodies_that_are_not_finished(self):
        daemon = self.start(*OPTIONS, "limits.max_memory=128MiB", "http.body_timeout=30s")
        head = b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        with honest(daemon):  # 32 MiB are for them
            for _ in range(70):
                sock = socket.create_connection(("127.0.0.1", daemon.port), DEADLINE)
                self.addCleanup(sock.close)
                with contextlib.suppress(OSError):
                    sock.sendall(head + b" " * 900000)
            wait_for(lambda: daemon.stats()["requests_refused_for_memory"] > 10, "refusals")
            self.assertLess(daemon.stats()["request_bytes"], 34 << 20)
        response = daemon.post(b" " * 900000)
        self.assert_problem(response, 503, "limits.max_memory")
        self.assertEqual(response["Retry-After"], "1")

    # -- odd ones --

    @withstood
    def test_json_that_is_nested_deep(self):
        for text in (b"[" * (1 << 20), b'{"a":' * 200000, b'{"user":"a","data":' + b"[" * 500000,
                     b'{"user":"a","data":' + b"[" * 400000 + b"]" * 400000 + b"}",
                     b'["' + b"\\u0000" * 100000, b"1" * (1 << 20), b"-" * (1 << 20)):
            with self.subTest(text[:30]):
                self.assert_problem(self.daemon.post(text), 400)

    def test_odd_bytes_in_every_field(self):
        odd = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\\u0000", b"\0", b"\r", b"\n", b"\\r\\n",
               b"\\ud800", b"\x1f")
        for byte in odd:
            for field in (b"user", b"topic", b"event", b"collapse_key", b"idempotency_key"):
                body = b'{"user":"a","data":1,"%s":"x%sx"}' % (field, byte)
                if field in (b"user", b"topic"):
                    body = b'{"data":1,"%s":"x%sx"}' % (field, byte)
                with self.subTest(body):
                    self.assert_problem(self.daemon.post(body), 400)
            self.assertEqual(self.daemon.get("/healthz").status, 200)
        for byte in ("%ff", "%00", "%0d%0a", "%c0%af", "%1f"):
            for target in (f"/notifications/{byte}", f"/users/a{byte}",
                           f"/notifications/a?topic={byte}", f"/notifications/{byte}/history"):
                with self.subTest(target):
                    self.assert_problem(self.daemon.get(target), 400)
        for byte in (b"\0", b"\r", b"\x01", b"\x7f"):
            for request in (b"GET /heal%sthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                            b"GET /healthz HTTP/1.1\r\nHost: local%shost\r\n\r\n",
                            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA%sb: c\r\n\r\n",
                            b"GE%sT /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
                with self.subTest(request % byte):
                    answer, = self.read_all(self.sockets(1, request % byte))
                    self.assertRegex(answer[9:12], rb"\A(4\d\d|501|505)?\Z")

    def test_data_with_line_ends_forges_no_event(self):
        stream = self.open("victim")
        for end in ("\n", "\r", "\r\n", "\n\n", "\r\r"):
            self.daemon.notify(user="victim", data=f"a{end}event: bye{end}id: 9{end}data: b")
            event = stream.next()
            self.assertEqual(event.event, "notification")
            self.assertNotEqual(event.id, "9")
        stream.close()

    # -- slowhttptest --

    def slowhttptest(self, *arguments):
        done = subprocess.run(["slowhttptest", "-l", "4", "-r", "400", "-c", "400", "-p", "3",
                               *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60 * TIMES, check=False)
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
        self.assertRegex(plain, r"service available: +YES", plain)

    def url(self, path):
        return f"http://127.0.0.1:{self.daemon.port}{path}"

    @withstood
    def test_slowhttptest_with_heads(self):
        self.slowhttptest("-H", "-i", "1", "-u", self.url("/healthz"))

    @withstood
    def test_slowhttptest_with_bodies(self):
        self.slowhttptest("-B", "-i", "1", "-s", "8192", "-u", self.url("/notify"))

    @withstood
    def test_slowhttptest_with_reading(self):
        self.slowhttptest("-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5", "-k", "3",
                          "-u", self.url("/metrics"))

    @withstood
    def test_slowhttptest_with_ranges(self):
        self.slowhttptest("-R", "-u", self.url("/healthz"))


if __name__ == "__main__":
    main()
