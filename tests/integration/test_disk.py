"""The journal on disk: what it promises across the end of the process, and what it says when it
cannot keep its promise."""
import json
import os
import pathlib
import re
import shutil
import stat
import struct
import subprocess
import sys
import time

from harness import BIN, OneDaemonATest as Case, ROOT, main, run, wait_for

sys.path.insert(0, str(ROOT / "bench"))
from day import Traffic  # noqa: E402


def crc32c(data):
    """Castagnoli's, which zlib has not."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Restart(Case):
    """Each of them with a kill -9 and with an orderly end."""

    def again(self, daemon, is_killed):
        if is_killed:
            daemon.kill()
        else:
            daemon.stop()
        daemon.start()

    def each_end(self):
        for is_killed in (True, False):
            with self.subTest(is_killed=is_killed):
                yield is_killed

    def test_a_stream_resumes_and_gets_what_it_missed(self):
        for is_killed in self.each_end():
            daemon = self.start()
            stream = self.open("u", daemon)
            daemon.notify(user="u", data="1")
            self.assertEqual(stream.next().data, "1")
            stream.close()
            daemon.notify(user="u", data="2")
            daemon.notify(broadcast=True, data="3")
            daemon.notify(user="other", data="no")
            self.again(daemon, is_killed)
            daemon.notify(user="u", data="4")
            resumed = self.open("u", daemon, last_event_id=stream.last_id)
            self.assertEqual([resumed.next().data for _ in range(3)], ["2", "3", "4"])
            daemon.notify(user="u", data="5")
            self.assertEqual(resumed.next().data, "5")

    def test_the_epoch_stays_and_numbers_go_on(self):
        for is_killed in self.each_end():
            daemon = self.start()
            first = daemon.notify(user="u", data=1)["id"]
            self.again(daemon, is_killed)
            second = daemon.notify(user="u", data=1)["id"]
            epoch, number = first.split("-")
            self.assertEqual(second, f"{epoch}-{int(number) + 1}")

    def test_a_repeat_is_known_as_one(self):
        for is_killed in self.each_end():
            daemon = self.start()
            first = daemon.notify(user="u", data=1, idempotency_key="k")
            transient = daemon.notify(user="u", data=1, ttl=0, idempotency_key="t")
            self.again(daemon, is_killed)
            self.assertEqual(daemon.notify(user="u", data=1, idempotency_key="k"),
                             {"id": first["id"], "streams": 0, "duplicate": True})
            self.assertEqual(daemon.notify(user="u", data=1, ttl=0, idempotency_key="t")["id"],
                             transient["id"])

    def test_what_was_taken_back_stays_away(self):
        for is_killed in self.each_end():
            daemon = self.start()
            for data in "abc":
                daemon.notify(user="u", data=data)
            retracted = daemon.notify(user="u", data="d")["id"]
            daemon.notify(user="u", data="old", collapse_key="k")
            daemon.notify(user="gone", data="x")
            daemon.request("DELETE", f"/notifications/u/{retracted}")
            daemon.request("DELETE", "/users/gone/history")
            self.again(daemon, is_killed)
            daemon.notify(user="u", data="new", collapse_key="k")
            kept = [n["data"] for n in daemon.history("u")["notifications"]]
            self.assertEqual(kept, ["a", "b", "c", "new"])
            self.assertEqual(daemon.history("gone")["notifications"], [])
            stream = self.open("u", daemon, last_event_id="earliest")
            self.assertEqual([stream.next().data for _ in range(4)], kept)

    def test_history_behind_a_number_that_nobody_has(self):
        daemon = self.start()
        epoch = daemon.notify(user="u", data=1)["id"].partition("-")[0]
        for number in (2, 2**63 - 1, 2**63, 2**64 - 1):
            page = daemon.history("u", f"?after={epoch}-{number}")
            self.assertEqual(page["notifications"], [], number)
        self.assertNotIn("cannot be read", daemon.log_text())

    def test_history_keeps_its_bytes_and_its_times(self):
        daemon = self.start()
        body = b'{"user":"u","event":"e","data":{"n":1.0e2,"big":12345678901234567890}}'
        self.assertEqual(daemon.post(body).status, 200)
        before = daemon.get("/notifications/u/history").body
        self.assertIn(b'{"n":1.0e2,"big":12345678901234567890}', before)
        daemon.kill()
        daemon.start()
        self.assertEqual(daemon.get("/notifications/u/history").body, before)

    def test_a_loss_before_the_restart_is_told_after_it(self):
        daemon = self.start("journal.keep_per_user=2")
        first = daemon.notify(user="u", data="1")["id"]
        other = daemon.notify(user="v", data="v")["id"]
        for data in "234":
            daemon.notify(user="u", data=data)
        daemon.kill()
        daemon.start()
        stream = self.open("u", daemon, last_event_id=first)
        self.assert_gap(stream.next(), "expired")
        self.assertEqual([stream.next().data for _ in range(2)], ["3", "4"])
        # and nobody else is told of it
        daemon.notify(user="v", data="w")
        self.assertEqual(self.open("v", daemon, last_event_id=other).next().data, "w")

    def test_an_own_ttl_runs_on_while_the_daemon_is_away(self):
        daemon = self.start()
        daemon.notify(user="u", data="short", ttl=0.5)
        daemon.notify(user="u", data="long")
        daemon.kill()
        daemon.start()
        wait_for(lambda: [n["data"] for n in daemon.history("u")["notifications"]] == ["long"],
                 "the end of a ttl")

    def test_more_than_the_window_holds_is_read_from_the_disk(self):
        daemon = self.start("journal.window=64KiB", "journal.keep_per_user=2000")
        body = b"\n".join(json.dumps({"user": "u", "data": f"{i} {'x' * 300}"}).encode()
                          for i in range(800))
        answer = daemon.post(body, [("Content-Type", "application/x-ndjson")])
        first = answer.json()["results"][0]["id"]
        self.assertLess(daemon.stats()["window_entries"], 400)
        for _ in range(2):
            stream = self.open("u", daemon, last_event_id=first)
            numbers = [int(stream.next().data.split()[0]) for _ in range(799)]
            self.assertEqual(numbers, list(range(1, 800)))
            stream.close()
            daemon.kill()
            daemon.start()
        self.assertGreater(daemon.stats()["window_entries"], 0)

    def test_who_reads_what_was_missed_lets_the_loop_go_first(self):
        daemon = self.start()
        tasks = f"/proc/{daemon.process.pid}/task"
        own = os.getpriority(os.PRIO_PROCESS, daemon.process.pid)
        wait_for(lambda: min(own + 10, 19) in [os.getpriority(os.PRIO_PROCESS, int(task))
                                               for task in os.listdir(tasks)], "the reader")
        self.assertEqual(own, os.getpriority(os.PRIO_PROCESS, daemon.process.pid))


class WithoutSyncAlways(Case):
    def test_a_kill_between_two_commits_is_told_and_no_number_comes_twice(self):
        for sync in ("interval", "never"):
            daemon = self.start(f"journal.sync={sync}")
            ids = [daemon.notify(user="u", data=str(i))["id"] for i in range(50)]
            daemon.kill()
            daemon.start()
            after = daemon.notify(user="u", data="after")["id"]
            self.assertEqual(after.split("-")[0], ids[0].split("-")[0])
            self.assertGreater(int(after.split("-")[1]), int(ids[-1].split("-")[1]))
            stream = self.open("u", daemon, last_event_id=ids[-1])
            # What was out and not on disk yet cannot be told from what never was.
            self.assert_gap(stream.next(), "expired")
            self.assertEqual(stream.next().data, "after")

    def test_an_orderly_end_loses_nothing(self):
        for sync in ("interval", "never"):
            daemon = self.start(f"journal.sync={sync}")
            ids = [daemon.notify(user="u", data=str(i))["id"] for i in range(50)]
            daemon.restart()
            stream = self.open("u", daemon, last_event_id=ids[0])
            self.assertEqual([stream.next().data for _ in range(49)],
                             [str(i) for i in range(1, 50)])

    def test_publishes_gather_for_one_commit(self):
        daemon = self.start("journal.sync=interval")
        commits = set()
        start = time.monotonic()
        for _ in range(60):
            daemon.notify(user="u", data="x")
            commits.add(daemon.stats()["journal"]["entries"])
        # The first at once, then four a second.
        self.assertLessEqual(len(commits), (time.monotonic() - start) / 0.25 + 2)
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 60, "the last commit")

    def test_what_is_not_on_disk_yet_is_read_all_the_same(self):
        daemon = self.start("journal.sync=interval", "journal.window=4KiB")
        first = daemon.notify(user="u", data="0")["id"]
        for i in range(1, 60):
            daemon.notify(user="u", data=f"{i} {'x' * 200}")
        stream = self.open("u", daemon, last_event_id=first)
        self.assertEqual([int(stream.next().data.split()[0]) for _ in range(59)],
                         list(range(1, 60)))


class Directory(Case):
    def test_a_second_daemon_is_told_who_holds_the_path(self):
        daemon = self.start()
        done = run("serve", "-o", f"journal.path={daemon.home}", "-o",
                   "listener.default.address=127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"process {daemon.process.pid}:", done.stderr)
        self.assertIn(daemon.home, done.stderr)
        self.assertEqual(daemon.get("/readyz").status, 200)

    def test_a_directory_that_cannot_be_made_is_named(self):
        done = run("serve", "-o", "journal.path=/proc/no/such", "-o",
                   "listener.default.address=127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/proc/no", done.stderr)
        self.assertIn("journal.path", done.stderr)

    def test_a_directory_that_cannot_be_written_is_named(self):
        folder = pathlib.Path(self.scratch())
        program = shutil.copy(BIN, folder)
        path = folder / "journal"
        path.mkdir(mode=0o500)
        process = {}
        if os.geteuid() == 0:  # whom no mode keeps out
            process["user"] = "nobody"
            shutil.chown(path, "nobody")
            folder.chmod(0o755)
        done = subprocess.run([program, "serve", "-o", f"journal.path={path}", "-o",
                               "listener.default.address=127.0.0.1:0"], text=True, timeout=10,
                              capture_output=True, check=False, **process)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(f"journal.path = {path}", done.stderr)
        self.assertIn("Permission denied", done.stderr)
        self.assertEqual(list(path.iterdir()), [])

    def test_a_newer_format_is_refused_and_left_as_it_is(self):
        daemon = self.start()
        epoch = daemon.notify(user="u", data="x")["id"].split("-")[0]
        daemon.stop()
        path = pathlib.Path(daemon.home) / "data.mdb"
        data = bytearray(path.read_bytes())
        # The state, before the epoch: the sum of all that follows it, the format, the transaction
        # (store_priv.h). Before its key LMDB has how long it is.
        for found in re.finditer(rb"(.{4}).{4}state(.{4})(.{4}).{8}" + epoch.encode(), bytes(data),
                                 re.S):
            end = found.start(2) + int.from_bytes(found[1], "little")
            data[found.start(3):found.end(3)] = struct.pack("=I", 1000)
            data[found.start(2):found.end(2)] = struct.pack("=I", crc32c(data[found.end(2):end]))
        path.write_bytes(data)
        done = run("serve", "-o", f"journal.path={daemon.home}", "-o",
                   "listener.default.address=127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn(daemon.home, done.stderr)
        self.assertIn("newer sse-notify (format 1000", done.stderr)
        self.assertEqual(path.read_bytes(), data)

    def test_nobody_else_may_read_it(self):
        daemon = self.start("journal.path=" + self.scratch() + "/deep/er")
        path = pathlib.Path(daemon.options[-1].split("=")[1])
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700)
        for file in path.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)

    def test_the_journal_is_in_the_stats(self):
        daemon = self.start()
        daemon.notify(user="u", data="x")
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "its commit")
        journal = daemon.stats()["journal"]
        self.assertEqual((journal["type"], journal["up"], journal["head"], journal["entries"]),
                         ("disk", True, 1, 1))
        self.assertGreater(journal["bytes"], 0)


class Size(Case):
    def test_the_files_stay_within_one_and_a_half_times_keep_bytes(self):
        daemon = self.start("journal.keep_bytes=4MiB", "journal.keep_per_user=1000")
        traffic = Traffic("127.0.0.1", daemon.port, max_size=20000)
        self.addCleanup(traffic.close)
        largest = 0
        while traffic.bytes < 15 * (4 << 20):
            traffic.publish()
            largest = max(largest, sum(f.stat().st_size
                                       for f in pathlib.Path(daemon.home).iterdir()))
        self.assertLessEqual(largest, 1.5 * (4 << 20))
        self.assertGreater(daemon.stats()["journal_bytes"], 3 << 20)


    def test_large_ones_take_the_place_of_very_many_small_ones(self):
        """Each of them of as many as it is large, and while more come in."""
        for sync in ("always", "interval"):
            with self.subTest(sync):
                daemon = self.start("journal.keep_bytes=8MiB", f"journal.sync={sync}")
                small = b'{"topic":"t","data":1}\n' * 1000
                for _ in range(40):
                    daemon.post(small, [("Content-Type", "application/x-ndjson")])
                large = json.dumps({"topic": "t", "data": "x" * 60000}).encode()
                with self.connect(daemon) as http:
                    for _ in range(600):
                        http.send_request("POST", "/notify", large)
                        self.assertEqual(http.read_response().status, 200)
                data = pathlib.Path(daemon.home) / "data.mdb"
                self.assertLessEqual(data.stat().st_size, 1.5 * (8 << 20))
                daemon.stop()


class FullDisk(Case):
    """A file may not grow past RLIMIT_FSIZE: to the journal that is a disk without room."""

    def start_small(self, *options, posts=200):
        daemon = self.start("journal.keep_bytes=16MiB", *options, file_limit=600 * 1024)
        wide = "x" * 20000
        refused = None
        for i in range(posts):
            refused = daemon.post(json.dumps({"user": "u", "data": f"{i} {wide}",
                                              "idempotency_key": f"k{i}"}).encode())
            if refused.status != 200:
                return daemon, i, refused
        raise AssertionError("the disk was never full")

    def test_publishing_gets_507_and_streams_live_on(self):
        daemon, failed, refused = self.start_small()
        self.assertEqual(refused.status, 507)
        self.assertIn("nothing was sent", refused.json()["detail"])
        stream = self.open("u", daemon, last_event_id="earliest")
        kept = [int(stream.next().data.split()[0]) for _ in range(failed)]
        self.assertEqual(kept, list(range(failed)))
        self.assertEqual(daemon.get("/readyz").status, 503)
        self.assertIn("full", daemon.get("/readyz").json()["detail"])
        self.assertEqual(daemon.get("/healthz").status, 200)
        # What is removed makes room within the file.
        self.assertEqual(daemon.request("DELETE", "/users/u/history").status, 200)

        def accepted():
            answer = daemon.post(json.dumps({"user": "u", "data": "small",
                                             "idempotency_key": f"k{failed}"}).encode())
            return answer.status == 200 and answer.json()

        answer = wait_for(accepted, "room again")
        self.assertNotIn("duplicate", answer)  # the refused one was not taken
        self.assertEqual(stream.next().data, "small")
        self.assertEqual(daemon.get("/readyz").status, 200)

    def test_a_stream_that_is_behind_waits_for_the_disk_without_asking_again_and_again(self):
        for sync in ("always", "interval"):
            with self.subTest(sync):
                daemon, _, _ = self.start_small(
                    f"journal.sync={sync}", "journal.window=64KiB", "journal.keep_per_user=1000",
                    posts=900)
                self.open("u", daemon, last_event_id="earliest")
                before = daemon.stats()
                wait_for(lambda: daemon.stats()["uptime_seconds"] >= before["uptime_seconds"] + 2,
                         "two seconds")
                self.assertEqual(daemon.stats()["streams_behind"], 1)
                self.assertLess(daemon.stats()["journal_reads"], before["journal_reads"] + 200)
                daemon.kill()

    def test_what_is_out_already_gets_to_the_disk_when_there_is_room(self):
        daemon, failed, refused = self.start_small("journal.sync=interval",
                                                    "journal.keep_per_user=1000", posts=900)
        self.assertEqual(refused.status, 507)
        stream = self.open("u", daemon, last_event_id="earliest")
        self.assertEqual([int(stream.next().data.split()[0]) for _ in range(failed)],
                         list(range(failed)))
        self.assertLess(daemon.stats()["journal"]["entries"], failed)
        pid = str(daemon.process.pid)
        subprocess.run(["prlimit", "--pid", pid, "--fsize=unlimited:"], check=True)
        wait_for(lambda: daemon.stats()["journal"]["entries"] == failed, "all on disk")
        wait_for(lambda: daemon.get("/readyz").status == 200, "readiness")
        daemon.limit = []
        daemon.restart()
        kept = []
        while True:  # a page holds some megabytes
            after = f"&after={kept[-1]['id']}" if kept else ""
            page = daemon.history("u", f"?limit=1000{after}")
            kept += page["notifications"]
            if not page["more"]:
                break
        self.assertEqual([int(n["data"].split()[0]) for n in kept], list(range(failed)))


if __name__ == "__main__":
    main()
