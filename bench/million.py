#!/usr/bin/env python3
"""The first process of the guest that bench/million starts: opens the streams, and does with them
what is to be done. The file that MILLION names gets the figures."""
import ctypes
import fcntl
import json
import os
import pathlib
import platform
import resource
import socket
import struct
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "release" / "sse-notify"
URL = "http://127.0.0.1:8080"
FIRST = 10000           # streams of the trial
UNICASTS = 1000
IDLE_S = 60
# How the time is divided: opening, of which a stream takes about as much as all that follows.
OPENING = 0.55
# Looking by the clock saves the guest its dear switches from one process to the other.
GENERATOR = ["--opening", "4096", "--look", "20ms", "--settle", "0", "--processes", "1"]


def tell(text):
    print(f"guest: {text}", flush=True)


def prepare():
    libc = ctypes.CDLL(None)
    libc.mount(b"proc", b"/proc", b"proc", 0, None)
    for name, value in (("fs/nr_open", 5000000), ("fs/file-max", 10000000),
                        ("net/core/somaxconn", 65535), ("net/ipv4/tcp_max_syn_backlog", 65535),
                        ("net/ipv4/tcp_mem", "1500000 2000000 3000000")):
        pathlib.Path("/proc/sys", name).write_text(str(value))
    resource.setrlimit(resource.RLIMIT_NOFILE, (4500000, 4500000))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:     # ip link set lo up
        request = struct.pack("16sh14x", b"lo", 0)
        flags, = struct.unpack("16xh14x", fcntl.ioctl(s, 0x8913, request))
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))


def stats():
    with urllib.request.urlopen(f"{URL}/stats", timeout=60) as answer:
        return json.load(answer)


def start(heartbeat_s):
    options = [f"streams.heartbeat={heartbeat_s:.0f}s", "streams.max_streams=0",
               "journal.type=memory", "log.level=error", "server.drain_time=0s",
               "listener.default.address=127.0.0.1:8080"]
    process = subprocess.Popen([PROGRAM, *[x for o in options for x in ("-o", o)]])
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            stats()
            return process
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the daemon did not start")


def number_in(path, name):
    """Bytes, of a line as `Slab:  1234 kB`."""
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def sample(process):
    return {"streams": stats()["streams_open"], "rss": number_in(f"/proc/{process.pid}/status",
                                                                 "VmRSS:"),
            "slab": number_in("/proc/meminfo", "Slab:")}


class Sampler(threading.Thread):
    """Samples while streams open, until there are as many as there will be."""

    def __init__(self, process, streams):
        super().__init__(daemon=True)
        self.process, self.streams = process, streams
        self.samples = []
        self.stop = threading.Event()

    def run(self):
        while not self.stop.wait(5):
            now = sample(self.process)
            if not self.samples or now["streams"] > self.samples[-1]["streams"]:
                self.samples.append(now)
                tell(f"{now['streams']:,} streams, daemon {now['rss'] >> 20} MiB, kernel "
                     f"{now['slab'] >> 20} MiB")
            if now["streams"] >= self.streams:
                return


def generate(process, streams, limit_s, *phases):
    command = [PROGRAM, "bench", "--json", "--url", URL, "--pid", process.pid, "--streams", streams,
               "--open-limit", f"{limit_s:.0f}s", *GENERATOR, *phases]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.stderr:
        tell(done.stderr.strip())
    return json.loads(done.stdout)["phases"]


def trial(streams):
    """Streams that open in a second."""
    process = start(3600)
    phases = generate(process, min(FIRST, streams), 300, "idle:seconds=1")
    process.terminate()
    process.wait()
    return phases[0]["streams_per_s"]


def wait_closed(seconds):
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        if stats()["streams_open"] == 0:
            return time.monotonic() - begun
        time.sleep(2)
    return None


def measure(wanted, minutes):
    rate = trial(wanted)
    budget_s = minutes * 60 * OPENING
    streams = min(wanted, int(rate * budget_s))
    tell(f"{rate:.0f} streams a second: {streams:,} of {wanted:,}")
    opening_s = streams / rate
    process = start(min(opening_s * 1.2 + 10, 3600))
    before = sample(process)
    sampler = Sampler(process, streams)
    sampler.start()
    phases = generate(process, streams, opening_s * 2 + 60, f"idle:seconds={IDLE_S}",
                      "fanout:count=1,seconds=600", f"unicast:count={UNICASTS},seconds=60")
    sampler.stop.set()
    sampler.join()
    closed_s = wait_closed(minutes * 60 * 0.2)
    figures = stats()
    process.kill()
    process.wait()
    return {"kernel": platform.release(), "before": before, "samples": sampler.samples,
            "phases": phases, "heartbeats": figures["heartbeats"], "closed_s": closed_s,
            "turn_ms": figures["loop_longest_us"] / 1000,
            "turn_cpu_ms": figures["loop_longest_cpu_us"] / 1000}


def main():
    streams, minutes, path = os.environ["MILLION"].split(",")
    prepare()
    result = measure(int(streams), float(minutes))
    pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Exception as why:    # or the guest's kernel would complain of its first process' end
        tell(f"failed: {why!r}")
    os.sync()
    ctypes.CDLL(None).reboot(0x4321fedc)    # LINUX_REBOOT_CMD_POWER_OFF
