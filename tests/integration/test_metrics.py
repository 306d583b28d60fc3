"""GET /metrics: the format, the names, and that what happens is counted where it should be."""
import json
import pathlib
import re
import signal
import subprocess

from harness import ROOT, OneDaemonATest, TestCase, main, wait_for

SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{([^{}]*)\})? ([0-9]+(?:\.[0-9]+)?)\Z')
LABEL = re.compile(r'([a-z_]+)="([^"\\\n]*)"\Z')
TYPES = ("counter", "gauge", "histogram")


class Family:
    def __init__(self, help, type):
        self.help, self.type, self.samples = help, type, {}


def parse(text):
    """The families of a page by name, read as strictly as our own pages are written."""
    families = {}
    lines = text.split("\n")
    assert lines.pop() == "", "the last line has no end"
    family = name = None
    for line in lines:
        if line.startswith("# HELP "):
            _, _, name, help = line.split(" ", 3)
            assert name not in families and help, line
            family = None
        elif line.startswith("# TYPE "):
            _, _, typed, type = line.split(" ")
            assert typed == name and type in TYPES, line
            family = families[name] = Family(help, type)
        else:
            found = SAMPLE.match(line)
            assert found and family, line
            key, labels, value = found.groups()
            suffix = key.removeprefix(name)
            assert suffix in (("_bucket", "_sum", "_count") if family.type == "histogram"
                              else ("",)), line
            pairs = [LABEL.match(part).groups() for part in labels.split(",")] if labels else []
            sample = (suffix, *pairs)
            assert sample not in family.samples, f"twice: {line}"
            family.samples[sample] = float(value)
    return families


class Metrics:
    """One scrape."""

    def __init__(self, daemon):
        self.response = daemon.get("/metrics")
        assert self.response.status == 200, self.response
        self.families = parse(self.response.body.decode())

    def __call__(self, name, suffix="", **labels):
        """The sum of the samples that have these labels."""
        samples = self.families[f"sse_notify_{name}"].samples
        return sum(value for (has, *pairs), value in samples.items()
                   if has == suffix and labels.items() <= dict(pairs).items())


class Case(OneDaemonATest):
    def settled(self, daemon, condition, what="the counters"):
        """The first scrape of which the condition is true."""
        def look():
            metrics = Metrics(daemon)
            return metrics if condition(metrics) else None
        return wait_for(look, what)


