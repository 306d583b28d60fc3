"""What streams and publishes cost: the bare loop, the daemon and Nchan, each by the same scenarios.

A scenario gives figures by name; what ends in _us is processor time of the server a unit, what
begins with a rate's name is milliseconds that passed."""
import json
import statistics
import subprocess
import tempfile

from measure import BENCH, CLIENT_CORE, Daemon, generate, pinned

FRAME = 117         # bytes on the wire of the daemon's event for the generator's payload of 64
FEW, MANY = 10000, 19000    # streams; a process here may have 20,000 descriptors
HONEST = 100        # streams of their own user amid a crowd
MISSED = 10
RATES = (1000, 5000)
PUBLISHERS = 64

UNICAST = f"unicast:publishers={PUBLISHERS}"
ONE = "unicast:publishers=1,window=1"
PIPELINED = "unicast:publishers=1,pipeline=64"
BATCH = "unicast:publishers=4,batch=100"
STORM = f"storm:publishers={PUBLISHERS},each={MISSED}"


def bare(streams, secs, modes=("send", "send")):
    """The bare loop. The first sends on new connections are dearer than later ones, here and with
    any server: of a mode that is named twice the second counts."""
    out = pinned(CLIENT_CORE, [BENCH / "rawlimit", "--conns", streams, "--modes", ",".join(modes),
                               "--size", FRAME, "--secs", secs],
                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    phases = {}
    for line in out.splitlines():
        if line.startswith("{"):
            phase = json.loads(line)
            phases[phase["mode"]] = phase
    figures = {"connect_us": phases["connect"]["server_us_per_conn"],
               "connects": phases["connect"]["conns_per_s"],
               "kernel": phases["connect"]["slab_per_conn"] / 2,
               "fanout_us": phases["send"]["server_us_per_delivery"],
               "deliveries": phases["send"]["deliveries_per_s"],
               "turn_ms": phases["send"]["longest_turn_us"] / 1000}
    if "uring-fixed" in phases:
        figures["uring_us"] = phases["uring-fixed"]["server_us_per_delivery"]
    return figures


def others(phase):
    """Percent of the server's core that was busy with what is not on the server's bill: other
    processes, and the kernel's own threads, which take over when much comes in at once."""
    return 100 * max(0, phase["core_busy"] - phase["server_busy"])


def opened(phases):
    return {"memory": phases["memory"]["rss_per_stream"],
            "kernel": phases["memory"]["slab_per_stream"] / 2,
            "connect_us": phases["open"]["server_us_per_stream"],
            "connects": phases["open"]["streams_per_s"]}


def publishes(server, secs, batches, rates=RATES):
    """Few streams, each of its own user: publishing one by one, in several ways."""
    latencies = [f"latency:publishers={PUBLISHERS},rate={rate}" for rate in rates]
    asked = [f"{UNICAST},seconds=1", UNICAST, ONE, PIPELINED, *([BATCH] if batches else []),
             *latencies]
    phases = generate(server, "--streams", FEW, "--seconds", secs, *asked)
    figures = opened(phases) | {"others": others(phases[UNICAST])}
    for name, phase in (("unicast", UNICAST), ("one", ONE), ("pipelined", PIPELINED),
                        ("batch", BATCH)):
        if phase in phases:
            figures[f"{name}_us"] = phases[phase]["server_us_per_publish"]
            figures[f"{name}_rate"] = phases[phase]["publishes_per_s"]
    for rate, phase in zip(rates, latencies):
        for q in ("p50", "p99", "p999", "max"):
            figures[f"at{rate}_{q}"] = phases[phase]["unicast_us"][q] / 1000
        figures[f"at{rate}_late"] = phases[phase]["late_us"]["p99"] / 1000
    return figures


def storm(server, batches, streams=MANY):
    """All streams break, miss something, and come back for it."""
    asked = f"{STORM},batch=100" if batches else STORM
    phases = generate(server, "--streams", streams, asked)
    phase = phases[asked]
    return opened(phases) | {"storm_us": phase["server_us_per_stream"],
                             "storm_rate": phase["streams_per_s"],
                             "storm_ms": phase["replayed_ms"],
                             "storm_lost": phase["wanted"] - phase["replayed"],
                             "storm_deaf": phase["checked"] - phase["heard"]}


def fanouts(server, secs, streams, mixed=True):
    """One user with nearly all the streams: one publish at a time, then four; then publishes to
    some others meanwhile."""
    crowd = streams - HONEST if mixed else streams
    asked = ["fanout:seconds=1", "fanout", "fanout:window=4"] + ["mixed:rate=200"] * mixed
    phases = generate(server, "--streams", streams, "--crowd", crowd, "--seconds", secs, *asked)
    figures = {"fanout_us": phases["fanout"]["server_us_per_delivery"],
               "deliveries": phases["fanout"]["deliveries_per_s"],
               "merged_us": phases["fanout:window=4"]["server_us_per_delivery"],
               "others": others(phases["fanout"])}
    if mixed:
        honest = phases["mixed:rate=200"]["unicast_us"]
        figures |= {f"honest_{q}": honest[q] / 1000 for q in ("p50", "p99", "max")}
    return figures


def with_turns(scenario, *options):
    """A scenario with a daemon of its own, and the longest turn of its loop meanwhile."""
    with Daemon(*options) as daemon:
        figures = scenario(daemon)
        figures["turn_ms"], figures["turn_cpu_ms"] = daemon.longest_turn()
    return figures


def has_uring():
    """Whether the daemon writes to many streams with one system call here, by its own word."""
    with tempfile.TemporaryFile() as log:
        with Daemon(log=log):
            pass
        log.seek(0)
        return b"streams are written to by io_uring" in log.read()


def with_log(secs):
    """The daemon once more with its log at the default level, which has a line for each stream and
    each publish, going to a file."""
    with tempfile.TemporaryFile() as log, Daemon(log=log) as daemon:
        phases = generate(daemon, "--streams", FEW, "--seconds", secs, f"{UNICAST},seconds=1",
                          UNICAST)
    return {"connect_us": phases["open"]["server_us_per_stream"],
            "unicast_us": phases[UNICAST]["server_us_per_publish"]}


def median(rounds, *path):
    values = [value for value in (dig(r, path) for r in rounds) if value is not None]
    return statistics.median(values) if values else None


def dig(figures, path):
    """figures[a][b], None where there is none."""
    for name in path:
        figures = None if figures is None else figures.get(name)
    return figures
