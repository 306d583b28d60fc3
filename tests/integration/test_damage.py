"""A journal whose file was damaged while no daemon ran: the next one starts, says what it has lost,
and whoever may have missed something is told."""
import os
import pathlib
import random

from harness import DEADLINE, OneDaemonATest, main, wait_for


class Damaged(OneDaemonATest):
    def filled(self, *options):
        """A daemon that has ended, and the ids of what it was sent."""
        daemon = self.start("journal.keep_per_user=1000", *options)
        ids = [daemon.notify(user="u", data=f"number {i} {'x' * 300}", collapse_key=f"c{i}",
                             idempotency_key=f"k{i}")["id"] for i in range(30)]
        ids.append(daemon.notify(topic="t", data="y" * 9000, ttl=5000)["id"])
        daemon.stop()
        return daemon, ids

    def file(self, daemon):
        return pathlib.Path(daemon.home, "data.mdb")

    def asides(self, daemon):
        return sorted(pathlib.Path(daemon.home).glob("data.mdb.damaged-*"))

    def told(self, daemon):
        """The one line about it, or None."""
        lines = [e for e in daemon.log() if "damaged" in e["message"]]
        self.assertLessEqual(len(lines), 1)
        return lines[0] if lines else None

    def kept(self, daemon):
        return [n["id"] for n in daemon.history("u", "?limit=1000")["notifications"]]

    def assert_quiet_from_now_on(self, daemon):
        """What was repaired is a journal as any other."""
        before = self.kept(daemon)
        more = daemon.notify(user="u", data="more")["id"]
        daemon.restart()
        self.assertIsNone(self.told(daemon))
        self.assertEqual(self.kept(daemon), [*before, more])

    def test_what_is_damaged_under_a_daemon_stops_nothing_but_its_own_removal(self):
        for sync in ("always", "interval"):
            with self.subTest(sync):
                daemon = self.start(f"journal.sync={sync}")
                daemon.notify(user="u", data="number 0")    # what retention looks at is whole
                damaged = daemon.notify(user="u", data="number 1 marked")["id"]
                whole = daemon.notify(user="u", data="number 2")["id"]
                wait_for(lambda: b"number 2" in self.file(daemon).read_bytes(), "it in the file")
                wait_for(lambda: daemon.stats()["journal"]["entries"] == 3, "its commit")
                data = self.file(daemon).read_bytes()
                with open(self.file(daemon), "r+b") as file:    # in place: the daemon has it open
                    at = data.find(b"number 1 marked")
                    while at >= 0:
                        file.seek(at)
                        file.write(b"N")
                        at = data.find(b"number 1 marked", at + 1)
                answer = daemon.request("DELETE", f"/notifications/u/{damaged}")
                self.assertGreaterEqual(answer.status, 500, answer)
                for i in range(3):
                    daemon.notify(user="u", data=str(i))
                answer = daemon.request("DELETE", f"/notifications/u/{whole}")
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(daemon.get("/readyz").status, 200)
                self.assertTrue(any("damaged record" in e["message"] for e in daemon.log()))
                daemon.stop()

    def test_a_damaged_record_costs_itself_alone_and_whoever_comes_back_is_told(self):
        daemon, ids = self.filled()
        damaged = self.file(daemon).read_bytes().replace(b"number 17 ", b"number 71 ")
        self.file(daemon).write_bytes(damaged)
        daemon.start()
        line = self.told(daemon)
        self.assertEqual(line["level"], "error")
        aside, = self.asides(daemon)
        for part in (f"journal.path = {daemon.home}: data.mdb was damaged "
                     "(the record 18 is damaged",
                     "; 30 of 31 entries are kept, and ids get a new epoch; the damaged file is "
                     f"{aside.name} (the newest 3 are kept)"):
            self.assertIn(part, line["message"])
        self.assertEqual(aside.read_bytes(), damaged)
        self.assertEqual(aside.stat().st_mode & 0o777, 0o600)
        stream = self.open("u", daemon, last_event_id=ids[-1])
        self.assert_gap(stream.next(), "unknown-id")
        self.assertEqual([data.split()[1] for data in stream.take(29)],
                         [str(i) for i in range(30) if i != 17])
        new = daemon.notify(user="u", data="new")["id"]
        self.assertNotEqual(new.partition("-")[0], ids[0].partition("-")[0])
        self.assertGreater(int(new.partition("-")[2]), int(ids[-1].partition("-")[2]))
        # What was said twice is known still, but for what is not there any more.
        self.assertIs(daemon.notify(user="u", data="x", idempotency_key="k3")["duplicate"], True)
        self.assert_quiet_from_now_on(daemon)

    def test_damage_that_costs_nothing_is_nothing_to_streams(self):
        daemon, ids = self.filled()
        with open(self.file(daemon), "r+b") as data:
            # LMDB writes the two heads in turn; of the older one nothing is needed.
            heads = data.read(8192)
            txns = [int.from_bytes(heads[at + 144:at + 152], "little") for at in (0, 4096)]
            data.seek(4096 * txns.index(min(txns)) + 16)
            data.write(b"\xff\xff\xff\xff")
        daemon.start()
        line = self.told(daemon)
        self.assertEqual(line["level"], "warning")
        self.assertIn("; all 31 entries are kept; the damaged file is ", line["message"])
        self.assertEqual(len(self.asides(daemon)), 1)
        self.assertEqual(self.kept(daemon), ids[:30])
        stream = self.open("u", daemon, last_event_id=ids[27])
        self.assertEqual([data.split()[1] for data in stream.take(2)], ["28", "29"])
        self.assertIs(daemon.notify(user="u", data="x", idempotency_key="k17")["duplicate"], True)
        self.assert_quiet_from_now_on(daemon)

    def assert_lives_on(self, daemon, ids, content):
        """It starts with that in the file's place, and has nothing that was not sent."""
        self.file(daemon).write_bytes(content)
        daemon.start()
        self.assertEqual(self.told(daemon)["level"], "error")
        kept = self.kept(daemon)
        new = daemon.notify(user="u", data="new")["id"]
        self.assertNotEqual(new.partition("-")[0], ids[0].partition("-")[0])
        self.assertLessEqual({n.partition("-")[2] for n in kept},
                             {n.partition("-")[2] for n in ids})
        stream = self.open("u", daemon, last_event_id=ids[0])
        self.assert_gap(stream.next(), "unknown-id")
        self.assertEqual(len(stream.take(len(kept) + 1)), len(kept) + 1)
        stream.close()
        self.assert_quiet_from_now_on(daemon)
        daemon.stop()

    def test_a_file_that_is_cut_off_anywhere(self):
        daemon, ids = self.filled()
        whole = self.file(daemon).read_bytes()
        for size in (0, 1, 150, 4096, 8192, 3 * 4096, len(whole) // 2, len(whole) * 3 // 4):
            with self.subTest(size=size):
                self.assert_lives_on(daemon, ids, whole[:size])
        self.assertEqual(len(self.asides(daemon)), 3)  # the newest

    def test_garbage(self):
        daemon, ids = self.filled()
        for content in (random.Random(1).randbytes(300000), b"\0" * 50000, b"{}\n"):
            self.assert_lives_on(daemon, ids, content)

    def assert_refused(self, daemon, *parts):
        """It does not start, says why, and leaves everything as it is."""
        before = {f.name: f.read_bytes() for f in pathlib.Path(daemon.home).iterdir()
                  if f.name.startswith("data.mdb")}
        with self.assertRaises(AssertionError):
            daemon.start()
        self.assertEqual(daemon.process.wait(DEADLINE), 2)
        daemon.reader.join(DEADLINE)
        daemon.process = None
        line, = [e for e in daemon.log() if e["level"] == "error"]
        for part in (f"journal.path = {daemon.home}", *parts):
            self.assertIn(part, line["message"])
        self.assertEqual({f.name: f.read_bytes() for f in pathlib.Path(daemon.home).iterdir()
                          if f.name.startswith("data.mdb")}, before)

    def test_without_room_it_stays_as_it_is_until_there_is_some(self):
        daemon, ids = self.filled()
        damaged = self.file(daemon).read_bytes().replace(b"number 17 ", b"number 71 ")
        self.file(daemon).write_bytes(damaged)
        daemon.limit = ["prlimit", "--fsize=20000:"]
        for _ in range(2):
            self.assert_refused(daemon, "is damaged (", "cannot be repaired", "It is as it was",
                                "1 MB of room")
        self.assertFalse(os.path.exists(f"{daemon.home}/draft"))
        daemon.limit = []
        daemon.start()
        self.assertIn("30 of 31 entries", self.told(daemon)["message"])
        self.assertEqual(len(self.kept(daemon)), len(ids) - 2)

    def test_a_damaged_log_is_told_and_kept_and_what_is_whole_of_it_is_there(self):
        daemon = self.start("journal.keep_per_user=1000")
        ids = [daemon.notify(user="u", data=f"number {i}")["id"] for i in range(10)]
        daemon.kill()
        log = pathlib.Path(daemon.home, "wal-0")
        whole = log.read_bytes()
        self.assertIn(b"number 9", whole)
        damaged = whole.replace(b"number 9", b"number 7")
        log.write_bytes(damaged)
        daemon.start()
        line = self.told(daemon)
        self.assertEqual(line["level"], "error")
        self.assertIn("the write-ahead log is damaged", line["message"])
        self.assertEqual(pathlib.Path(daemon.home, "wal-0.damaged").read_bytes(), damaged)
        self.assertEqual([n.partition("-")[2] for n in self.kept(daemon)][:9],
                         [n.partition("-")[2] for n in ids[:9]])
        stream = self.open("u", daemon, last_event_id=ids[-1])
        self.assert_gap(stream.next(), "unknown-id")
        self.assertEqual(stream.take(9), [f"number {i}" for i in range(9)])
        self.assert_quiet_from_now_on(daemon)

    def test_a_file_of_another_version_of_lmdb_is_left_alone(self):
        daemon, ids = self.filled()
        content = bytearray(self.file(daemon).read_bytes())
        content[20] = content[4096 + 20] = 9
        self.file(daemon).write_bytes(content)
        self.assert_refused(daemon, "another version of LMDB (9, this one is 1)")
        content[20] = content[4096 + 20] = 1
        self.file(daemon).write_bytes(content)
        daemon.start()
        self.assertIsNone(self.told(daemon))
        self.assertEqual(self.kept(daemon), ids[:30])


if __name__ == "__main__":
    main()
