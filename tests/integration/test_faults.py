"""A disk that fails, is slow or is cut short, and a clock that jumps: nothing that was acknowledged
is lost, nothing comes twice, and whoever is told "nothing was sent" can rely on it."""
import json
import os
import pathlib
import sys
import threading
import time

from harness import Closed, Daemon, OneDaemonATest, main, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "faults"))
from disk import Disk  # noqa: E402

EIO, EACCES, ENOSPC = 5, 13, 28
DAYS = 24 * 3600


class Case(OneDaemonATest):
    def start_on(self, *options, has_power_cuts=False, **more):
        """A daemon, and the disk under it."""
        daemon = Daemon(*options, start=False, **more)
        daemon.disk = Disk(daemon.home, has_power_cuts)
        daemon.env |= daemon.disk.env()
        self.addCleanup(lambda: daemon.process and daemon.kill())
        daemon.start()
        return daemon

    def publish(self, daemon, data, **fields):
        fields = {"user": "u", "data": data, "idempotency_key": f"key of {data[:50]}"} | fields
        return daemon.post(json.dumps(fields).encode())

    def taken(self, daemon, data, **fields):
        response = self.publish(daemon, data, **fields)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def kept(self, daemon, user="u"):
        return [n["data"] for n in daemon.history(user, "?limit=1000")["notifications"]]

    def assert_stream(self, stream, expected):
        self.assertEqual([stream.next().data for _ in expected], expected)


class FailedLog(Case):
    """sync = always: a publish whose frame of the write-ahead log fails leaves no trace."""

    def check(self, rules, status):
        daemon = self.start_on()
        live = self.open("u", daemon)
        first = self.taken(daemon, "1")["id"]
        daemon.disk.rules(*rules)
        refused = self.publish(daemon, "2", collapse_key="c")
        self.assertGreater(daemon.disk.hits("log"), 0)
        self.assertEqual(refused.status, status, refused)
        self.assertIn("nothing was sent", refused.json()["detail"])
        self.assertEqual(self.kept(daemon), ["1"])
        self.assert_stream(live, ["1"])
        daemon.kill()
        daemon.start()
        live = self.open("u", daemon, last_event_id=live.last_id)
        self.assertEqual(self.kept(daemon), ["1"])
        daemon.disk.rules()
        second = self.taken(daemon, "2", collapse_key="c")
        self.assertNotIn("duplicate", second)
        self.taken(daemon, "3")
        wait_for(lambda: daemon.get("/readyz").status == 200, "readiness")
        self.assert_stream(live, ["2", "3"])
        self.assertEqual(self.taken(daemon, "2", collapse_key="c")["id"], second["id"])
        daemon.kill()
        daemon.start()
        self.assertEqual(self.taken(daemon, "2", collapse_key="c"),
                         {"id": second["id"], "streams": 0, "duplicate": True})
        self.assertEqual(self.kept(daemon), ["1", "2", "3"])
        self.assert_stream(self.open("u", daemon, last_event_id=first), ["2", "3"])

    def test_with_an_error(self):
        self.check([f"log 1 1 error {EIO}"], 503)

    def test_without_room(self):
        self.check([f"log 1 1 error {ENOSPC}"], 507)

    def test_of_which_half_is_done(self):
        self.check(["log 1 1 short 0", f"log 2 2 error {EIO}"], 503)

    def test_which_was_done_all_the_same(self):
        self.check([f"log 1 1 lie {EIO}"], 503)

    def test_which_can_be_undone_at_the_second_try_only(self):
        self.check([f"log 1 1 lie {EIO}", f"log 2 2 error {EIO}"], 503)

    def test_half_a_write_goes_on_where_it_ended(self):
        daemon = self.start_on()
        daemon.disk.rules("log 1 1 short 0")
        self.taken(daemon, "1")
        self.assertEqual(daemon.disk.hits("log"), 1)
        daemon.kill()
        daemon.start()
        self.assertEqual(self.kept(daemon), ["1"])

    def test_a_death_before_it_is_known_what_was_written(self):
        for is_there, rule in ((True, "lie"), (False, "error")):
            with self.subTest(is_there=is_there):
                daemon = self.start_on()
                self.taken(daemon, "1")
                daemon.disk.rules(f"log 1 1 {rule} {EIO}", f"log 2 0 error {EIO}")
                with daemon.connect() as http:
                    body = json.dumps({"user": "u", "data": "2", "idempotency_key": "key of 2"})
                    http.send_request("POST", "/notify", body.encode())
                    wait_for(lambda: daemon.disk.hits("log") >= 2, "two failures")
                    daemon.kill()  # nobody was told anything
                daemon.disk.rules()
                daemon.start()
                self.assertEqual(self.kept(daemon), ["1", "2"] if is_there else ["1"])
                self.assertEqual(self.taken(daemon, "2").get("duplicate", False), is_there)
                self.assertEqual(self.kept(daemon), ["1", "2"])
                daemon.kill()


