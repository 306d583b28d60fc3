"""What the integration tests share: the built daemon, a raw HTTP client, a strict SSE client.

Nothing here sleeps for luck: everything waits for a condition, with a deadline. Servers listen on
ports that the system chooses. TIMES (TEST_IS_SLOW) stretches deadlines under valgrind; TEST_OPTIONS
are settings of all daemons."""
import atexit
import collections
import contextlib
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("SSE_NOTIFY_BIN") or str(ROOT / "build" / "release" / "sse-notify")
WRAP = shlex.split(os.environ.get("SSE_NOTIFY_WRAP", ""))
EVERYWHERE = os.environ.get("TEST_OPTIONS", "").split()  # as "section.key=value", of each daemon
TIMES = 10 if os.environ.get("TEST_IS_SLOW") else 1
DEADLINE = 10 * TIMES  # seconds for anything that should happen at once

ID = re.compile(r"[A-Za-z0-9.:,-]{1,128}\Z")


def wait_for(condition, what="the condition", seconds=DEADLINE):
    """Calls `condition` until it returns something true, which it returns."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def quote(text):
    """A path segment."""
    return urllib.parse.quote(text, safe="")


# ---- the daemon ----

class Daemon:
    """The program under test. `options` are "section.key=value"; no file of its grows past
    `file_limit` bytes, if that is given; without `wait_ready` only listening is waited for;
    `process` goes to Popen."""

    def __init__(self, *options, env=None, arguments=(), file_limit=None, start=True,
                 wait_ready=True, **process):
        self.options = list(options)
        self.arguments = list(arguments)
        self.limit = ["prlimit", f"--fsize={file_limit}:"] if file_limit else []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SSE_NOTIFY_")}
        self.home = tempfile.mkdtemp(prefix="sse-notify-test-")  # its journal is there
        atexit.register(shutil.rmtree, self.home, ignore_errors=True)
        if "user" in process:
            shutil.chown(self.home, process["user"])
        self.env |= {"STATE_DIRECTORY": self.home} | (env or {})
        self.port = 0
        self.popen = process
        self.wait_ready = wait_ready
        self.process = None
        self.lines = []  # of the log, as they came
        self.news = threading.Condition()
        if start:
            self.start()

    def command(self):
        # The test's own options come last, so that they win.
        options = [f"listener.default.address=127.0.0.1:{self.port}", "log.format=json",
                   "server.drain_time=500ms", *EVERYWHERE, *self.options]
        return [*self.limit, *WRAP, BIN, "serve", *self.arguments,
                *(x for o in options for x in ("-o", o))]

    def start(self):
        self.lines = []
        self.process = subprocess.Popen(self.command(), env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        **self.popen)
        self.reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        address = self.wait_log("listening")["address"]
        self.port = int(address.rpartition(":")[2])
        if self.wait_ready:
            wait_for(lambda: self.get("/readyz").status == 200, "readiness")
        return self

    def _read(self, pipe):
        for line in pipe:
            with self.news:
                self.lines.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.news.notify_all()
        pipe.close()

    def log_text(self):
        with self.news:
            return "\n".join(self.lines)

    def log(self, message=None):
        """The log's lines as objects; of that message only, if one is given."""
        with self.news:
            entries = []
            for line in self.lines:
                try:
                    entries.append(json.loads(line))
                except ValueError:
                    raise AssertionError(f"not a JSON line on stderr: {line}\n" +
                                         "\n".join(self.lines)) from None
        return [e for e in entries if message is None or e["message"] == message]

    def wait_log(self, message, count=1, seconds=DEADLINE, **fields):
        """The `count`th line of that message with these fields."""
        end = time.monotonic() + seconds
        while True:
            with self.news:
                seen = len(self.lines)
            found = [e for e in self.log(message) if all(e.get(k) == v for k, v in fields.items())]
            if len(found) >= count:
                return found[count - 1]
            left = end - time.monotonic()
            if left <= 0 or (self.process.poll() is not None and not self.reader.is_alive()):
                raise AssertionError(f'no "{message}" {fields} in the log:\n{self.log_text()}')
            with self.news:
                if len(self.lines) == seen:
                    self.news.wait(min(left, 0.2))

    def stop(self, seconds=DEADLINE):
        """SIGTERM, and the end that it should have."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"still running {seconds} s after SIGTERM\n{self.log_text()}") \
                from None
        self.reader.join(DEADLINE)
        if status != 0:
            raise AssertionError(f"exit status {status} after SIGTERM\n{self.log_text()}")

    def kill(self):
        """kill -9: no goodbyes. (Under a wrapper it is the wrapper that dies, with its child.)"""
        process, self.process = self.process, None
        process.kill()
        process.wait()
        self.reader.join(DEADLINE)

    def restart(self):
        """The same address again, once it is not running."""
        if self.process is not None:
            self.stop()
        return self.start()

    # -- shorthands --

    def connect(self, **options):
        return Http(self.port, **options)

    def request(self, method, target, body=None, headers=()):
        """One request on a connection of its own."""
        with self.connect() as http:
            http.send_request(method, target, body, [("Connection", "close"), *headers])
            return http.read_response(method == "HEAD")

    def get(self, target, headers=()):
        return self.request("GET", target, None, headers)

    def post(self, body, headers=(), target="/notify"):
        return self.request("POST", target, body, headers)

    def notify(self, **fields):
        """Publishes what must be taken; returns the answer."""
        response = self.post(json.dumps(fields).encode())
        if response.status != 200:
            raise AssertionError(f"POST /notify: {response}")
        return response.json()

    def stream(self, target, **options):
        """An open stream, its preamble read. A bare user id is the path of its stream."""
        path = target if target.startswith("/") else f"/notifications/{target}"
        return Stream(self.port, path, **options)

    def presence(self, user):
        response = self.get(f"/users/{quote(user)}")
        if response.status != 200:
            raise AssertionError(f"presence: {response}")
        return response.json()

    def history(self, user, query=""):
        response = self.get(f"/notifications/{quote(user)}/history{query}")
        if response.status != 200:
            raise AssertionError(f"history: {response}")
        return response.json()

    def stats(self):
        return self.get("/stats").json()

    def wait_streams(self, user, count):
        """Until presence shows that many."""
        return wait_for(lambda: len(self.presence(user)["streams"]) == count,
                        f"{count} streams of {user}")


# ---- HTTP over a raw socket ----

class Closed(AssertionError):
    """The peer closed where more was expected."""


class Reader:
    """Buffered reading of a socket with a deadline for each call."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(None)
        self.poll = select.poll()  # select knows no descriptors from 1024 on
        self.poll.register(sock, select.POLLIN)
        self.buffer = b""

    def fill(self, end):
        left = end - time.monotonic()
        ready = left > 0 and self.poll.poll(left * 1000)
        if not ready:
            raise TimeoutError("nothing came in time")
        try:
            piece = self.sock.recv(65536)
        except ConnectionResetError as why:
            raise Closed("reset by the peer") from why
        if not piece:
            raise Closed("closed by the peer")
        self.buffer += piece

    def until(self, mark, end):
        at = self.buffer.find(mark)
        while at < 0:
            start = max(len(self.buffer) - len(mark), 0)
            self.fill(end)
            at = self.buffer.find(mark, start)
        return self.take(at + len(mark))

    def exactly(self, n, end):
        while len(self.buffer) < n:
            self.fill(end)
        return self.take(n)

    def take(self, n):
        head, self.buffer = self.buffer[:n], self.buffer[n:]
        return head


