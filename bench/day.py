"""Days of traffic, and how large the journal gets. Notifications of random sizes for users, topics
and all, with lives of their own, collapse and idempotency keys, taken back and erased.

The same seed makes the same traffic. It is sent in batches, each answered before the next."""
import http.client
import json
import math
import os
import random
import time

from measure import PAGE, Daemon, Place, judged, progress, table

BATCH = 200
CHART = PAGE.parent / "journal-size.svg"


class Traffic:
    """Publishes to the daemon at `host`:`port`. `users` and `topics` are how many there are, of
    whom few are much busier than most; `max_size` bounds a payload, whose sizes spread over all
    magnitudes from 20 bytes on."""

    def __init__(self, host, port, seed=1, users=2000, topics=50, max_size=60000):
        self.random = random.Random(seed)
        self.users, self.topics, self.max_size = users, topics, max_size
        self.connection = http.client.HTTPConnection(host, port, timeout=60)
        self.filler = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz    ", k=max_size))
        self.recent = []        # (user, id) that may be taken back
        self.published = 0
        self.bytes = 0          # of their payloads
        self.keys = 0
        self.counts = {"expiring": 0, "collapsing": 0, "keyed": 0, "retracted": 0, "erased": 0}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 404):
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if answer.status == 200 else None

    def someone(self, count):
        return int(count * self.random.random() ** 3)

    def size(self):
        return int(math.exp(self.random.uniform(math.log(20), math.log(self.max_size))))

    def notification(self):
        r = self.random
        n = {"data": self.filler[:self.size()]}
        kind = r.random()
        if kind < 0.85:
            n["user"] = f"user-{self.someone(self.users)}"
        elif kind < 0.99:
            n["topic"] = f"topic-{self.someone(self.topics)}"
        else:
            n["broadcast"] = True
        if r.random() < 0.2:
            n["ttl"] = r.choice((1, 2, 5, 20))
            self.counts["expiring"] += 1
        if r.random() < 0.15:
            n["collapse_key"] = f"k{r.randrange(5)}"
            self.counts["collapsing"] += 1
        if r.random() < 0.1:
            self.keys += 1
            n["idempotency_key"] = f"key-{self.keys}"
            self.counts["keyed"] += 1
        return n

    def take_back(self):
        """Some of the newest are retracted, some users erased."""
        for user, id in self.random.sample(self.recent, min(3, len(self.recent))):
            self.ask("DELETE", f"/notifications/{user}/{id}")
            self.counts["retracted"] += 1
        if self.random.random() < 0.2:
            self.ask("DELETE", f"/users/user-{self.someone(self.users)}/history")
            self.counts["erased"] += 1

    def publish(self):
        """One batch. Returns the bytes of its payloads."""
        batch, size = [], 0
        while len(batch) < BATCH and size < 500000:
            batch.append(self.notification())
            size += len(batch[-1]["data"])
        results = self.ask("POST", "/notify", json.dumps(batch))["results"]
        if any("error" in r for r in results):
            raise RuntimeError(f"refused: {[r for r in results if 'error' in r][0]}")
        self.recent = [(n["user"], r["id"]) for n, r in zip(batch, results) if "user" in n]
        self.take_back()
        self.published += len(batch)
        self.bytes += size
        return size

    def close(self):
        self.connection.close()


# ---- how large the journal gets ----

def size_of(path):
    return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())


class Days:
    """The traffic of some days, each with a night, and the size of what is kept meanwhile: by day
    as fast as it goes, by night next to nothing until all of the day is too old."""
    keep_s = 15

    def __init__(self, args):
        self.args = args
        self.keep_bytes = args.keep_bytes << 20
        self.samples = []       # seconds, bytes of the files, bytes in use, whether it is night

    def run(self):
        with Place() as path, Daemon(
                "journal.type=disk", f"journal.path={path}", "journal.keep_per_user=1000",
                f"journal.keep_bytes={self.keep_bytes}", f"journal.keep={self.keep_s}s") as daemon:
            self.traffic = Traffic(daemon.host, daemon.port, max_size=20000)
            self.path, self.daemon, self.begun = path, daemon, time.monotonic()
            for n in range(self.args.days):
                progress(f"day {n + 1} of {self.args.days}")
                self.day((n + 1) * self.args.day_times * self.keep_bytes)
                self.night(time.monotonic() + 1.5 * self.keep_s)
            self.traffic.close()
            self.stats = daemon.stats()

    def sample(self, is_night):
        self.samples.append((time.monotonic() - self.begun, size_of(self.path),
                             self.daemon.stats()["journal_bytes"], is_night))

    def day(self, written):
        last = 0
        while self.traffic.bytes < written:
            self.traffic.publish()
            if time.monotonic() > last + 0.5:
                self.sample(False)
                last = time.monotonic()

    def night(self, end):
        while time.monotonic() < end:
            self.traffic.publish()
            self.sample(True)
            time.sleep(1)