class FailedCommit(Case):
    """What is out already, and safe in the log, gets into the store as soon as that can be written.
    """

    RULES = (f"write 1 1 error {ENOSPC}", "write 1 1 short 0", f"sync 1 2 error {EIO}",
             f"meta 1 2 error {EIO}", f"meta 1 1 lie {EIO}")

    def check(self, rules, is_killed):
        daemon = self.start_on()
        live = self.open("u", daemon)
        first = self.taken(daemon, "1")["id"]
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "the first commit")
        daemon.disk.rules(*rules)
        second = self.taken(daemon, "2", collapse_key="c")
        wait_for(lambda: daemon.disk.hits() > 0, "the failure")
        if is_killed:
            daemon.kill()
            daemon.disk.rules()
            daemon.start()
            live = self.open("u", daemon, last_event_id=first)
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 2, "all in the store")
        wait_for(lambda: daemon.get("/readyz").status == 200, "readiness")
        daemon.disk.rules()
        self.taken(daemon, "3")
        self.assert_stream(live, ["2", "3"] if is_killed else ["1", "2", "3"])
        live.close()
        for again in (daemon.restart, daemon.kill):
            self.assertEqual(self.taken(daemon, "2", collapse_key="c")["id"], second["id"])
            self.assertEqual(self.kept(daemon), ["1", "2", "3"])
            self.assert_stream(self.open("u", daemon, last_event_id=first), ["2", "3"])
            again()

    def test_it_is_tried_again(self):
        for rule in self.RULES:
            with self.subTest(rule=rule):
                self.check([rule], False)

    def test_a_death_in_between(self):
        for rule in self.RULES[2:]:
            with self.subTest(rule=rule):
                self.check([rule], True)

    def test_the_last_step_was_done_all_the_same(self):
        self.check([f"meta 1 1 lie {EIO}", f"undo 1 1 error {EIO}"], False)

    def test_a_retraction_and_an_erasure_are_tried_again(self):
        for rule in (f"sync 1 1 error {EIO}", f"meta 1 1 error {EIO}"):
            with self.subTest(rule=rule):
                daemon = self.start_on()
                ids = [self.taken(daemon, str(i))["id"] for i in range(3)]
                self.taken(daemon, "other", user="v")
                wait_for(lambda: daemon.stats()["journal"]["entries"] == 4, "a commit")
                daemon.disk.rules(rule)
                self.assertEqual(
                    daemon.request("DELETE", f"/notifications/u/{ids[1]}").status, 200)
                self.assertEqual(daemon.disk.hits(), 1)
                daemon.disk.rules(rule)
                self.assertEqual(daemon.request("DELETE", "/users/v/history").json(), {"erased": 1})
                self.assertEqual(daemon.disk.hits(), 1)
                daemon.disk.rules()
                daemon.kill()
                daemon.start()
                self.assertEqual((self.kept(daemon), self.kept(daemon, "v")), (["0", "2"], []))
                daemon.kill()


