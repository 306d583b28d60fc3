"""What the daemon must reach, and the tables of what it does."""
import statistics

from measure import spread, verdict
from streams import FEW, MANY, MISSED, PUBLISHERS, RATES, dig

# Of a daemon in Go, a delivery with four publishes under way: measured once, on a like machine.
GO_MERGED_US = 8.0


def values(rounds, *path):
    return [v for v in (dig(r, path) for r in rounds) if v is not None]


def ratios(rounds, path, to):
    """Of each round, since a machine's speed changes from one to the next."""
    pairs = [(dig(r, path), dig(r, to)) for r in rounds]
    return [a / b for a, b in pairs if a is not None and b]


def shown(found, digits, unit=""):
    return f"{spread(found, digits)}{unit}" if found else "not measured"


class Targets:
    """Rows of the table, each judged by the median over the rounds unless it says otherwise."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.lines = []

    def add(self, what, measured, compared, limit, met):
        self.lines.append(f"| {what} | {measured} | {compared} | {limit} | "
                          f"{'' if met is None else verdict(met)} |")

    def at_most(self, what, path, digits, limit, unit, judge=statistics.median):
        found = values(self.rounds, *path)
        self.add(what, shown(found, digits, unit), "", f"{limit:g}{unit}",
                 judge(found) <= limit if found else None)

    def ratio(self, what, path, to, name, limit, digits=1):
        """`path` is in microseconds of processor time."""
        found = ratios(self.rounds, path, to)
        other = f"{name}: {shown(values(self.rounds, *to), digits, ' µs')}"
        self.add(what, shown(values(self.rounds, *path), digits, " µs"),
                 f"{shown(found, 2)} × {other}" if found else other, f"{limit:g} ×",
                 statistics.median(found) <= limit if found else None)

    def under(self, what, path, to, name):
        own, other = values(self.rounds, *path), values(self.rounds, *to)
        self.add(what, shown(own, 2, " ms"), f"{name}: {shown(other, 2, ' ms')}", "less",
                 statistics.median(own) < statistics.median(other) if own and other else None)

    def none(self, what, path):
        found = values(self.rounds, *path)
        self.add(what, f"{sum(found):g}" if found else "not measured", "", "0",
                 sum(found) == 0 if found else None)

    def text(self):
        return "\n".join(["| what | measured | beside | at most | met |", "|---|---|---|---|---|",
                          *self.lines])


def fanout_targets(t, streams, bare, ours, uring):
    t.ratio(f"fan-out to {streams}, one at a time, a delivery, plain sends", (ours, "fanout_us"),
            (bare, "fanout_us"), "bare", 1.05, 2)
    t.ratio("the same, written through io_uring", (uring, "fanout_us"), (bare, "fanout_us"), "bare",
            0.85, 2)
    t.ratio("the same with 4 in flight", (ours, "merged_us"), (bare, "fanout_us"), "bare", 0.4, 2)
    t.at_most(f"the same beside a daemon in Go, which took {GO_MERGED_US:g} µs on a machine like "
              "ours: 0.4 of that", (ours, "merged_us"), 2, 0.4 * GO_MERGED_US, " µs")


def targets(rounds):
    t = Targets(rounds)
    t.at_most(f"daemon memory of an idle stream, one user each, RSS, {MANY} streams",
              ("ours_storm", "memory"), 0, 400, " bytes")
    t.ratio("connect, a stream", ("ours_publishes", "connect_us"), ("bare_few", "connect_us"),
            "bare", 1.4)
    t.ratio("connect, a stream", ("ours_publishes", "connect_us"),
            ("nchan_publishes", "connect_us"), "Nchan", 0.6)
    fanout_targets(t, FEW, "bare_few", "ours_few", "uring_few")
    fanout_targets(t, MANY, "bare_many", "ours_many", "uring_many")
    t.ratio(f"unicast publish with its delivery, {PUBLISHERS} publishers, {FEW} streams",
            ("ours_publishes", "unicast_us"), ("nchan_publishes", "unicast_us"), "Nchan", 0.6)
    t.ratio("batch of 100, each", ("ours_publishes", "batch_us"), ("ours_publishes", "unicast_us"),
            "single", 0.35)
    for q in ("p50", "p99"):
        t.under(f"latency at 5000 a second, {FEW} streams, {q}", ("ours_publishes", f"at5000_{q}"),
                ("nchan_publishes", f"at5000_{q}"), "Nchan")
    honest = values(rounds, "ours_many", "honest_p99")
    t.add(f"p99 of an honest unicast during fan-outs to {MANY}", shown(honest, 1, " ms"),
          f"Nchan: {shown(values(rounds, 'nchan_many', 'honest_p99'), 1, ' ms')}", "10 ms",
          statistics.median(honest) <= 10 if honest else None)
    t.at_most("the loop's longest turn in all of the above, by processor time, in any round",
              ("all", "turn_cpu_ms"), 1, 10, " ms", max)
    t.ratio(f"{MANY} streams come back, {MISSED} missed each, a stream", ("ours_storm", "storm_us"),
            ("nchan_storm", "storm_us"), "Nchan", 0.6)
    t.none("of those missed, lost", ("ours_storm", "storm_lost"))
    t.none("streams deaf afterwards", ("ours_storm", "storm_deaf"))
    return t.text()


FIGURES = [
    # what, unit, digits, then the path of it for the bare loop, the daemon, Nchan
    (f"memory of the server a stream, {MANY} streams", "bytes", 0, None, "storm.memory"),
    ("memory of the kernel a stream, the server's end", "bytes", 0, "bare_many.kernel",
     "storm.kernel"),
    ("connect", "µs", 1, "bare_few.connect_us", "publishes.connect_us"),
    ("", "a second", 0, "bare_few.connects", "publishes.connects"),
    (f"fan-out to {FEW}, a delivery", "µs", 2, "bare_few.fanout_us", "few.fanout_us"),
    ("", "a second", 0, "bare_few.deliveries", "few.deliveries"),
    ("with 4 in flight", "µs", 2, None, "few.merged_us"),
    (f"fan-out to {MANY}, a delivery", "µs", 2, "bare_many.fanout_us", "many.fanout_us"),
    ("", "a second", 0, "bare_many.deliveries", "many.deliveries"),
    ("with 4 in flight", "µs", 2, None, "many.merged_us"),
    ("publish to one, one at a time", "µs", 1, None, "publishes.one_us"),
    ("", "a second", 0, None, "publishes.one_rate"),
    ("one connection, 64 pipelined", "µs", 1, None, "publishes.pipelined_us"),
    ("", "a second", 0, None, "publishes.pipelined_rate"),
    (f"{PUBLISHERS} connections", "µs", 1, None, "publishes.unicast_us"),
    ("", "a second", 0, None, "publishes.unicast_rate"),
    ("batches of 100", "µs", 1, None, "publishes.batch_us"),
    ("", "a second", 0, None, "publishes.batch_rate"),
    *((f"latency at {rate} a second, {q.replace('p999', 'p99.9')}", "ms", 2, None,
       f"publishes.at{rate}_{q}") for rate in RATES for q in ("p50", "p99", "p999", "max")),
    (f"unicast amid fan-outs to {MANY}, p50", "ms", 1, None, "many.honest_p50"),
    ("p99", "ms", 1, None, "many.honest_p99"),
    ("the longest", "ms", 1, None, "many.honest_max"),
    (f"coming back, {MISSED} missed", "µs", 1, None, "storm.storm_us"),
    ("", "a second", 0, None, "storm.storm_rate"),
]


def figures(rounds):
    def cell(path, digits):
        found = values(rounds, *path.split(".")) if path else []
        return spread(found, digits) if found else ""

    lines = ["| what | unit | bare loop | sse-notify | Nchan |", "|---|---|---|---|---|"]
    for what, unit, digits, bare, path in FIGURES:
        lines.append(f"| {what} | {unit} | {cell(bare, digits)} | {cell('ours_' + path, digits)} | "
                     f"{cell('nchan_' + path, digits)} |")
    return "\n".join(lines)


COMPARED = [
    # what, its path, and of which it is a multiple
    ("memory of a stream, bytes", "ours_publishes.memory", None),
    ("connect, a bare one", "ours_publishes.connect_us", "bare_few.connect_us"),
    ("fan-out, a bare delivery", "ours_few.fanout_us", "bare_few.fanout_us"),
    ("4 in flight, a bare delivery", "ours_few.merged_us", "bare_few.fanout_us"),
    ("unicast publish, a bare delivery", "ours_publishes.unicast_us", "bare_few.fanout_us"),
    ("batch of 100, each, a bare delivery", "ours_publishes.batch_us", "bare_few.fanout_us"),
    ("coming back, a bare connect", "ours_return.storm_us", "bare_few.connect_us"),
]


def compared(rounds):
    """By name, of each what `bench-quick` puts beside the committed one."""
    found = {}
    for what, path, to in COMPARED:
        path = path.split(".")
        values_now = ratios(rounds, path, to.split(".")) if to else values(rounds, *path)
        if values_now:
            found[what] = statistics.median(values_now)
    return found


def beside_committed(now, committed):
    lines = ["| what, in multiples of | now | committed | now / committed |", "|---|---|---|---|"]
    for what, value in now.items():
        old = committed.get(what)
        lines.append(f"| {what} | {value:.2f} | " + (f"{old:.2f} | {value / old:.2f} |" if old else
                                                     "not yet | |"))
    return "\n".join(lines)