def measure(args):
    days = Days(args)
    days.run()
    if args.write:
        CHART.write_text(draw(days.samples, days.keep_bytes))
    largest = max(s[1] for s in days.samples) / days.keep_bytes
    counts = days.traffic.counts
    return "\n".join([
        table([judged("size of all files of the journal, at its largest",
                      f"{largest:.2f} × `keep_bytes`",
                      f"{days.traffic.bytes / days.keep_bytes:.0f} × were written", "at most 1.5 ×",
                      largest <= 1.5)]),
        "",
        f"{args.days} days of traffic in {days.samples[-1][0]:.0f} s, with `keep_bytes` = "
        f"{args.keep_bytes} MiB and `keep` = {days.keep_s}s: by day as fast as it goes, "
        f"{args.day_times} × `keep_bytes`, by night next to nothing until all of the day is too "
        f"old. {days.traffic.published} notifications of 20 to 20,000 bytes, all magnitudes alike, "
        f"{counts['expiring']} of them with a ttl of seconds, {counts['collapsing']} with a "
        f"collapse key, {counts['keyed']} with an idempotency key; {counts['retracted']} were "
        f"retracted, {counts['erased']} users erased. {days.stats['journal_evicted']} went by age, "
        f"by user or by bytes, {days.stats['collapsed']} for a newer one.",
        "",
        f"![The size of the journal's files over time]({CHART.name})"])


# ---- the chart ----

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 250, 48, 12, 34

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #57606a; }
  line { stroke: #d0d7de; } .bound { stroke: #c9382b; } rect { fill: #eaeef2; }
  polyline { fill: none; stroke-width: 1.5; }
  .all { stroke: #1a7f64; } .used { stroke: #8c959f; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    line { stroke: #3d444d; } .bound { stroke: #f0665a; } rect { fill: #262c36; }
    .all { stroke: #3fb68b; } .used { stroke: #6e7681; }
  }
"""


def draw(samples, keep_bytes):
    """The files' size, and what of it is in use, over time, in times of keep_bytes."""
    end, most = samples[-1][0], 1.75

    def x(t):
        return LEFT + t / end * (WIDTH - LEFT - 12)

    def y(times):
        return TOP + (1 - times / most) * (HEIGHT - TOP - BOTTOM)

    def line(column, kind):
        points = " ".join(f"{x(s[0]):.1f},{y(s[column] / keep_bytes):.1f}" for s in samples)
        return f'<polyline class="{kind}" points="{points}"/>'

    parts = []
    for before, after in zip(samples, samples[1:]):
        if after[3]:
            parts.append(f'<rect x="{x(before[0]):.1f}" y="{TOP}" '
                         f'width="{x(after[0]) - x(before[0]) + 0.5:.1f}" '
                         f'height="{HEIGHT - TOP - BOTTOM}"/>')
    for times in (0, 0.5, 1, 1.5):
        kind = ' class="bound"' if times == 1.5 else ""
        parts.append(f'<line{kind} x1="{LEFT}" x2="{WIDTH - 12}" y1="{y(times):.1f}" '
                     f'y2="{y(times):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(times) + 4:.1f}" text-anchor="end">{times:g} ×'
                     "</text>")
    parts += [line(2, "used"), line(1, "all")]
    for at, what in ((LEFT, "0 s"), (LEFT + 90, "green: all files"),
                     (LEFT + 220, "grey: pages in use"), (LEFT + 370, "shaded: night")):
        parts.append(f'<text x="{at}" y="{HEIGHT - 10}">{what}</text>')
    parts.append(f'<text x="{WIDTH - 12}" y="{HEIGHT - 10}" text-anchor="end">{end:.0f} s</text>')
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="The size of the journal over days of traffic, in times of keep_bytes">',
        f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"