class LongFault(Case):
    """A disk that cannot be written for a while."""

    def test_readiness_comes_back_without_a_publish(self):
        daemon = self.start_on()
        daemon.disk.rules(f"log 1 1 error {EIO}", f"log 3 0 error {EIO}")
        self.assertEqual(self.publish(daemon, "1").status, 503)
        self.assertEqual(daemon.get("/readyz").status, 503)
        daemon.disk.rules()
        wait_for(lambda: daemon.get("/readyz").status == 200, "readiness")
        self.assertNotIn("duplicate", self.taken(daemon, "1"))

    def test_while_it_is_not_known_what_was_written_nothing_more_is_taken(self):
        daemon = self.start_on()
        live = self.open("u", daemon)
        self.taken(daemon, "1")
        daemon.disk.rules(f"log 1 0 error {EIO}")
        with daemon.connect() as http:
            body = json.dumps({"user": "u", "data": "2", "idempotency_key": "key of 2"}).encode()
            http.send_request("POST", "/notify", body)
            wait_for(lambda: daemon.disk.hits("log") >= 3, "three failures")
            self.assertEqual(self.publish(daemon, "3").status, 503)
            self.assertEqual(daemon.get("/readyz").status, 503)
            self.assertEqual(daemon.get("/healthz").status, 200)
            daemon.disk.rules()
            refused = http.read_response()
        self.assertEqual(refused.status, 503)
        self.taken(daemon, "2")
        self.taken(daemon, "3")
        self.assert_stream(live, ["1", "2", "3"])
        wait_for(lambda: daemon.get("/readyz").status == 200, "readiness")
        daemon.kill()
        daemon.start()
        self.assertEqual(self.kept(daemon), ["1", "2", "3"])

    def test_with_sync_interval_what_is_out_gets_to_the_disk(self):
        for rule in (f"sync 1 2 error {EIO}", f"meta 1 2 error {EIO}", f"write 1 2 error {ENOSPC}",
                     f"meta 1 2 lie {EIO}"):
            with self.subTest(rule=rule):
                daemon = self.start_on("journal.sync=interval")
                live = self.open("u", daemon)
                first = self.taken(daemon, "1")["id"]
                wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "the first commit")
                daemon.disk.rules(rule)
                self.taken(daemon, "2")
                wait_for(lambda: daemon.get("/readyz").status == 503, "trouble")
                self.assertIn(self.publish(daemon, "3").status, (503, 507))
                wait_for(lambda: daemon.get("/readyz").status == 200, "readiness")
                self.taken(daemon, "3")
                self.assert_stream(live, ["1", "2", "3"])
                live.close()
                daemon.disk.rules()
                daemon.restart()
                self.assertEqual(self.kept(daemon), ["1", "2", "3"])
                self.assert_stream(self.open("u", daemon, last_event_id=first), ["2", "3"])
                daemon.kill()

    def test_an_end_that_could_not_write_all_is_told_as_a_loss(self):
        daemon = self.start_on("journal.sync=interval")
        first = self.taken(daemon, "1")
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "the first commit")
        daemon.disk.rules(f"sync 1 2 error {EIO}")  # two tries, the second of them at the end
        lost = self.taken(daemon, "2")
        wait_for(lambda: daemon.disk.hits() == 1, "the first try")
        daemon.stop()
        self.assertEqual(daemon.disk.hits(), 2)
        daemon.disk.rules()
        daemon.start()
        after = self.taken(daemon, "3")
        self.assertGreater(int(after["id"].split("-")[1]), int(lost["id"].split("-")[1]))
        stream = self.open("u", daemon, last_event_id=first["id"])
        self.assert_gap(stream.next(), "expired")
        self.assertEqual(stream.next().data, "3")


class CutFrame(Case):
    def publish_until_killed(self, daemon):
        with self.assertRaises((OSError, Closed)):
            self.publish(daemon, "never answered" + "x" * 3500)

    def test_a_frame_that_a_kill_has_cut_costs_no_epoch(self):
        daemon = self.start_on("journal.sync=always")
        first = self.taken(daemon, "0")["id"]
        daemon.disk.rules("log 1 3 short 0", "log 4 4 delay 5000")  # all but its last sector
        publisher = threading.Thread(target=self.publish_until_killed, args=(daemon,))
        publisher.start()
        wait_for(lambda: daemon.disk.hits("log") == 4, "the last piece of the frame")
        daemon.kill()
        publisher.join()
        daemon.disk.rules()
        daemon.start()
        self.assertEqual(self.taken(daemon, "1")["id"].partition("-")[0],
                         first.partition("-")[0])
        self.assertNotIn("damaged", daemon.log_text())


