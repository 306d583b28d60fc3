"""The kernel's own limit: rawlimit accepts, answers and sends in a bare loop."""
import json
import re
import subprocess

from lib.machine import BENCH, pinned

FRAME = 116     # bytes on the wire of the daemon's event for the generator's payload of 64


def measure(args):
    """Microseconds of server CPU for one connect and for one delivery, and milliseconds of wall time
    for the slowest 128 sends. The first sends on new connections are dearer than later ones, here
    and with any server: the second phase counts."""
    out = pinned(1, [BENCH / "rawlimit", "--conns", args.conns, "--modes", "send,send",
                     "--size", FRAME, "--secs", args.secs], stdout=subprocess.PIPE,
                 stderr=subprocess.DEVNULL).stdout
    connect = float(re.search(r"server ([0-9.]+) us CPU/conn", out)[1])
    delivery = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    longest = max(phase["longest_turn_us"] for phase in delivery) / 1000
    return connect, delivery[-1]["server_us_per_delivery"], longest
