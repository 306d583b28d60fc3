"""What the measuring programs of this folder share: the daemon, the generator, tables, the page.

The server runs on core 0, the generator on core 1."""
import json
import os
import pathlib
import platform
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "build" / "bench"
DAEMON = ROOT / "build" / "release" / "sse-notify"
PAGE = ROOT / "docs" / "performance.md"
SERVER_CORE, CLIENT_CORE = 0, 1


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def pinned(core, command, **more):
    return subprocess.run(["taskset", "-c", str(core), *map(str, command)], text=True, check=True,
                          timeout=300, **more)


class Daemon:
    """The release build on core 0: without access log, as servers are compared, or with its log
    going to the file `log`. `options` are "section.key=value"; its journal is in memory unless they
    say otherwise. `begun` is when it was executed, by time.monotonic."""

    def __init__(self, *options, log=None, wait=True):
        self.log = log
        self.wait = wait
        self.options = ["journal.type=memory", "log.level=" + ("info" if log else "warning"),
                        "server.drain_time=0s", *options]

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.host, self.port = s.getsockname()
        self.address = f"{self.host}:{self.port}"
        options = [f"listener.default.address={self.address}", *self.options]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), DAEMON, *[x for o in options for x in ("-o", o)]],
            stderr=self.log)
        if self.wait:
            self.wait_ready()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)

    def wait_ready(self, seconds=30):
        while time.monotonic() < self.begun + seconds:
            try:
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=30):
                    return time.monotonic()
            except OSError:
                time.sleep(0.001)
        raise SystemExit("the daemon did not start")

    def longest_turn(self):
        """Milliseconds, by the wall clock and of processor time."""
        stats = self.stats()
        return stats["loop_longest_us"] / 1000, stats["loop_longest_cpu_us"] / 1000

    def stats(self):
        with urllib.request.urlopen(f"http://{self.address}/stats", timeout=30) as answer:
            return json.load(answer)


def generator(daemon, *arguments):
    """The command of a load generator for the daemon."""
    return [BENCH / "ssebench", "--pid", daemon.process.pid, "--server-cpu", SERVER_CORE,
            "--server", daemon.address, *arguments]


def phases_of(text):
    """What the generator has measured, by phase; of a phase that was run twice the second counts."""
    phases = {p["phase"]: p for p in json.loads(text.splitlines()[-1])["phases"]}
    for name, phase in phases.items():
        wrong = {k: phase[k] for k in ("lost", "gap", "dup", "reordered", "misrouted", "bad")
                 if phase.get(k)}
        if wrong:
            raise SystemExit(f"{name}: {wrong}: the figures of a server that errs mean nothing")
    return phases


def generate(daemon, *arguments):
    return phases_of(pinned(CLIENT_CORE, generator(daemon, *arguments), stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout)


def spread(values, digits):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def verdict(met):
    return "yes" if met else "**no**"


def use_all_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def need_two_cores():
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("the server and the generator need a core each")


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
            f"Linux {platform.release().split('-')[0]}")


def write_page(section, text):
    """Puts the text between the section's markers in docs/performance.md."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    head, rest = PAGE.read_text().split(begin)
    tail = rest.split(end)[1]
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")
