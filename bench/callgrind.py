"""The daemon under callgrind, and what callgrind has written down of it.

The daemon runs with `--dump-before=api_healthz`: each GET /healthz ends one part of the profile and
begins the next, at the same place in the program every time. Its random numbers are always the same
(fixed_random.c), so that the hash tables, which are keyed by them, look the same in every run."""
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DAEMON = ROOT / "build" / "release" / "sse-notify"
FIXED_RANDOM = ROOT / "build" / "bench" / "fixed_random.so"
OURS = (f"{ROOT}/src/", f"{ROOT}/include/")
DEADLINE = 120

# Of a line "fn=(12) name" or "cfi=(12)": which table its number belongs to.
TABLES = {"ob": "object", "cob": "object", "fl": "file", "fi": "file", "fe": "file",
          "cfi": "file", "cfl": "file", "fn": "function", "cfn": "function"}
NAME = re.compile(r"(c?ob|f[lie]|cf[il]|c?fn)=\((\d+)\)(?: (.*))?")


def costs(path):
    """Yields (object, file, function, instructions) for each piece of code in one part. The file is
    that of the source: what was inlined is where it was written."""
    names = {"object": {}, "file": {}, "function": {}}
    at = {"object": "", "file": "", "function": ""}
    is_call = False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            named = NAME.match(line)
            if named:
                what, number, name = named.groups()
                table = names[TABLES[what]]
                if name is not None:
                    table[number] = name
                if what[0] != "c":
                    at[TABLES[what]] = table[number]
            elif line.startswith("calls="):
                is_call = True  # the next line has what the call took, which is told there too
            elif line[:1] in "0123456789+-*":
                if not is_call:
                    yield at["object"], at["file"], at["function"], int(line.split()[1])
                is_call = False


def is_ours(file):
    """Whether code of that file is the daemon's, not a library's or llhttp's."""
    return file.startswith(OURS)


class Daemon:
    """`options` are "section.key=value". With `callers`, a function's name carries those it was
    called from, as in "send'write_some'flush". Within the `with` block, mark() ends a part of the
    profile; after it, parts() has a file for each, of the loop's thread, the start being the
    first."""

    def __init__(self, *options, callers=0):
        self.folder = tempfile.TemporaryDirectory(prefix="sse-notify-counted-")
        self.home = pathlib.Path(self.folder.name)
        self.control = None
        self.log = open(self.home / "log", "w+", encoding="utf-8", errors="replace")
        with socket.socket() as s:  # on an address of its own nobody else takes the port meanwhile
            s.bind((f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.1", 0))
            self.address = s.getsockname()
        command = ["valgrind", "--tool=callgrind", "-q", "--vgdb=no", "--dump-before=api_healthz",
                   f"--callgrind-out-file={self.home}/out", "--separate-threads=yes",
                   f"--separate-callers={callers}", DAEMON, "serve"]
        for option in (f"listener.default.address={self.address[0]}:{self.address[1]}",
                       "server.drain_time=0s", "log.format=text", "streams.heartbeat=1h", *options):
            command += ["-o", option]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=self.log,
            env=os.environ | {"LD_PRELOAD": str(FIXED_RANDOM),
                              "STATE_DIRECTORY": str(self.home / "state")})

    def __enter__(self):
        end = time.monotonic() + DEADLINE
        while self.control is None:
            try:
                self.control = self.connect()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.process.kill()
                    self.log.seek(0)
                    raise SystemExit("the daemon did not start under valgrind "
                                     f"({self.process.wait()}): {self.log.read()}") from None
                time.sleep(0.05)
        self.mark()
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=DEADLINE)
        self.log.close()

    def connect(self, first=b""):
        """The first bytes are there when the connection is accepted, or a turn of the loop more
        would be counted now and then."""
        s = socket.socket()
        s.settimeout(DEADLINE)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.connect(self.address)
        s.sendall(first)
        return s

    def mark(self):
        self.control.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer(self.control)

    def parts(self):
        found = {int(path.name.split(".")[1].split("-")[0]): path
                 for path in self.home.glob("out.*-01")}
        return [found[number] for number in sorted(found)]

    def thread(self, number):
        """Another thread's whole life in one part; the loop's is 1."""
        return self.home / f"out-{number:02d}"


def answer(s):
    """Reads one response, of a Content-Length, and returns its body."""
    data = b""
    while True:
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank:
            length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
            if len(body) >= length:
                break
        more = s.recv(65536)
        if not more:
            raise SystemExit("the daemon has closed a connection that it should not have")
        data += more
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the daemon answered {data!r}")
    return body
