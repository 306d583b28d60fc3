"""The power goes, with all that was written and not synced: nothing that was acknowledged is lost
with it, and what may be is told. FAULTS_SEED repeats the choices of a run."""
import json
import os
import random
import threading

from harness import Daemon, main, wait_for
from test_faults import Case, Disk

SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(1 << 30))


class LosesAll(random.Random):
    """Of what was not synced nothing is there."""

    def choice(self, seq):
        return "none" if "none" in seq else super().choice(seq)


class Power(Case):
    def test_a_cut_loses_nothing_that_was_acknowledged(self):
        rng = random.Random(SEED)
        daemon = self.start_on("journal.keep_per_user=100000", has_power_cuts=True)
        acknowledged = []
        for cut in range(6):
            with self.subTest(seed=SEED, cut=cut):
                stop = threading.Event()
                writers = [threading.Thread(target=self.write, daemon=True,
                                            args=(daemon, stop, acknowledged, f"{cut}.{w}"))
                           for w in range(3)]
                for w in writers:
                    w.start()
                aim = len(acknowledged) + rng.randint(1, 60)
                wait_for(lambda: len(acknowledged) >= aim, "publishes")
                daemon.kill()
                stop.set()
                for w in writers:
                    w.join()
                daemon.disk.cut_power(rng)
                daemon.start()
                kept = {}
                after = ""
                while True:
                    page = daemon.history("u", "?limit=1000" + after)
                    kept |= {n["data"]: n["id"] for n in page["notifications"]}
                    if not page["more"] or not page["notifications"]:
                        break
                    after = "&after=" + page["notifications"][-1]["id"]
                for data, number in list(acknowledged):
                    self.assertEqual(kept.get(data), number)

    def test_no_number_is_given_out_twice_even_where_nothing_is_synced(self):
        daemon = self.start_on("journal.sync=never", has_power_cuts=True)
        self.taken(daemon, "before")
        daemon.stop()
        daemon.start()
        given = self.taken(daemon, "lost with the power")["id"]
        self.open("u", daemon).close()
        daemon.kill()
        daemon.disk.cut_power(LosesAll(1))
        daemon.start()
        self.assertNotEqual(self.taken(daemon, "another")["id"], given)
        stream = self.open("u", daemon, last_event_id=given)
        self.assert_gap(stream.next(), "expired")

    def write(self, daemon, stop, acknowledged, name):
        i = 0
        try:
            with daemon.connect() as http:
                while not stop.is_set():
                    body = json.dumps({"user": "u", "data": f"{name}.{i}"}).encode()
                    http.send_request("POST", "/notify", body)
                    response = http.read_response()
                    if response.status == 200:
                        acknowledged.append((f"{name}.{i}", response.json()["id"]))
                    i += 1
        except (OSError, AssertionError):
            pass  # it was killed

    def test_a_cut_takes_what_was_not_synced_and_that_is_told(self):
        rng = random.Random(SEED)
        daemon = self.start_on("journal.sync=interval", has_power_cuts=True)
        first = self.taken(daemon, "1")["id"]
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "the first commit")
        for cut in range(5):
            with self.subTest(seed=SEED, cut=cut):
                daemon.disk.rules("sync 1 0 delay 60000")
                lost = self.taken(daemon, f"lost {cut}")["id"]
                wait_for(lambda: daemon.disk.hits("sync") > 0, "a commit that waits for the disk")
                daemon.kill()
                self.assertGreater(daemon.disk.cut_power(rng), 0)
                daemon.disk.rules()
                daemon.start()
                self.assertEqual(self.kept(daemon), ["1"])
                after = self.taken(daemon, f"after {cut}", ttl=0)["id"]
                self.assertEqual(after.split("-")[0], first.split("-")[0])
                self.assertGreater(int(after.split("-")[1]), int(lost.split("-")[1]))
                for cursor in (first, lost):
                    stream = self.open("u", daemon, last_event_id=cursor)
                    self.assert_gap(stream.next(), "expired")
                    stream.close()

    def test_a_cut_during_the_first_start_is_no_damage(self):
        rng = random.Random(SEED)
        for op, nth in [("undo", 1), ("undo", 2), ("sync", 1), ("sync", 2), ("sync", 3),
                        ("meta", 1), ("meta", 2), ("write", 1), ("write", 2)] * 2:
            with self.subTest(seed=SEED, op=op, nth=nth):
                daemon = Daemon(start=False)
                daemon.disk = Disk(daemon.home, has_power_cuts=True)
                daemon.env |= daemon.disk.env()
                daemon.disk.rules(f"{op} {nth} {nth} delay 60000")
                starting = threading.Thread(target=self.try_start, args=(daemon,), daemon=True)
                starting.start()
                wait_for(lambda: daemon.process and
                         (daemon.disk.hits(op) or not starting.is_alive()), "that moment")
                process = daemon.process
                process.kill()
                process.wait()
                starting.join()
                daemon.disk.cut_power(rng)
                daemon.disk.rules()
                daemon.start()
                self.taken(daemon, "1")
                daemon.kill()
                daemon.disk.cut_power(rng)
                daemon.start()
                self.assertEqual(self.kept(daemon), ["1"])
                daemon.stop()

    def try_start(self, daemon):
        try:
            daemon.start()
        except (AssertionError, OSError):
            pass  # it is killed


if __name__ == "__main__":
    main()
