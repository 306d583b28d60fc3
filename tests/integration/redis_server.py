"""A real Redis for the tests: on a Unix socket of its own, ended by its pid; replicas of it with a
Sentinel; and links to it that can be cut."""
import atexit
import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from harness import OneDaemonATest, wait_for

SERVER = os.environ.get("REDIS_SERVER", "redis-server")


def encode(parts):
    out = [b"*%d\r\n" % len(parts)]
    for part in parts:
        part = part if isinstance(part, bytes) else str(part).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(part), part))
    return b"".join(out)


class Error(Exception):
    """An answer that is an error."""


class Redis:
    """`options` go to the server's command line. With `is_kept` it has an append-only file."""

    def __init__(self, *options, is_kept=False):
        self.home = tempfile.mkdtemp(prefix="sse-notify-redis-")
        atexit.register(shutil.rmtree, self.home, ignore_errors=True)
        self.path = os.path.join(self.home, "redis.sock")
        self.options = ["--port", "0", "--unixsocket", self.path, "--dir", self.home,
                        "--save", "", "--appendonly", "yes" if is_kept else "no",
                        "--appendfsync", "always", *options]
        self.process = None
        self.start()

    @property
    def url(self):
        return f"unix://{self.path}"

    def start(self):
        self.process = subprocess.Popen([SERVER, *self.options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, "Redis answers")

    def answers(self):
        try:
            return self.call("PING") == b"PONG"
        except Error as why:
            return "NOAUTH" in str(why)
        except OSError:
            return False

    def call(self, *parts):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.path)
            s.sendall(encode(parts))
            with s.makefile("rb") as f:
                return self.read(f)

    def read(self, f):
        line = f.readline()
        if not line:
            raise OSError("the connection ended")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Error(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else f.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read(f) for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def info(self, name):
        text = self.call("INFO").decode()
        return next(line.partition(":")[2] for line in text.split("\r\n")
                    if line.startswith(name + ":"))

    def listen(self):
        """Lets it listen on TCP, too; returns the port."""
        for _ in range(20):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                port = s.getsockname()[1]
            try:
                self.call("CONFIG", "SET", "port", port)
                return port
            except Error:
                continue  # somebody else has it by now
        raise AssertionError("no free port")

    def commands(self):
        """How often each command was called so far."""
        lines = self.call("INFO", "commandstats").decode().split("\r\n")
        return {name.removeprefix("cmdstat_"): int(rest.split(",")[0].partition("=")[2])
                for name, _, rest in (line.partition(":") for line in lines) if rest}

    def pause(self):
        """It hangs, with its connections open."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sentinel(Redis):
    """Watches the server on that port under the name `mine`."""

    def __init__(self, port):
        self.port = free_port()
        self.watched = port
        super().__init__()

    def start(self):
        file = os.path.join(self.home, "sentinel.conf")  # it writes it anew
        with open(file, "w", encoding="ascii") as f:
            f.write(f"port {self.port}\nunixsocket {self.path}\ndir {self.home}\n"
                    f"sentinel monitor mine 127.0.0.1 {self.watched} 1\n"
                    "sentinel down-after-milliseconds mine 500\n"
                    "sentinel failover-timeout mine 2000\n")
        self.process = subprocess.Popen([SERVER, file, "--sentinel"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, "Sentinel answers")

    def master_port(self):
        return int(self.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mine")[1])


class Link:
    """A Unix socket that leads to another: what goes through it can be held, or cut."""

    def __init__(self, target):
        self.home = tempfile.mkdtemp(prefix="sse-notify-link-")
        atexit.register(shutil.rmtree, self.home, ignore_errors=True)
        self.path = os.path.join(self.home, "link.sock")
        self.target = target
        self.is_held = False
        self.pairs = {}  # of sockets that are joined, both ways
        self.lock = threading.Lock()
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.is_over = False
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"unix://{self.path}"

    def hold(self):
        """Nothing goes through any more, and nobody is told: as if packets were dropped."""
        self.is_held = True

    def heal(self):
        self.is_held = False

    def cut(self):
        with self.lock:
            for s in list(self.pairs):
                self._end(s)

    def close(self):
        self.is_over = True
        self.thread.join()
        self.cut()
        self.listener.close()
        self.selector.close()

    def _run(self):
        while not self.is_over:
            if self.is_held:
                threading.Event().wait(0.01)
                continue
            for key, _ in self.selector.select(0.05):
                if self.is_held:
                    break
                with self.lock:
                    self._move(key.fileobj)

    def _move(self, s):
        if s is self.listener:
            self._accept()
        elif s in self.pairs:
            try:
                piece = s.recv(65536)
                self.pairs[s].sendall(piece)
            except OSError:
                piece = b""
            if not piece:
                self._end(s)

    def _accept(self):
        near, _ = self.listener.accept()
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.target)
        except OSError:
            near.close()
            far.close()
            return
        self.pairs |= {near: far, far: near}
        for s in (near, far):
            self.selector.register(s, selectors.EVENT_READ)

    def _end(self, s):
        other = self.pairs.pop(s, None)
        if other is None:
            return
        del self.pairs[other]
        for end in (s, other):
            with contextlib.suppress(KeyError):
                self.selector.unregister(end)
            end.close()


class Case(OneDaemonATest):
    """A test with a server of its own, and nodes that share it."""
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