class Head:
    """Status line and headers, read strictly."""

    def __init__(self, raw):
        self.raw = raw
        assert raw.endswith(b"\r\n\r\n"), raw
        lines = raw[:-4].split(b"\r\n")
        found = re.fullmatch(rb"HTTP/1\.1 (\d{3}) ([\x20-\x7e]*)", lines[0])
        assert found, f"status line {lines[0]!r}"
        self.status = int(found.group(1))
        self.reason = found.group(2).decode()
        self.headers = []
        for line in lines[1:]:
            found = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\x20-\x7e]*)", line)
            assert found, f"header line {line!r}"
            self.headers.append((found.group(1).decode().lower(), found.group(2).decode()))

    def __getitem__(self, name):
        """The header's value; None if absent. More than one is an error."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} {len(values)} times"
        return values[0] if values else None


class Response(Head):
    def __init__(self, raw, body):
        super().__init__(raw)
        self.body = body

    def __repr__(self):
        return f"{self.status} {self.reason} {self.headers} {self.body[:600]!r}"

    def json(self):
        return json.loads(self.body)

    def problem(self):
        """The problem document, checked for its form (RFC 9457)."""
        assert self["Content-Type"] == "application/problem+json", self
        problem = self.json()
        assert set(problem) >= {"type", "title", "status", "detail"}, self
        assert problem["status"] == self.status, self
        assert problem["detail"] and "\n" not in problem["detail"], self
        return problem


def read_chunked(reader, end):
    """A chunked body, read as strictly as RFC 9112 7.1 writes it."""
    body = b""
    while True:
        line = reader.until(b"\r\n", end)
        assert re.fullmatch(rb"[0-9A-Fa-f]+\r\n", line), f"chunk size {line!r}"
        size = int(line, 16)
        piece = reader.exactly(size + 2, end)
        assert piece.endswith(b"\r\n"), f"chunk of {size} ends in {piece[-2:]!r}"
        if size == 0:
            return body
        body += piece[:-2]


class Http:
    """A connection that sends any bytes and reads exactly one response at a time."""

    def __init__(self, port, rcvbuf=None, host="127.0.0.1", source=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if source:
            self.sock.bind((source, 0))
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(DEADLINE)
        try:
            self.sock.connect((host, port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_in_pieces(self, data, size=1):
        """Each piece is a segment of its own (Nagle is off)."""
        for at in range(0, len(data), size):
            self.sock.sendall(data[at:at + size])

    def send_request(self, method, target, body=None, headers=(), version="1.1"):
        lines = [f"{method} {target} HTTP/{version}", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None and not any(n.lower() in ("content-length", "transfer-encoding")
                                        for n, _ in headers):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def read_head(self, seconds=DEADLINE):
        return self.reader.until(b"\r\n\r\n", time.monotonic() + seconds)

    def read_response(self, is_head=False, seconds=DEADLINE):
        """Exactly one final response; what comes behind it stays for the next."""
        end = time.monotonic() + seconds
        head = Head(self.reader.until(b"\r\n\r\n", end))
        while head.status in (100, 103):
            head = Head(self.reader.until(b"\r\n\r\n", end))
        length, coding = head["Content-Length"], head["Transfer-Encoding"]
        assert not (length and coding), "both Content-Length and Transfer-Encoding"
        if is_head or head.status in (204, 304):
            body = b""
        elif coding:
            assert coding == "chunked", coding
            body = read_chunked(self.reader, end)
        elif length is not None:
            assert re.fullmatch(r"\d+", length), length
            body = self.reader.exactly(int(length), end)
        else:
            assert head["Connection"] == "close", "no length, and kept alive"
            body = self.read_to_end(seconds)
        return Response(head.raw, body)

    def read_to_end(self, seconds=DEADLINE):
        """All until the peer closes, which it must in time."""
        end = time.monotonic() + seconds
        with contextlib.suppress(Closed):
            while True:
                self.reader.fill(end)
        return self.reader.take(len(self.reader.buffer))

    def is_closed(self, seconds=DEADLINE):
        """Whether the peer closes in time without sending another byte."""
        return self.read_to_end(seconds) == b""


# ---- the event stream ----

Event = collections.namedtuple("Event", "id event data")


class EventParser:
    """WHATWG HTML 9.2.6, "Interpreting an event stream", over the lines of our own server, which
    ends them with LF alone. Gives items: ("event", Event), ("comment", text), ("retry", ms), and
    ("id", id) for a block that sets the id and dispatches nothing."""

    def __init__(self):
        self.rest = b""
        self.last_id = ""
        self.clear()

    def clear(self):
        self.data = []
        self.type = ""
        self.saw_id = False

    def feed(self, piece):
        self.rest += piece
        *lines, self.rest = self.rest.split(b"\n")
        for line in lines:
            assert b"\r" not in line, f"a bare CR in {line!r}"
            yield from self.line(line.decode("utf-8"))

    def line(self, line):
        if line == "":
            if self.data:
                yield "event", Event(self.last_id, self.type or "message", "\n".join(self.data))
            elif self.saw_id:
                yield "id", self.last_id
            self.clear()
        elif line.startswith(":"):
            yield "comment", line[1:].removeprefix(" ")
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            assert name in ("data", "event", "id", "retry"), f"unknown field in {line!r}"
            if name == "data":
                self.data.append(value)
            elif name == "event":
                self.type = value
            elif name == "id":
                assert "\0" not in value
                self.last_id, self.saw_id = value, True
            else:
                assert re.fullmatch(r"[0-9]+", value), line
                yield "retry", int(value)


class Stream:
    """A subscriber. Opening it reads the preamble unless `wait` is false.

    The body's framing is verified strictly: every chunk whole, nothing after the last."""

    def __init__(self, port, path, headers=(), version="1.1", rcvbuf=None, last_event_id=None,
                 method="GET", wait=True, host="127.0.0.1", source=None):
        self.http = Http(port, rcvbuf, host, source)
        headers = list(headers)
        if last_event_id is not None:
            headers.append(("Last-Event-ID", last_event_id))
        self.http.send_request(method, path, None, headers, version)
        self.items = collections.deque()
        self.parser = EventParser()
        self.comments = []
        self.retry = None
        self.raw = bytearray()  # the body without its framing; grows in place
        self.ended = None     # "last-chunk", "closed"
        self.head = None
        self.start_id = None  # of the id-only block
        if wait:
            self.open()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.http.close()

    def begin(self, seconds=DEADLINE):
        """Reads the head: all there is before the first event of a stream of the daemon's own."""
        self.head = Head(self.http.read_head(seconds))
        if self.head.status != 200:
            raise AssertionError(f"stream refused: {self.head.raw}")
        self.is_chunked = self.head["Transfer-Encoding"] == "chunked"
        return self

    def open(self, seconds=DEADLINE):
        """Reads the head and the preamble."""
        self.begin(seconds)
        kind, value = self.next_item(seconds)
        while kind != "id":
            assert kind in ("retry", "comment"), f"{kind} {value} before the id-only block"
            kind, value = self.next_item(seconds)
        self.start_id = value
        return self

    @property
    def client_id(self):
        return self.comments[0].removeprefix("connected ")

    @property
    def last_id(self):
        """What a browser would send as Last-Event-ID."""
        return self.parser.last_id

    def _read_piece(self, end):
        """The next bytes of the body, framing off."""
        reader = self.http.reader
        if not self.is_chunked:
            if not reader.buffer:
                reader.fill(end)
            return reader.take(len(reader.buffer))
        line = reader.until(b"\r\n", end)
        assert re.fullmatch(rb"[0-9A-Fa-f]+\r\n", line), f"chunk size {line!r}"
        size = int(line, 16)
        piece = reader.exactly(size + 2, end)
        assert piece.endswith(b"\r\n"), f"chunk of {size} ends in {piece[-2:]!r}"
        if size == 0:
            assert reader.buffer == b"", f"bytes after the last chunk: {reader.buffer!r}"
            self.ended = "last-chunk"
        return piece[:-2]

    def next_item(self, seconds=DEADLINE):
        """The next item of any kind. Raises Closed at the stream's end."""
        end = time.monotonic() + seconds
        while not self.items:
            if self.ended:
                raise Closed(f"the stream ended ({self.ended})")
            try:
                piece = self._read_piece(end)
            except Closed:
                self.ended = "closed"
                raise
            self.raw += piece
            self.items.extend(self.parser.feed(piece))
        kind, value = self.items.popleft()
        if kind == "comment":
            self.comments.append(value)
        elif kind == "retry":
            self.retry = value
        return kind, value

    def next(self, seconds=DEADLINE):
        """The next event; comments, retry and ids on the way are noted."""
        end = time.monotonic() + seconds
        while True:
            kind, value = self.next_item(max(end - time.monotonic(), 0))
            if kind == "event":
                return value

    def take(self, count, seconds=DEADLINE):
        """The data of the next `count` events."""
        return [self.next(seconds).data for _ in range(count)]

    def expect_end(self, seconds=DEADLINE):
        """Reads on until the stream ends; returns the events on the way."""
        events = []
        with contextlib.suppress(Closed):
            while True:
                events.append(self.next(seconds))
        if self.ended == "last-chunk":
            assert self.http.is_closed(seconds), "bytes after the end"
        assert self.parser.rest == b"", f"ended within a line: {self.parser.rest!r}"
        return events

    def expect_quiet(self, daemon, user):
        """Nothing is under way: a notification sent now is the next event that comes."""
        sent = daemon.notify(user=user, event="fence", data="fence", ttl=0)
        got = self.next()
        assert got.event == "fence", f"unexpected {got}"
        return sent


