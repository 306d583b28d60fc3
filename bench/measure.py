"""What the measuring programs of this folder share: the daemon, the generator, tables, the page.

The server runs on core 0, the generator on core 1."""
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
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


def pinned(core, command, check=True, **more):
    return subprocess.run(["taskset", "-c", str(core), *map(str, command)], text=True, check=check,
                          timeout=300, **more)


class Daemon:
    """The release build on core 0: without access log, as servers are compared, or with its log
    going to the file `log`. `options` are "section.key=value"; its journal is in memory unless they
    say otherwise. `begun` is when it was executed, by time.monotonic."""
    templates = ()      # the generator knows ours

    def __init__(self, *options, log=None, wait=True):
        self.log = log
        self.wait = wait
        self.options = ["journal.type=memory", "log.level=" + ("info" if log else "error"),
                        "server.drain_time=0s", *options]

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.host, self.port = s.getsockname()
        self.address = f"{self.host}:{self.port}"
        self.url = f"http://{self.address}"
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
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=30):
                    return time.monotonic()
            except OSError:
                time.sleep(0.001)
        raise SystemExit("the daemon did not start")

    def longest_turn(self):
        """Milliseconds, by the wall clock and of processor time."""
        stats = self.stats()
        return stats["loop_longest_us"] / 1000, stats["loop_longest_cpu_us"] / 1000

    def stats(self):
        with urllib.request.urlopen(f"{self.url}/stats", timeout=30) as answer:
            return json.load(answer)


def generator(server, *arguments):
    """The command of the load generator for a server that has `url`, `process` and `templates`,
    what the generator must know of it."""
    return [DAEMON, "bench", "--json", "--pid", server.process.pid, "--core", SERVER_CORE,
            "--url", server.url, *server.templates, *arguments]


def phases_of(text):
    """What the generator has measured, by what was asked; of what was asked twice the second
    counts."""
    if not text:
        raise SystemExit("the generator measured nothing")
    report = json.loads(text)
    phases = {phase["asked"]: phase for phase in report["phases"]}
    for asked, phase in phases.items():
        wrong = {k: phase[k] for k in ("lost", "gaps", "doubled", "reordered", "misrouted",
                                       "refused", "failed", "closed") if phase.get(k)}
        if wrong:
            raise SystemExit(f"{asked}: {wrong} {phase['failure']}: the figures of a server that "
                             "errs mean nothing")
    if not report["complete"]:
        raise SystemExit("the generator did not come to its end")
    return phases


def generate(server, *arguments):
    return phases_of(pinned(CLIENT_CORE, generator(server, *arguments), stdout=subprocess.PIPE,
                            check=False).stdout)


def spread(values, digits):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def verdict(met):
    return "yes" if met else "**no**"


def table(rows):
    return "\n".join(["| what | median (min..max) | compared | wanted | met |",
                      "|---|---|---|---|---|", *rows])


def judged(what, figure, compared, wanted, met):
    """A row of that table."""
    return f"| {what} | {figure} | {compared} | {wanted} | {verdict(met)} |"


class Place:
    """A directory for one journal, on the disk that this folder is on."""

    def __enter__(self):
        BENCH.mkdir(parents=True, exist_ok=True)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="journal-", dir=BENCH))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


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
