"""How many publishes the journal on disk takes, beside a bare program and the journal in memory."""
import json
import statistics
import subprocess

from measure import (BENCH, SERVER_CORE, Daemon, Place, generate, judged, pinned, progress, spread,
                     table)

PAYLOAD, PUBLISHERS, USERS = 300, 64, 10000


def bare(args, *more):
    with Place() as path:
        out = pinned(SERVER_CORE, [BENCH / "rawdisk", "--path", path, "--publishers", PUBLISHERS,
                                   "--size", PAYLOAD, "--secs", args.secs, *more],
                     stdout=subprocess.PIPE).stdout
    return json.loads(out)["records_per_s"]


def publish(args, *options):
    with Place() as path, Daemon(f"journal.path={path}", *options) as daemon:
        asked = f"publish:publishers={PUBLISHERS}"
        return generate(daemon, "--streams", 1, "--users", USERS, "--payload", PAYLOAD,
                        "--settle", 0, "--seconds", args.secs, asked)[asked]


def one_round(args):
    always = publish(args, "journal.type=disk", "journal.sync=always")
    threads, lean = bare(args), bare(args, "--no-wait")
    interval = publish(args, "journal.type=disk", "journal.sync=interval")
    memory = publish(args)
    return {"bare": threads, "lean": lean, "always": always["publishes_per_s"],
            "interval": interval["publishes_per_s"], "memory": memory["publishes_per_s"],
            "p99": always["answer_us"]["p99"] / 1000, "server_busy": memory["server_busy"],
            "generator_busy": memory["generator_busy"]}


def measure(args):
    rounds = []
    for n in range(args.rounds):
        progress(f"rates, round {n + 1} of {args.rounds}")
        rounds.append(one_round(args))

    def of(name):
        return [r[name] for r in rounds]

    def percent(name, other):
        return [100 * r[name] / r[other] for r in rounds]

    always, interval = percent("always", "bare"), percent("interval", "memory")
    return "\n".join([
        table([
            judged(f"publishes a second with `sync = always`, {PUBLISHERS} publishers",
                   f"{spread(of('always'), 0)}, bare {spread(of('bare'), 0)}",
                   f"{spread(always, 0)} %", "at least 60 %", statistics.median(always) >= 60),
            judged("the same with `interval`, beside the journal in memory",
                   f"{spread(of('interval'), 0)}, memory {spread(of('memory'), 0)}",
                   f"{spread(interval, 0)} %", "at least 80 %",
                   statistics.median(interval) >= 80)]),
        "",
        f"{args.rounds} rounds of {args.secs:g} s each, payloads of {PAYLOAD} bytes to {USERS} "
        f"users. The bare program has {PUBLISHERS} threads that hand in a record and wait until "
        f"its commit is safe; where nobody waits and each commit has {PUBLISHERS} records it comes "
        f"to {spread(of('lean'), 0)}. With `always` 99 of 100 answers came within "
        f"{spread(of('p99'), 1)} ms. With the journal in memory the server kept its core busy for "
        f"{100 * statistics.median(of('server_busy')):.0f} %, the generator the other for "
        f"{100 * statistics.median(of('generator_busy')):.0f} %."])
