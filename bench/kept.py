"""With a million entries kept: start-up, memory, resumes from disk, and publishing while many
streams read what they missed."""
import ctypes
import os
import pathlib
import re
import socket
import statistics
import subprocess
import threading
import time

from measure import (CLIENT_CORE, DAEMON, Daemon, Place, generate, generator, judged, phases_of,
                     progress, spread, table)

PAYLOAD, PUBLISHERS = 300, 64
WINDOW = 64 << 20       # the default of journal.window
MISSED = 100            # entries that a stream resumes behind
TOPIC = 1000            # entries of a topic
BEHIND = 1000           # streams that are behind at once ...
SLOW = 100              # ... of which so many read slowly, ...
SLOW_RATE = 20000       # ... so many bytes a second
RATE = 1000             # publishes a second meanwhile


class Record:
    """A journal of `count` entries: half of them for users, MISSED each, all spread over the whole
    record; half for topics, TOPIC each, numbered as the generator checks them."""

    def __init__(self, folder, count):
        self.users, self.topics = count // 2 // MISSED, count // 2 // TOPIC
        self.path = folder / "journal"
        self.data = self.path / "data.mdb"
        lines = folder / "entries.ndjson"
        self.write(lines, count)
        told = subprocess.run([DAEMON, "journal", "import", "--path", self.path, lines], check=True,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        lines.unlink()
        self.epoch = re.search(r"from ([a-z0-9]+)-\d+ on", told)[1]

    def write(self, lines, count):
        filler = "x" * PAYLOAD
        with open(lines, "w") as out:
            for i in range(count):
                k = i // 2
                to, of, channels = (("topic", "t", self.topics) if i % 2 else
                                    ("user", "u", self.users))
                data = f"~0.{k % channels}.{k // channels + 1}~{filler}"[:PAYLOAD]
                out.write(f'{{"{to}":"{of}{k % channels}","data":"{data}"}}\n')

    def id_before(self, user):
        """Of all that the user has."""
        return f"{self.epoch}-{2 * user}"

    def daemon(self, **more):
        return Daemon("journal.type=disk", f"journal.path={self.path}", **more)


# ---- resumes ----

def connect(daemon, patience):
    end = time.monotonic() + patience
    while True:
        try:
            return socket.create_connection((daemon.host, daemon.port), timeout=30)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.0002)


def resume(daemon, record, user, patience=0.0):
    """When a stream of the user's asked for what it missed, and when it had it."""
    with connect(daemon, patience) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.monotonic()
        connection.sendall(f"GET /notifications/u{user} HTTP/1.1\r\nHost: {daemon.host}\r\n"
                           f"Last-Event-ID: {record.id_before(user)}\r\n\r\n".encode())
        text = b""
        while text.count(b"\nevent: notification\n") < MISSED:
            part = connection.recv(1 << 18)
            if not part:
                raise SystemExit("a stream ended before it had what it missed")
            text += part
        done = time.monotonic()
    if b"event: gap" in text:
        raise SystemExit("a stream was told of a gap where everything is kept")
    return begun, done


def measure_resumes(daemon, record, samples, is_cold):
    """Milliseconds of resumes, each of another user. None where it cannot be measured."""
    figures = []
    for n in range(samples):
        if is_cold and not forget_pages(daemon.process.pid, record.data):
            return None
        begun, done = resume(daemon, record, n * 37 % record.users)
        figures.append(1000 * (done - begun))
    return figures


