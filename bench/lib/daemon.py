"""The daemon on its core, and the generator on the other."""
import json
import socket
import subprocess
import time
import urllib.request

from lib.machine import BENCH, ROOT, pinned

DAEMON = ROOT / "build" / "release" / "sse-notify"


class Daemon:
    """The release build on core 0: without access log, as servers are compared, or with its log
    going to the file `log`."""

    def __init__(self, log=None):
        self.log = log

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{s.getsockname()[1]}"
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", DAEMON, "-o", f"listener.default.address={self.address}",
             "-o", "journal.type=memory",
             "-o", "log.level=" + ("info" if self.log else "warning"),
             "-o", "server.drain_time=0s"], stderr=self.log)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                self.stats()
                return self
            except OSError:
                time.sleep(0.02)
        raise SystemExit("the daemon did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def longest_turn(self):
        """Milliseconds, by the wall clock and of processor time."""
        stats = self.stats()
        return stats["loop_longest_us"] / 1000, stats["loop_longest_cpu_us"] / 1000

    def stats(self):
        with urllib.request.urlopen(f"http://{self.address}/stats", timeout=30) as answer:
            return json.load(answer)


def generate(daemon, args, *more):
    out = pinned(1, [BENCH / "ssebench", "--pid", daemon.process.pid, "--server-cpu", 0,
                     "--server", daemon.address, "--conns", args.conns, "--secs", args.secs, *more],
                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    phases = {p["phase"]: p for p in json.loads(out.splitlines()[-1])["phases"]}
    for name, phase in phases.items():
        wrong = {k: phase.get(k, 0) for k in ("lost", "dup", "reordered", "misrouted", "bad")}
        if any(wrong.values()):
            raise SystemExit(f"{name}: {wrong}: the figures of a server that errs mean nothing")
    return phases


def others(phase):
    """Percent of the server's core that was busy with what is not on the server's bill: other
    processes, and the kernel's own threads, which take over when much comes in at once."""
    return 100 * max(0, phase["server_core_busy"] - phase["server_busy"])
