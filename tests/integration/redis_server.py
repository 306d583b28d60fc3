"""A real Redis for the tests: on a Unix socket of its own, ended by its pid."""
import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import wait_for

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