class SlowDisk(Case):
    def test_the_loop_goes_on_while_a_sync_takes_its_time(self):
        daemon = self.start_on("streams.heartbeat=1s", "journal.window=4KiB",
                               "journal.keep_per_user=1000")
        first = self.taken(daemon, "0")["id"]
        for i in range(1, 40):
            self.taken(daemon, f"{i} {'x' * 200}")
        live = self.open("u", daemon)
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 40, "all in the store")
        daemon.disk.rules("log 1 0 delay 2500", "sync 1 0 delay 2500")
        with daemon.connect() as http:
            began = time.monotonic()
            http.send_request("POST", "/notify", b'{"user":"u","data":"slow"}')
            wait_for(lambda: daemon.disk.hits("log") > 0, "the slow log")
            self.assertEqual(daemon.get("/healthz").status, 200)
            # One that is behind the window is served from the disk meanwhile.
            behind = self.open("u", daemon, last_event_id=first)
            self.assertEqual([int(behind.next().data.split()[0]) for _ in range(39)],
                             list(range(1, 40)))
            kind, _ = live.next_item()
            self.assertEqual(kind, "comment")  # a heartbeat
            self.assertLess(time.monotonic() - began, 2.5)
            self.assertEqual(http.read_response().status, 200)
            self.assertGreaterEqual(time.monotonic() - began, 2.5)
        daemon.disk.rules()
        self.assertEqual((live.next().data, behind.next().data), ("slow", "slow"))

    def test_a_stream_that_is_ahead_of_the_disk_does_not_go_back(self):
        daemon = self.start_on("journal.sync=interval", "journal.window=4KiB", "streams.queue=4")
        self.taken(daemon, "0")
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "the first commit")
        slow = self.open("u", daemon, rcvbuf=4096)
        daemon.disk.rules("sync 1 1 delay 3000")
        self.taken(daemon, "1")
        wait_for(lambda: daemon.disk.hits("sync") > 0, "the slow sync")
        wide = "x" * 60000
        i = 1
        while daemon.stats()["streams_behind"] == 0:
            i += 1
            self.taken(daemon, f"{i} {wide}")
        # It needs the journal now, and has missed something that is in no journal.
        self.taken(daemon, "only now", ttl=0)
        last = [int(self.taken(daemon, f"{n} {wide}")["id"].split("-")[1])
                for n in range(i + 1, i + 4)][-1]
        ids, numbers, gaps = [], [], 0
        while not ids or ids[-1] < last:
            event = slow.next()
            ids.append(int(event.id.split("-")[1]))
            if event.event == "gap":
                gaps += 1
            else:
                numbers.append(int(event.data.split()[0]))
        self.assertEqual(numbers, list(range(1, i + 4)))
        self.assertEqual(gaps, 1)
        self.assertEqual(ids, sorted(ids))

    def test_what_comes_behind_an_erasure_is_not_erased(self):
        daemon = self.start_on("journal.sync=interval")
        first = self.taken(daemon, "erased")["id"]
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "the first commit")
        daemon.disk.rules("sync 1 1 delay 1000")
        with daemon.connect() as http:
            http.send_request("DELETE", "/users/u/history")
            wait_for(lambda: daemon.disk.hits("sync") > 0, "the slow sync")
            self.taken(daemon, "kept")
            self.assertEqual(http.read_response().status, 200)
        self.assert_stream(self.open("u", daemon, last_event_id=first), ["kept"])
        self.assertEqual(self.kept(daemon), ["kept"])


    def test_with_sync_interval_no_publish_waits_for_it(self):
        daemon = self.start_on("journal.sync=interval")
        live = self.open("u", daemon)
        self.taken(daemon, "0")
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "the first commit")
        daemon.disk.rules("sync 1 0 delay 5000")
        self.taken(daemon, "1")
        wait_for(lambda: daemon.disk.hits("sync") > 0, "the slow sync")
        for i in range(2, 100):
            self.taken(daemon, str(i))
        self.assert_stream(live, [str(i) for i in range(100)])
        self.assertEqual(daemon.stats()["journal"]["entries"], 1)  # it is slow still
        daemon.disk.rules()
        daemon.kill()