def forget_pages(pid, file):
    """Takes the file's pages out of memory, from the process and the system's cache. False where
    that is not permitted."""
    MADV_PAGEOUT, PROCESS_MADVISE = 21, 440

    class Range(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    libc = ctypes.CDLL(None, use_errno=True)
    size = os.stat(file).st_size
    process = os.pidfd_open(pid)
    try:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            if not line.endswith(str(file)):
                continue
            begin, done = int(line.split("-")[0], 16), 0
            while done < size:
                part = Range(begin + done, size - done)
                n = libc.syscall(PROCESS_MADVISE, process, ctypes.byref(part), 1, MADV_PAGEOUT, 0)
                if n <= 0:
                    return False
                done += n
    finally:
        os.close(process)
    data = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(data, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(data)
    return True


# ---- starts ----

def measure_start(record):
    """Milliseconds from exec until it is ready, and until the first stream had what it missed."""
    with record.daemon(wait=False) as daemon:
        ready = []
        waiter = threading.Thread(target=lambda: ready.append(daemon.wait_ready()))
        waiter.start()
        _, done = resume(daemon, record, 0, patience=30)
        waiter.join()
    return 1000 * (ready[0] - daemon.begun), 1000 * (done - daemon.begun)


def kill_amid_publishes(record):
    """Leaves a write-ahead log that the next start brings in."""
    with record.daemon() as daemon:
        publish_to_others(daemon, 0.4)
        daemon.process.kill()


def publish_to_others(daemon, secs):
    generate(daemon, "--streams", 1, "--stream-path", "/notifications/other0", "--publish-body",
             '{"user":"other{user}","data":"{payload}"}', "--users", 5000, "--payload", PAYLOAD,
             "--settle", 0, "--seconds", secs, f"publish:publishers={PUBLISHERS}")


# ---- memory ----

def memory_of(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return [int(re.search(rf"{name}:\s*(\d+) kB", status)[1]) * 1024
            for name in ("RssAnon", "RssFile")]


def fill_window(daemon):
    while daemon.stats()["window_evicted"] == 0:
        publish_to_others(daemon, 0.5)


# ---- streams that are behind ----

def publish_latency(daemon, secs):
    """An open loop, at a modest rate, to users with streams of their own: when a publish that was
    due was answered, and when its stream had it. Milliseconds."""
    asked = f"latency:publishers={PUBLISHERS},rate={RATE}"
    phase = generate(daemon, "--streams", 200, "--stream-path", "/notifications/live{user}",
                     "--publish-body", '{"user":"live{user}","data":"{payload}"}', "--payload",
                     PAYLOAD, "--settle", 0, "--seconds", secs, asked)[asked]
    return {name: {q: phase[name][q] / 1000 for q in ("p50", "p99")}
            for name in ("answer_us", "unicast_us", "late_us")}


def measure_behind(daemon, record, secs):
    """Publishing alone, then while streams read topics from their first entry on, over and over."""
    alone = publish_latency(daemon, secs)
    asked = f"catchup:each={TOPIC}"
    readers = subprocess.Popen(
        ["nice", "-n", "19", "taskset", "-c", str(CLIENT_CORE), *map(str, generator(
            daemon, "--streams", BEHIND, "--users", record.topics, "--slow", SLOW, "--slow-rate",
            SLOW_RATE, "--stream-path",
            "/notifications/reader{stream}?topic=t{user}&last_event_id=earliest", "--settle", 0,
            "--seconds", secs + 6, asked))],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        end = time.monotonic() + 30
        while daemon.stats()["streams_behind"] < BEHIND / 2 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(2)           # until the first have come to their end and begin anew
        before = daemon.stats()
        beside = publish_latency(daemon, secs)
        after = daemon.stats()
        phase = phases_of(readers.communicate(timeout=120)[0])[asked]
    finally:
        readers.kill()
    return alone, beside, phase["deliveries_per_s"], {name: after[name] - before[name] for name in (
        "window_evicted", "notifications_accepted", "journal_reads")}


# ---- all of it ----

def measure(args):
    with Place() as folder:
        progress(f"importing {args.entries} entries")
        record = Record(folder, args.entries)
        orderly, killed = [], []
        for n in range(args.rounds):
            progress(f"start {n + 1} of {args.rounds}")
            orderly.append(measure_start(record))
        with record.daemon() as daemon:
            progress("resumes")
            warm = measure_resumes(daemon, record, 500, False)
            cold = measure_resumes(daemon, record, 20, True)
            fill_window(daemon)
            memory = memory_of(daemon.process.pid)
            progress("streams that are behind")
            behind = measure_behind(daemon, record, 2 * args.secs)
            beside = memory_of(daemon.process.pid)[0]
            entries, size = daemon.stats()["journal_entries"], record.data.stat().st_size
        for n in range(args.rounds):
            progress(f"start after a kill {n + 1} of {args.rounds}")
            kill_amid_publishes(record)
            killed.append(measure_start(record))
    return "\n".join([
        table([*starts(args, orderly, killed), resumes(warm), memory_row(memory, entries),
               publishes(behind)]),
        "",
        f"With the queues of {BEHIND} streams that are behind the memory of its own was "
        f"{beside / 2**20:.0f} MiB. "
        f"The file has {size / 2**20:.0f} MiB and is mapped: {memory[1] / 2**20:.0f} MiB of it "
        f"were resident, which the system takes back when it likes; no such page is in the memory "
        f"above. With none of it resident or cached a resume "
        + ("could not be measured here." if cold is None else f"takes {spread(cold, 1)} ms."),
        "", readers_text(behind)])


def starts(args, orderly, killed):
    for what, figures in (("an orderly end", orderly), ("a kill amid publishes", killed)):
        ready, first = zip(*figures)
        yield judged(f"start-up after {what}, from exec until ready, {args.entries} entries kept",
                     f"{spread(ready, 0)} ms",
                     f"first stream has what it missed after {spread(first, 0)} ms",
                     "under 1 s", statistics.median(ready) < 1000)


def p99(values):
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def resumes(warm):
    return judged(f"a resume of {MISSED} missed entries from disk", f"{spread(warm, 2)} ms",
                  f"99 of 100 within {p99(warm):.2f} ms", "under 2 ms",
                  statistics.median(warm) < 2)


def memory_row(memory, entries):
    each = (memory[0] - WINDOW) / entries
    return judged("memory of the daemon's own (RssAnon) over the window's bound, with the window "
                  "full, an entry kept",
                  f"{each:.1f} bytes",
                  f"{memory[0] / 2**20:.1f} MiB, of which the window may have {WINDOW >> 20}",
                  "at most 32", each <= 32)


def publishes(behind):
    alone, beside, _, _ = behind
    return judged(f"a publish, 99 of 100 answered, while {BEHIND} streams are behind",
                  f"{beside['answer_us']['p99']:.1f} ms",
                  f"alone {alone['answer_us']['p99']:.1f} ms", "under 10 ms",
                  beside["answer_us"]["p99"] < 10)


def readers_text(behind):
    alone, beside, rate, counts = behind
    return (
        f"Of the {BEHIND} streams that were behind, {SLOW} read {SLOW_RATE // 1000} kB a second "
        f"and the others as fast as they could: {TOPIC} entries of {PAYLOAD} bytes each, over and "
        f"over, {rate:.0f} entries a second in all, from {counts['journal_reads']} pages. "
        f"Meanwhile {RATE} publishes a second fell due, each to a user with a stream, which had "
        f"them after {beside['unicast_us']['p50']:.1f} ms (99 of 100: "
        f"{beside['unicast_us']['p99']:.1f}; alone "
        f"{alone['unicast_us']['p50']:.1f} and {alone['unicast_us']['p99']:.1f}); the generator "
        f"itself was late by {beside['late_us']['p99']:.1f} ms in 1 of 100. The window was full: "
        f"{counts['window_evicted']} entries went from it to make room for the "
        f"{counts['notifications_accepted']} that were published, none for those who read.")
