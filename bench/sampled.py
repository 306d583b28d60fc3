"""The daemon under load, sampled by perf: where its processor time goes, the kernel's part of it
too. perf needs no counters of the processor for that, which virtual machines seldom have."""
import collections
import json
import pathlib
import re
import subprocess
import tempfile
import time

import measure

RATE, OPENING_RATE = 1000, 4000  # samples a second of processor time; opening is over soon
# With 32 KiB of the stack copied for each sample, as the daemon has no frame pointers.
EVENT = ["-e", "cpu-clock", "--call-graph", "dwarf,32768"]
FRAME = re.compile(r"\t *([0-9a-f]+) (.+?)(?:\+0x[0-9a-f]+)? \((.*)\)$")


def why_not():
    """Why perf cannot be used here, or None."""
    try:
        done = subprocess.run(["perf", "record", "-q", *EVENT, "-o", "/dev/null", "--", "true"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              check=False)
    except FileNotFoundError:
        return "there is no perf (Debian: linux-perf)"
    return None if done.returncode == 0 else f"perf says: {done.stderr.strip()}"


def stacks_of(text):
    """{(outermost function, ..., innermost): samples} and {function: the file it is in}, from
    `perf script`."""
    stacks = collections.Counter()
    files = {}
    stack, inlined = [], []  # ... into what has the same address and comes next
    for line in text.splitlines() + [""]:
        frame = FRAME.match(line)
        if frame:
            address, name, file = frame.groups()
            if name == "[unknown]":
                continue
            stack.append(name)
            inlined = [entry for entry in inlined if entry[0] == address] + [(address, name)]
            if file != "inlined":
                files |= {name: file for _, name in inlined}
                inlined = []
        elif not line and stack:
            stacks[tuple(reversed(stack))] += 1
            stack, inlined = [], []
    return stacks, files


def until_open(daemon, streams, generator):
    while daemon.stats()["streams_open"] < streams:
        if generator.poll() is not None:
            raise SystemExit("the generator ended before all streams were open")
        time.sleep(0.05)


def sample(arguments, streams, is_opening):
    """Samples the daemon while `sse-notify bench` opens its streams or, unless is_opening, in the
    phase after that. Returns (stacks_of, the report of the generator)."""
    with tempfile.TemporaryDirectory(prefix="sse-notify-sampled-") as home, \
            measure.Daemon() as daemon:
        data = pathlib.Path(home) / "perf.data"
        command = ["perf", "record", "-q", *EVENT, "-F", OPENING_RATE if is_opening else RATE,
                   "-p", daemon.process.pid, "-o", data]
        load = ["taskset", "-c", str(measure.CLIENT_CORE),
                *measure.generator(daemon, "--streams", streams, *arguments)]
        if is_opening:
            perf = subprocess.Popen([*map(str, command)])
            time.sleep(1)  # until it has attached itself; what it misses is missed
        generator = subprocess.Popen([*map(str, load)], stdout=subprocess.PIPE, text=True)
        until_open(daemon, streams, generator)
        if not is_opening:
            time.sleep(1.5)  # past the generator's own wait, into its phase
            perf = subprocess.Popen([*map(str, [*command, "--", "sleep", "4"])])
        else:
            perf.send_signal(2)
        perf.wait(timeout=60)
        report = json.loads(generator.communicate(timeout=120)[0])
        text = subprocess.run(["perf", "script", "-i", data], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, errors="replace", check=True).stdout
    return *stacks_of(text), report