class Start(Case):
    def test_what_fails_is_named_and_nothing_is_lost(self):
        daemon = self.start_on()
        first = self.taken(daemon, "1")["id"]
        daemon.kill()
        for rule, error in (("read 1 0", EIO), ("read 1 0", EACCES), ("write 1 0", ENOSPC),
                            ("sync 1 0", EIO), ("meta 1 0", EIO)):
            daemon.disk.rules(f"{rule} error {error}")
            with self.assertRaises(AssertionError):
                daemon.start()
            self.assertEqual(daemon.process.wait(10), 2, rule)
            self.assertIn(f"journal.path = {daemon.home}", daemon.log_text())
            self.assertIn(os.strerror(error), daemon.log_text())
        daemon.disk.rules()
        daemon.start()
        self.assertEqual(self.taken(daemon, "1")["id"], first)
        self.assertEqual(self.kept(daemon), ["1"])


class CutFile(Case):
    """The data file is shorter than it was: to a reader this is a page that the disk gives no more.
    """

    def start_with_much(self, *options):
        # Work that such a page ends is left as it stood (guard.h): that is no leak.
        asan = os.environ.get("ASAN_OPTIONS", "")
        daemon = self.start("journal.window=4KiB", "journal.keep_per_user=5000", *options,
                            env={"ASAN_OPTIONS": f"{asan}:detect_leaks=0"})
        lines = [json.dumps({"user": "u", "data": f"{i} {'x' * 500}"}).encode()
                 for i in range(900)]
        answer = daemon.post(b"\n".join(lines), [("Content-Type", "application/x-ndjson")])
        first = answer.json()["results"][0]["id"]
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 900, "all on disk")
        return daemon, first

    def assert_down(self, daemon):
        wait_for(lambda: daemon.get("/readyz").status == 503, "the end of readiness")
        self.assertIn("file", daemon.get("/readyz").json()["detail"])
        self.assertEqual(daemon.get("/healthz").status, 200)
        self.assertEqual(daemon.post(b'{"user":"u","data":"x"}').status, 503)
        self.assertEqual(daemon.request("DELETE", "/users/u/history").status, 503)
        self.assertEqual(daemon.get("/notifications/u/history").status, 503)
        told = [e for e in daemon.log() if e["level"] == "error" and "until the next start" in
                e["message"]]
        self.assertEqual(len(told), 1)

    def cut(self, daemon, size):
        os.truncate(pathlib.Path(daemon.home) / "data.mdb", size)

    def test_while_streams_read(self):
        daemon, first = self.start_with_much()
        live = self.open("u", daemon)
        slow = [self.open("u", daemon, last_event_id=first, rcvbuf=4096) for _ in range(4)]
        self.cut(daemon, 16384)
        stream = self.open("u", daemon, last_event_id=first)
        gap = stream.next()
        while gap.event != "gap":
            gap = stream.next()
        self.assert_gap(gap, "expired")
        self.assert_down(daemon)
        for s in slow:  # each is told, or has got all
            last = 0
            while last < 899:
                event = s.next()
                if event.event == "gap":
                    break
                self.assertEqual(int(event.data.split()[0]), last + 1)
                last += 1
        self.assertEqual(len(daemon.presence("u")["streams"]), 6)
        for s in (live, stream, *slow):
            s.close()
        daemon.stop()

    def test_while_something_is_published(self):
        for sync in ("always", "interval"):
            with self.subTest(sync=sync):
                daemon, _ = self.start_with_much(f"journal.sync={sync}")
                self.cut(daemon, 16384)
                with daemon.connect() as http:
                    http.send_request("POST", "/notify", b'{"user":"u","data":"x"}')
                    self.assertEqual(http.read_response().status, 200)
                self.assert_down(daemon)
                daemon.stop()

    def test_in_the_middle_of_a_transaction(self):
        # The file is as long as it was, so that only the pages themselves tell.
        daemon, _ = self.start_with_much()
        file = pathlib.Path(daemon.home) / "data.mdb"
        size = os.path.getsize(file)
        with open(file, "r+b") as data:
            data.seek(5 * 4096)
            data.write(bytes(size - 5 * 4096))
        daemon.post(b'{"user":"u","data":"x"}')
        self.assert_down(daemon)
        self.assertNotIn("ssertion", daemon.log_text())