# ---- the test case ----

class OneDaemonATest(unittest.TestCase):
    """What a test asks for; the daemon of a test is its own."""
    maxDiff = None
    daemon = None

    def setUp(self):
        # A user of its own for every test: they share a daemon, not their notifications.
        self.user = self.id().rpartition(".")[2][:100]

    def start(self, *options, **more):
        """A daemon for this test alone."""
        daemon = Daemon(*options, **more)
        self.addCleanup(lambda: daemon.process and daemon.stop())
        return daemon

    def scratch(self):
        """An empty directory for this test."""
        path = tempfile.mkdtemp(prefix="sse-notify-test-")
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def open(self, user=None, daemon=None, **options):
        stream = (daemon or self.daemon).stream(user or self.user, **options)
        self.addCleanup(stream.close)
        return stream

    def connect(self, daemon=None, **options):
        http = (daemon or self.daemon).connect(**options)
        self.addCleanup(http.close)
        return http

    def assert_problem(self, response, status, *parts):
        """A problem document of that status whose detail mentions the parts."""
        self.assertEqual(response.status, status, response)
        detail = response.problem()["detail"]
        for part in parts:
            self.assertIn(part, detail)
        return detail

    def assert_gap(self, event, reason):
        self.assertEqual(event.event, "gap", event)
        gap = json.loads(event.data)
        self.assertEqual(gap["reason"], reason)
        self.assertEqual(set(gap), {"reason", "after", "resumed_at"})
        return gap


class TestCase(OneDaemonATest):
    """A daemon for the whole class, with the class's `options`."""
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(*cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()


def run(*arguments, stdin=None, env=None, seconds=DEADLINE):
    """The program as a command, to its end. A daemon keeps its journal for as long as that."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SSE_NOTIFY_")}
    with tempfile.TemporaryDirectory(prefix="sse-notify-test-") as home:
        return subprocess.run([BIN, *map(str, arguments)], input=stdin, text=True,
                              capture_output=True, timeout=seconds, check=False,
                              env=clean | {"STATE_DIRECTORY": home} | (env or {}))


def main():
    if not os.access(BIN, os.X_OK):
        raise SystemExit(f"{BIN} is not there: build it first, or name one in SSE_NOTIFY_BIN")
    unittest.main()