class Page(TestCase, Case):
    def test_promtool_has_nothing_to_say(self):
        self.daemon.notify(user=self.user, data=1)
        page = Metrics(self.daemon).response
        self.assertEqual(page["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        done = subprocess.run(["promtool", "check", "metrics"], input=page.body,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ""))

    def test_histograms_are_cumulative_and_whole(self):
        self.open(self.user)
        self.daemon.notify(user=self.user, data=1)
        for name, family in Metrics(self.daemon).families.items():
            if family.type != "histogram":
                continue
            buckets = [(dict(pairs)["le"], value) for (suffix, *pairs), value
                       in family.samples.items() if suffix == "_bucket"]
            counts = [value for _, value in buckets]
            bounds = [float(le) for le, _ in buckets]
            self.assertEqual(counts, sorted(counts), name)
            self.assertEqual(bounds, sorted(set(bounds)), name)
            self.assertEqual(buckets[-1], ("+Inf", family.samples["_count",]), name)
            self.assertEqual(bounds[:3], [1e-6, 2e-6, 4e-6])

    def test_it_is_not_on_a_public_listener(self):
        daemon = self.start("listener.default.role=public")
        self.assertEqual(daemon.get("/metrics").status, 404)

    def test_no_label_has_what_a_user_sends(self):
        self.open("somebody-special?topic=topic-special").close()
        self.daemon.notify(user="somebody-special", data="data-special", event="event-special")
        self.daemon.get("/path-special")
        self.daemon.request("BREW", "/path-special")
        self.daemon.get("/users/somebody-special?special=special")
        page = Metrics(self.daemon)
        self.assertNotIn("special", page.response.body.decode())
        self.assertEqual(page("http_requests_total", route="none", method="any", code="404"), 1)
        self.assertEqual(page("http_requests_total", route="/users/:userID", code="200"), 1)

    def test_the_page_in_the_docs_lists_all_of_it(self):
        rows = []
        for name, family in sorted(Metrics(self.daemon).families.items()):
            labels = sorted({key for _, *pairs in family.samples for key, _ in pairs} - {"le"})
            rows.append(f"| `{name}` | {family.type} | {', '.join(f'`{l}`' for l in labels)} | "
                        f"{family.help} |".replace("|  |", "| |"))
        page = (ROOT / "docs" / "metrics.md").read_text()
        self.assertEqual(re.findall(r"^\| `.*", page, re.M), rows, "tools/make-pages writes it")

    def test_process_and_build(self):
        page = Metrics(self.daemon)
        value = lambda name: page.families[name].samples["",]
        if not self.daemon.command()[0].endswith("sse-notify"):
            self.skipTest("it runs under a wrapper")

        def held():
            return len(list(pathlib.Path(f"/proc/{self.daemon.process.pid}/fd").iterdir()))
        # The scrape's own connection is gone by the time that they are counted here.
        self.settled(self.daemon, lambda m: m.families["process_open_fds"].samples["",] - held()
                     in (0, 1), "the same count")
        self.assertGreater(value("process_max_fds"), held())
        self.assertGreater(value("process_resident_memory_bytes"), 1 << 20)
        self.assertGreater(value("process_start_time_seconds"), 1.6e9)
        version, = page.families["sse_notify_build_info"].samples
        self.assertRegex(dict(version[1:])["version"], r"\A\d+\.\d+\.\d+\Z")


class Counting(Case):
    def test_streams_by_what_became_of_them(self):
        daemon = self.start("streams.max_streams_per_user=2", "streams.max_age=1s",
                            "streams.heartbeat=1s")
        aged = self.open("aged", daemon)
        kicked = self.open("kicked", daemon)
        left = self.open("left", daemon)
        page = Metrics(daemon)
        self.assertEqual((page("streams_open"), page("users_online"), page("streams_limit")),
                         (3, 3, 1000000))
        self.open("kicked", daemon)
        self.assertEqual(daemon.get("/notifications/kicked").status, 429)
        daemon.request("DELETE", "/users/kicked/streams")
        kicked.expect_end()
        left.close()
        aged.expect_end()
        page = self.settled(daemon, lambda m: m("streams_open") == 0)
        for reason, count in (("kicked", 2), ("peer", 1), ("max-age", 1)):
            self.assertEqual(page("streams_closed_total", reason=reason), count, reason)
        self.assertEqual(page("streams_opened_total"), 4)
        self.assertEqual(page("streams_closed_total"), daemon.stats()["streams_closed"])
        self.assertEqual(page("streams_refused_total"), 1)
        self.assertEqual(page("streams_refused_total", limit="max_streams_per_user"), 1)
        self.assertEqual(page("users_online"), 0)

    def test_notifications_by_result_and_deliveries(self):
        daemon = self.start("journal.keep_per_user=2")
        streams = [self.open("u", daemon) for _ in range(3)]
        sent = [daemon.notify(user="u", data=n, idempotency_key=f"k{n}") for n in range(4)]
        daemon.notify(user="u", data=0, idempotency_key="k0")
        daemon.post(b"{")
        daemon.post(json.dumps([{"user": "u"}, {"user": "u", "data": 1, "x": 1}]).encode())
        for stream in streams:
            stream.take(4)
        self.assert_gap(self.open("u", daemon, last_event_id="no-id").next(), "unknown-id")
        daemon.history("u")  # answered when the store has them, and no more than it keeps
        self.assert_gap(self.open("u", daemon, last_event_id=sent[0]["id"]).next(), "expired")
        page = Metrics(daemon)
        for result, count in (("accepted", 4), ("duplicate", 1), ("refused", 3), ("failed", 0)):
            self.assertEqual(page("notifications_total", result=result), count, result)
        self.assertEqual(page("deliveries_total"), 12 + 2 + 2)
        self.assertEqual(page("gaps_total", reason="unknown-id"), 1)
        self.assertEqual(page("gaps_total", reason="expired"), 1)
        self.assertEqual(page("publish_to_written_seconds", "_count"), 12)  # no resumed one
        self.assertEqual(page("journal_append_seconds", "_count"), 4)
        self.assertGreater(page("publish_to_written_seconds", "_sum"),
                           page("journal_append_seconds", "_sum"))
        self.assertGreater(page("loop_turn_seconds", "_count"), 10)
        self.assertEqual(page("http_requests_total", route="/notify", code="400"), 1)
        self.assertEqual(page("http_requests_total", route="/notify", code="200"), 6)
        self.assertEqual(page("http_requests_total", route="/notifications/:userID"), 5)
        self.settled(daemon, lambda m: m("journal_entries") == 2
                     and m("journal_oldest_age_seconds") > 0)
        self.assertEqual((page("journal_up"), page("ready")), (1, 1))

    def test_what_waits_for_a_slow_stream_and_how_it_ends(self):
        daemon = self.start("streams.overflow=drop-oldest", "streams.queue=20",
                            "journal.type=memory")
        slow = self.open("u", daemon, rcvbuf=4096)
        for n in range(300):
            daemon.notify(user="u", data=f"{n} " + "x" * 60000)
        page = Metrics(daemon)
        self.assertGreaterEqual(page("queued_messages"), 1)
        self.assertGreater(page("queued_bytes"), 60000)
        self.assertEqual(page("streams_behind"), 1)
        timed = page("publish_to_written_seconds", "_count")
        events = [slow.next()]
        while not events[-1].data.startswith("299 "):
            events.append(slow.next())
        page = self.settled(daemon, lambda m: m("queued_messages") == 0)
        self.assertEqual(page("queued_bytes"), 0)
        # What waited for its peer is not timed.
        self.assertEqual(page("publish_to_written_seconds", "_count"), timed)
        gaps = [e for e in events if e.event == "gap"]
        self.assertEqual(page("gaps_total", reason="overflow"), len(gaps))
        self.assertGreater(page("notifications_dropped_total", policy="drop-oldest"), 0)
        daemon.notify(user="u", data="again")
        slow.next()
        self.settled(daemon, lambda m: m("publish_to_written_seconds", "_count") == timed + 1)

    def test_a_stream_that_ends_with_a_queue_leaves_nothing_counted(self):
        daemon = self.start("streams.overflow=disconnect", "streams.queue=4",
                            "journal.type=memory")
        self.open("u", daemon, rcvbuf=4096)
        for _ in range(300):
            daemon.notify(user="u", data="x" * 60000)
        page = self.settled(daemon, lambda m: m("streams_closed_total", reason="overflow") == 1)
        self.assertEqual((page("queued_messages"), page("queued_bytes")), (0, 0))

    def test_reloads(self):
        daemon = self.start()
        daemon.process.send_signal(signal.SIGHUP)
        self.settled(daemon, lambda m: m("reloads_total", result="taken") == 1)


if __name__ == "__main__":
    main()