class Clock(Case):
    def test_a_jump_while_it_runs_takes_nothing_and_a_ttl_goes_on(self):
        for days in (10, -10):
            with self.subTest(days=days):
                daemon = self.start_on("journal.keep=1h", "publish.idempotency_window=1h")
                first = self.taken(daemon, "1")
                self.taken(daemon, "short", ttl=1.5)
                began = time.monotonic()
                daemon.disk.rules(f"clock 1 0 shift {days * DAYS}")
                second = self.taken(daemon, "2")
                if time.monotonic() - began < 1:
                    self.assertEqual(self.kept(daemon), ["1", "short", "2"])
                wait_for(lambda: self.kept(daemon) == ["1", "2"], "the end of a ttl")
                self.assertGreaterEqual(time.monotonic() - began, 1.3)
                self.assertEqual(self.taken(daemon, "1")["id"], first["id"])
                self.assertEqual(self.taken(daemon, "2")["id"], second["id"])
                self.taken(daemon, "short again", ttl=0.5)
                wait_for(lambda: self.kept(daemon) == ["1", "2"], "the end of another")
                self.assert_stream(self.open("u", daemon, last_event_id=first["id"]), ["2"])
                daemon.kill()

    def test_a_restart_with_an_older_clock_brings_nothing_back_and_loses_nothing(self):
        for is_killed in (True, False):
            with self.subTest(is_killed=is_killed):
                daemon = self.start_on("journal.keep=1h")
                first = self.taken(daemon, "1")
                self.taken(daemon, "short", ttl=0.3)
                long = self.taken(daemon, "long", ttl=3)
                began = time.monotonic()
                wait_for(lambda: daemon.stats()["journal"]["entries"] == 2, "the end of a ttl")
                if is_killed:
                    daemon.kill()
                else:
                    daemon.stop()
                daemon.disk.rules(f"clock 1 0 shift {-10 * DAYS}")
                daemon.start()
                if time.monotonic() - began < 2.5:
                    self.assertEqual(self.kept(daemon), ["1", "long"])
                self.assertEqual(self.taken(daemon, "1")["id"], first["id"])
                self.assertEqual(self.taken(daemon, "long", ttl=3)["id"], long["id"])
                self.taken(daemon, "3")
                stream = self.open("u", daemon, last_event_id="earliest")
                self.assertEqual(stream.next().data, "1")
                wait_for(lambda: self.kept(daemon) == ["1", "3"], "the end of the other ttl")
                daemon.kill()


    def test_a_restart_with_a_clock_far_ahead_and_one_that_is_right_again_keep_the_order(self):
        daemon = self.start_on("journal.keep=100d")
        ids = []
        for i, days in enumerate((0, 30, 0, 60, 0)):
            daemon.disk.rules(f"clock 1 0 shift {days * DAYS}")
            ids.append(self.taken(daemon, str(i))["id"])
            daemon.kill()
            daemon.start()
            self.assertEqual(self.kept(daemon), [str(n) for n in range(i + 1)])
            self.assert_stream(self.open("u", daemon, last_event_id=ids[0]),
                               [str(n) for n in range(1, i + 1)])
        numbers = [int(number.split("-")[1]) for number in ids]
        self.assertEqual(numbers, list(range(1, 6)))
        # What is over by then is gone, and stays it. (While it runs no clock moves its own.)
        daemon.disk.rules(f"clock 1 0 shift {120 * DAYS}")
        daemon.restart()
        wait_for(lambda: self.kept(daemon) == ["2", "3", "4"], "the end of what is too old")
        daemon.disk.rules()
        daemon.restart()
        self.assertEqual(self.kept(daemon), ["2", "3", "4"])


if __name__ == "__main__":
    main()
