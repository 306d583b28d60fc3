"""What streams and publishes cost: the daemon with its journal in memory, beside the bare loop."""
import statistics
import tempfile

from lib import rawlimit
from lib.daemon import Daemon, generate, others
from lib.table import row, spread


def measure_users(args, log=None):
    """A stream for each of as many users. Of a phase that is run twice the second counts."""
    with Daemon(log) as daemon:
        phases = generate(daemon, args, "--pub-conns", 64, "unicast", "unicast")
        return {"memory": phases["memory"]["pss_per_conn"],
                "connect": phases["connect"]["server_us_per_conn"],
                "unicast": phases["unicast"]["server_us_per_publish"],
                "users_turn": daemon.longest_turn(),
                "users_others": others(phases["unicast"])}


def measure_fanout(args):
    with Daemon() as daemon:
        phases = generate(daemon, args, "--users", 1, "--pub-conns", 1, "--pipeline", 4,
                          "fanout1", "fanout1", "fanout")
        return {"fanout": phases["fanout1"]["server_us_per_delivery"],
                "merged": phases["fanout"]["server_us_per_delivery"],
                "fanout_turn": daemon.longest_turn(),
                "fanout_others": others(phases["fanout1"])}


def one_round(args):
    figures = {}
    figures["raw_connect"], figures["raw_unicast"], before = rawlimit.measure(args)
    figures.update(measure_users(args))
    _, figures["raw_fanout"], between = rawlimit.measure(args)
    figures.update(measure_fanout(args))
    figures["raw_turn"] = max(before, between)
    figures["turn"], figures["turn_cpu"] = map(max, figures["users_turn"], figures["fanout_turn"])
    figures["others"] = max(figures["users_others"], figures["fanout_others"])
    return figures


def with_log(args):
    """The same once more at the default log level: a line for each stream and each publish."""
    with tempfile.TemporaryFile() as log:
        return measure_users(args, log)


def table(rounds):
    def of(name):
        return [r[name] for r in rounds]

    def ratio(name, raw):
        return [r[name] / r[raw] for r in rounds]

    def beside(name, raw, digits):
        return f"{spread(of(name), digits)} µs, bare {spread(of(raw), digits)} µs"

    return "\n".join([
        "| what | median (min..max) | compared | at most | met |",
        "|---|---|---|---|---|",
        row("memory of an idle stream of its own user", "bytes, PSS", of("memory"), 0, 600, ""),
        row("opening a stream", beside("connect", "raw_connect", 1),
            ratio("connect", "raw_connect"), 2, 1.8, " ×"),
        row("fan-out to all streams of one user, a delivery, one publish at a time",
            beside("fanout", "raw_fanout", 2), ratio("fanout", "raw_fanout"), 2, 1.3, " ×"),
        row("the same with four publishes under way, which share writes",
            f"{spread(of('merged'), 2)} µs", ratio("merged", "raw_fanout"), 2, 1.3, " ×"),
        row("a unicast publish with its delivery, 64 publishers",
            beside("unicast", "raw_unicast", 2), ratio("unicast", "raw_unicast"), 2, 3.5, " ×"),
        row("longest turn of the loop by its processor time, in any round",
            f"ms; by the wall clock {spread(of('turn'), 1)}, 128 bare sends up to "
            f"{max(of('raw_turn')):.1f}", of("turn_cpu"), 1, 20, "", max),
    ])


def beneath(rounds, logged):
    """What one must know to read the table."""
    disturbed = spread([r["others"] for r in rounds], 0)
    connect = statistics.median(r["connect"] for r in rounds)
    unicast = statistics.median(r["unicast"] for r in rounds)
    return (f"With the default log going to a file, once: opening a stream "
            f"{logged['connect']:.1f} µs instead of {connect:.1f}, a unicast publish "
            f"{logged['unicast']:.1f} µs instead of {unicast:.1f}.\n\n"
            f"What was not on the server's bill (other processes, the kernel's own threads) took "
            f"{disturbed} % of its core while it was measured. Wall time of a turn has that in it, "
            f"as have the 128 bare sends beside it, about half a millisecond of work; processor "
            f"time, which is judged, has not.")
