"""sse-notify journal: what its commands do beside a daemon and in place of one."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import threading
import time
import unittest

from harness import BIN, DEADLINE, OneDaemonATest, main, run, wait_for


class Case(OneDaemonATest):
    def journal(self, *arguments, status=0, stdin=None, env=None):
        """One of the commands, and the exit code that it should have."""
        done = run("journal", *arguments, stdin=stdin, env=env)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def export(self, path, *arguments):
        """The lines of an export: (head, entries, losses, keys, end)."""
        lines = [json.loads(line) for line in
                 self.journal("export", "--path", path, *arguments).stdout.splitlines()]
        head, *rest, end = lines
        self.assertEqual(head["journal"], 1)
        self.assertIs(end["end"], True)
        entries = [line for line in rest if "data" in line]
        losses = [line for line in rest if "lost" in line]
        keys = [line for line in rest if "idempotency_key" in line]
        self.assertEqual(len(entries) + len(losses) + len(keys), len(rest))
        self.assertEqual(end["entries"], len(entries))
        return head, entries, losses, keys, end

    def stats(self, path):
        return json.loads(self.journal("stats", "--json", "--path", path).stdout)

    def filled(self, *options):
        """A daemon with some of everything that a journal can hold, and the ids."""
        daemon = self.start("journal.keep_per_user=3", *options)
        body = b'{"user":"u","event":"e","data":{"n":1.0e2,"big":12345678901234567890}}'
        ids = [daemon.post(body).json()["id"]]
        ids.append(daemon.notify(topic="t", data="a\0b\n\u00e9\U0001f514", ttl=5000)["id"])
        ids.append(daemon.notify(broadcast=True, data=None, collapse_key="c")["id"])
        ids.append(daemon.notify(user="u", data="kept", idempotency_key="k1")["id"])
        daemon.notify(user="gone", data="1", ttl=0, idempotency_key="k2")
        for i in range(5):
            ids.append(daemon.notify(user="full", data=i)["id"])
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 7, "the commit of all")
        return daemon, ids

    def lines(self, count):
        return "".join(json.dumps({"user": "u", "data": i}) + "\n" for i in range(count))


class Help(Case):
    def test_every_command_has_a_help_and_the_list_has_every_command(self):
        listed = self.journal("--help").stdout
        self.assertIn("usage: sse-notify journal COMMAND", listed)
        names = re.findall(r"^  (\w+) ", listed, re.M)
        self.assertEqual(set(names), {"check", "stats", "export", "import", "repair",
                                      "compact", "backup"})
        for name in names:
            done = self.journal(name, "--help")
            self.assertTrue(done.stdout.startswith(f"usage: sse-notify journal {name}"))
            self.assertIn("Exit codes: 0", done.stdout)
            self.assertTrue(all(len(line) <= 92 for line in done.stdout.splitlines()))
            self.assertEqual(done.stderr, "")
        self.assertIn("journal", run("--help").stdout)

    def test_wrong_usage_is_told_and_gives_2(self):
        for arguments, part in (((), "which command?"), (("mend",), "no command 'mend'"),
                                (("stats", "--no"), "unknown option --no"),
                                (("stats", "x"), "takes no operands"),
                                (("stats", "--path="), "--path"),
                                (("stats", "-n", "x"), "--biggest"),
                                (("backup",), "where to?"),
                                (("backup", "a", "b"), "where to?"),
                                (("export", "a", "b"), "only one FILE"),
                                (("export", "--user", ""), "--user"),
                                (("export", "--user", "u", "--user", "u"), "given twice"),
                                (("import", "a", "b"), "only one FILE"),
                                (("compact", "x"), "takes no operands"),
                                (("check", "a", "b"), "only one directory"),
                                (("repair", "a", "--path", "b"), "only one directory"),
                                (("stats", "-o", "journal.path"), "journal.path"),
                                (("stats", "-o", "journal.type=memory"), "journal.type = memory"),
                                (("stats", "-c", "/no/such/file"), "/no/such/file")):
            done = self.journal(*arguments, status=2)
            self.assertIn(part, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_the_path_comes_from_where_the_daemon_has_it(self):
        daemon, _ = self.filled()
        daemon.stop()
        home = self.scratch()
        config = pathlib.Path(home, "c.conf")
        config.write_text(f"[journal]\npath = {daemon.home}\n")
        for arguments, env in ((("--path", daemon.home), {}), (("-c", config), {}),
                               (("-o", f"journal.path={daemon.home}"), {}),
                               ((), {"SSE_NOTIFY_JOURNAL_PATH": daemon.home}),
                               ((), {"STATE_DIRECTORY": daemon.home}),
                               # the option is over them all
                               (("--path", daemon.home, "-o", "journal.path=/no"), {})):
            stats = json.loads(self.journal("stats", "--json", *arguments, env=env).stdout)
            self.assertEqual((stats["path"], stats["entries"]), (daemon.home, 7))

    def test_where_no_journal_is_none_is_made(self):
        home = self.scratch()
        absent = os.path.join(home, "absent")
        wrong = os.path.join(home, "wrong")
        os.mkdir(wrong)
        pathlib.Path(wrong, "data.mdb").write_bytes(b"this is not a journal" * 1000)
        done = self.journal("check", absent, status=2)
        self.assertIn(f"{absent}: there is no journal", done.stderr)
        for command in (("stats",), ("export",), ("backup", os.path.join(home, "to")), ("compact",),
                        ("repair",)):
            done = self.journal(*command, "--path", absent, status=1)
            self.assertIn(f"{absent}: there is no journal", done.stderr)
            self.assertFalse(os.path.exists(absent))
        for command in (("stats",), ("export",), ("backup", os.path.join(home, "to"))):
            done = self.journal(*command, "--path", wrong, status=1)
            self.assertIn(wrong, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(home, "to")))


class Stats(Case):
    def test_what_is_there_is_told_beside_a_live_daemon(self):
        daemon, ids = self.filled()
        stats = self.stats(daemon.home)
        epoch = ids[0].partition("-")[0]
        self.assertEqual((stats["epoch"], stats["head"], stats["entries"]), (epoch, 10, 7))
        self.assertEqual(stats["channels"],
                         {"users": 2, "topics": 1, "everyone": 1, "all_lost": 0})
        self.assertEqual(stats["idempotency_keys"], 2)
        self.assertEqual((stats["live"], stats["backup"]), (True, False))
        self.assertEqual(stats["oldest"]["id"], ids[0])
        self.assertEqual(stats["newest"]["id"], ids[-1])
        self.assertRegex(stats["oldest"]["at"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
        self.assertEqual(stats["biggest"][:2], [{"user": "full", "entries": 3},
                                                {"user": "u", "entries": 2}])
        self.assertEqual(stats["file_bytes"], os.path.getsize(f"{daemon.home}/data.mdb"))
        self.assertLess(stats["bytes"], stats["file_bytes"] + 1)
        self.assertEqual(daemon.stats()["journal"]["bytes"], stats["bytes"])
        daemon.stop()
        self.assertIs(self.stats(daemon.home)["live"], False)

    def test_people_get_the_same(self):
        daemon, ids = self.filled()
        text = self.journal("stats", "--path", daemon.home, "-n", "1").stdout
        self.assertRegex(text, r"(?m)^entries +7$")
        self.assertRegex(text, rf"(?m)^  oldest +\S+Z  {ids[0]}$")
        self.assertRegex(text, r"(?m)^channels +2 users, 1 topic, everyone$")
        self.assertEqual(re.findall(r"(?m)^ +(\d+  user .*)$", text), ["3  user full"])

    def test_the_biggest_of_many_channels_are_found(self):
        path = self.scratch()
        rows = [json.dumps({"user": f"user {i}", "data": k}) for i in range(300)
                for k in range((i * 7) % 31 + 1)]
        self.journal("import", "--path", path, stdin="\n".join(rows))
        stats = json.loads(self.journal("stats", "--json", "-n20", "--path", path).stdout)
        counts = sorted(((i * 7) % 31 + 1 for i in range(300)), reverse=True)
        self.assertEqual([c["entries"] for c in stats["biggest"]], counts[:20])
        self.assertEqual(stats["channels"]["users"], 300)


class ExportImport(Case):
    def test_what_is_imported_is_the_same_journal(self):
        daemon, ids = self.filled()
        before = {user: daemon.get(f"/notifications/{user}/history").body
                  for user in ("u", "full", "gone")}
        self.assertIn(b'{"n":1.0e2,"big":12345678901234567890}', before["u"])
        daemon.stop()
        file = os.path.join(self.scratch(), "e.ndjson")
        self.journal("export", "--path", daemon.home, file)
        other = self.start("journal.keep_per_user=3", start=False)
        done = self.journal("import", "--path", other.home, file)
        self.assertIn(f"7 entries are imported; ids go on as {ids[0].partition('-')[0]}-11",
                      done.stdout)
        again = self.journal("export", "--path", other.home).stdout
        self.assertEqual(again, pathlib.Path(file).read_text())
        other.start()
        for user, body in before.items():
            self.assertEqual(other.get(f"/notifications/{user}/history").body, body)
        # What streams know stays true: where they were, and what is lost.
        stream = self.open("u", other, last_event_id=ids[0])
        self.assertEqual([stream.next().id for _ in range(2)], [ids[2], ids[3]])
        lost = self.open("full", other, last_event_id=ids[3])
        self.assert_gap(lost.next(), "expired")
        self.assertEqual(lost.take(3), ["2", "3", "4"])
        # Repeats are known, keys that never had an entry, too.
        self.assertEqual(other.notify(user="u", data="x", idempotency_key="k1")["id"], ids[3])
        self.assertTrue(other.notify(user="gone", data="x", idempotency_key="k2")["duplicate"])
        self.assertEqual(other.notify(user="u", data="next")["id"],
                         f"{ids[0].partition('-')[0]}-11")
        self.assertEqual(stream.next().data, "next")
        # A collapse key still replaces, and a ttl still ends.
        other.notify(broadcast=True, data="newer", collapse_key="c")
        fresh = self.open("x", other, last_event_id="earliest")
        self.assertEqual(fresh.next().data, "newer")

    def test_each_kind_of_line_is_as_documented(self):
        daemon, ids = self.filled()
        daemon.stop()
        head, entries, losses, keys, end = self.export(daemon.home)
        self.assertEqual(list(head), ["journal", "epoch", "head", "clock"])
        self.assertEqual([e["id"] for e in entries], ids[:4] + ids[6:])
        self.assertEqual(list(entries[0]), ["id", "user", "event", "at", "data"])
        self.assertEqual(entries[0]["event"], "e")
        self.assertEqual(entries[1]["data"], "a\0b\n\u00e9\U0001f514")
        self.assertIn("expires", entries[1])
        self.assertEqual((entries[2]["broadcast"], entries[2]["collapse_key"]), (True, "c"))
        self.assertEqual(losses, [{"lost": ids[5], "user": "full"}])
        self.assertEqual([(k["idempotency_key"], k["id"]) for k in keys],
                         [("k1", ids[3]), ("k2", f"{head['epoch']}-5")])
        self.assertEqual(end, {"end": True, "entries": 7, "complete": True})

    def test_an_unclean_end_stays_known(self):
        daemon = self.start("journal.sync=interval")
        first = daemon.notify(user="u", data="1")["id"]
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "it on disk")
        daemon.kill()
        daemon.start()
        daemon.stop()
        file = os.path.join(self.scratch(), "e")
        self.journal("export", "--path", daemon.home, file)
        other = self.start(start=False)
        self.journal("import", "--path", other.home, file)
        other.start()
        stream = self.open("u", other, last_event_id=first)
        self.assert_gap(stream.next(), "expired")

    def test_what_a_killed_daemon_handed_out_is_not_handed_out_after_an_import(self):
        daemon = self.start("journal.sync=interval")
        daemon.notify(user="u", data="1")
        wait_for(lambda: daemon.stats()["journal"]["entries"] == 1, "it on disk")
        given = [daemon.notify(user="u", data=str(i))["id"] for i in range(2, 8)]
        daemon.kill()
        file = os.path.join(self.scratch(), "e")
        self.journal("export", "--path", daemon.home, file)
        other = self.start(start=False)
        self.journal("import", "--path", other.home, file)
        other.start()
        new = other.notify(user="u", data="new")["id"]
        number = [int(identity.partition("-")[2]) for identity in (given[-1], new)]
        self.assertLess(*number)
        stream = self.open("u", other, last_event_id=given[-1])
        self.assert_gap(stream.next(), "expired")
        self.assertEqual(stream.next().data, "new")

    def test_export_and_backup_beside_a_daemon_that_publishes(self):
        daemon = self.start("journal.keep_per_user=1000000")
        is_over = threading.Event()
        failed = []

        def publish():
            number = 0
            with daemon.connect() as http:
                while not is_over.is_set():
                    lines = "".join(json.dumps({"user": f"u{number % 7}", "data": number + k})
                                    + "\n" for k in range(200))
                    http.send_request("POST", "/notify", lines.encode(),
                                      [("Content-Type", "application/x-ndjson")])
                    answer = http.read_response()
                    if answer.status != 200:
                        failed.append(answer)
                        return
                    number += 200

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            wait_for(lambda: daemon.stats()["journal"]["entries"] > 5000, "some entries")
            home = self.scratch()
            for i in range(3):
                head, entries, losses, keys, end = self.export(daemon.home)
                numbers = [int(e["id"].partition("-")[2]) for e in entries]
                self.assertEqual(numbers, list(range(1, head["head"] + 1)))
                self.assertEqual([e["data"] for e in entries], [n - 1 for n in numbers])
                self.assertEqual((losses, keys, end["complete"]), ([], [], False))
                to = f"{home}/b{i}"
                self.journal("backup", "--path", daemon.home, to)
                self.assertEqual(os.listdir(to), ["data.mdb"])
                _, copied, _, _, end = self.export(to)
                self.assertGreaterEqual(len(copied), len(entries))
                self.assertEqual([e["data"] for e in copied], list(range(len(copied))))
                self.assertFalse(end["complete"])
                self.stats(daemon.home)
        finally:
            is_over.set()
            thread.join(DEADLINE)
        self.assertEqual(failed, [])
        daemon.stop()

    def test_what_comes_from_a_live_journal_gets_a_new_epoch(self):
        daemon, ids = self.filled()
        lines = self.journal("export", "--path", daemon.home).stdout
        later = daemon.notify(user="u", data="after the export")["id"]
        other = self.start(start=False)
        done = self.journal("import", "--path", other.home, stdin=lines)
        self.assertIn("ids are new", done.stdout)
        other.start()
        first = other.notify(user="u", data="other")["id"]
        self.assertNotEqual(first.partition("-")[0], later.partition("-")[0])
        self.assertEqual(first.partition("-")[2], later.partition("-")[2])
        stream = self.open("u", other, last_event_id=later)
        self.assert_gap(stream.next(), "unknown-id")
        self.assertEqual(len(stream.take(4)), 4)
        times = [n["at"] for n in daemon.history("u")["notifications"][:2]]
        self.assertEqual([n["at"] for n in other.history("u")["notifications"][:2]], times)

    def test_a_new_epoch_can_be_asked_for(self):
        daemon, ids = self.filled()
        daemon.stop()
        lines = self.journal("export", "--path", daemon.home).stdout
        path = self.scratch()
        self.assertIn("ids are new",
                      self.journal("import", "--new-epoch", "--path", path, stdin=lines).stdout)
        stats = self.stats(path)
        self.assertEqual((stats["head"], stats["entries"]), (10, 7))
        self.assertNotEqual(stats["epoch"], ids[0].partition("-")[0])

    def test_filters(self):
        daemon, ids = self.filled()
        for arguments, wanted in ((("--user", "u"), [0, 3]), (("--topic", "t"), [1]),
                                  (("--broadcast",), [2]), (("-u", "u", "-t", "t"), [0, 1, 3]),
                                  (("--user", "nobody"), []),
                                  (("--after", ids[3]), [6, 7, 8]),
                                  (("--after", ids[1], "--user", "u", "--broadcast"), [2, 3]),
                                  (("--after", ids[8]), [])):
            _, entries, _, _, end = self.export(daemon.home, *arguments)
            self.assertEqual([e["id"] for e in entries], [ids[i] for i in wanted], arguments)
            self.assertFalse(end["complete"])
        daemon.stop()
        self.assertFalse(self.export(daemon.home, "--user", "u")[4]["complete"])
        self.assertFalse(self.export(daemon.home, "--after", ids[0])[4]["complete"])
        done = self.journal("export", "--path", daemon.home, "--after", "abcd1234-5", status=1)
        self.assertIn("not an id of this journal", done.stderr)
        self.journal("export", "--path", daemon.home, "--after", "x", status=2)

    def test_plain_lines_can_be_sent(self):
        daemon, _ = self.filled()
        lines = self.journal("export", "--plain", "--path", daemon.home).stdout
        other = self.start("journal.type=memory")
        done = run("send", "--url", f"http://127.0.0.1:{other.port}", "-", stdin=lines)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        drop = lambda n: {k: v for k, v in n.items() if k not in ("id", "at")}
        self.assertEqual([drop(n) for n in other.history("u")["notifications"]],
                         [drop(n) for n in daemon.history("u")["notifications"]])

    def test_other_programs_write_lines(self):
        path = self.scratch()
        rows = [{"user": "a", "data": 1}, {"topic": "t", "data": "x", "ttl": 0},
                {"broadcast": True, "event": "e", "data": [], "at": "2026-01-01T00:00:00+01:00"},
                {"user": "a", "data": 2, "id": "abcd1234-20", "idempotency_key": "k"},
                {"user": "a", "data": 3}]
        text = "\r\n\n  \n".join(map(json.dumps, rows))  # no line end at the end
        done = self.journal("import", "--path", path, "-", stdin=text)
        self.assertIn("4 entries are imported", done.stdout)
        self.assertIn("1 had expired", done.stdout)
        _, entries, _, keys, _ = self.export(path)
        self.assertEqual([int(e["id"].partition("-")[2]) for e in entries], [1, 3, 20, 21])
        self.assertEqual(entries[1]["at"], "2025-12-31T23:00:00.000Z")
        self.assertEqual([k["id"].partition("-")[2] for k in keys], ["20"])

    def test_append_gives_new_numbers_behind_all_others(self):
        daemon, ids = self.filled()
        daemon.stop()
        lines = self.journal("export", "--path", daemon.home).stdout
        before = self.export(daemon.home)
        done = self.journal("import", "--path", daemon.home, status=1, stdin=lines)
        self.assertIn("is in use already: it has 7 entries", done.stderr)
        self.assertEqual(self.export(daemon.home), before)
        done = self.journal("import", "--append", "--path", daemon.home, stdin=lines)
        epoch = ids[0].partition("-")[0]
        self.assertIn(f"7 entries are added, the last with the id {epoch}-17", done.stdout)
        daemon.start()
        stream = self.open("u", daemon, last_event_id=f"{epoch}-10")
        self.assertEqual([stream.next().id for _ in range(3)],
                         [f"{epoch}-{n}" for n in (11, 13, 14)])
        self.assertEqual(daemon.notify(user="u", data="next")["id"], f"{epoch}-18")

    def test_a_time_ahead_does_not_move_the_clock(self):
        path = self.scratch()
        self.journal("import", "--path", path, stdin=json.dumps(
            {"user": "u", "data": 1, "at": "2200-01-01T00:00:00Z"}))
        self.journal("import", "--append", "--path", path, stdin=json.dumps(
            {"user": "u", "data": 2, "at": "2300-01-01T00:00:00Z"}))
        head, entries, *_ = self.export(path)
        self.assertEqual([e["at"][:4] for e in entries], ["2200", "2300"])
        self.assertLess(int(head["clock"][:4]), 2200)


class Refusals(Case):
    def test_a_daemon_that_runs_is_named(self):
        daemon, _ = self.filled()
        before = self.export(daemon.home)[:2]
        for command in (("import",), ("import", "--append"), ("compact",)):
            done = self.journal(*command, "--path", daemon.home, status=1, stdin=self.lines(1))
            self.assertIn(f"process {daemon.process.pid}:", done.stderr)
        self.assertEqual(self.export(daemon.home)[:2], before)

    def test_who_reads_is_waited_for_by_nobody(self):
        daemon, _ = self.filled()
        daemon.stop()
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        self.journal("import", "--append", "--path", daemon.home, stdin=self.lines(3000))
        before = self.stats(daemon.home)
        # It stands still, with the journal open, because nobody takes what it writes.
        with subprocess.Popen([BIN, "journal", "export", "--path", daemon.home], stdout=write,
                              stderr=subprocess.PIPE) as reader:
            os.close(write)
            self.assertTrue(select.select([read], [], [], DEADLINE)[0])
            for command in (("compact",), ("import", "--append")):
                done = self.journal(*command, "--path", daemon.home, status=1, stdin=self.lines(1))
                self.assertIn(f"process {reader.pid} is reading", done.stderr)
            with os.fdopen(read, "rb") as rest:
                lines = rest.read().splitlines()
        self.assertEqual(json.loads(lines[-1])["entries"], len(lines) - 5)
        self.assertEqual(self.stats(daemon.home), before)
        self.assertEqual(sorted(os.listdir(daemon.home)),
                         ["data.mdb", "lock.mdb", "sse-notify.lock", "wal-0", "wal-1"])
        self.journal("compact", "--path", daemon.home)

    def test_bad_lines_are_named_and_nothing_is_imported(self):
        good = json.dumps({"user": "u", "data": 1})
        cases = (
            ([good, '{"user":"u"}', "nonsense", good, '{"user":"u","data":1,"x":2}'],
             ["line 2: a notification needs data", "line 3: no JSON at byte",
              'line 5: unknown field "x"']),
            ([good] * 5 + [""] * 3 + ["[]"], ["line 9: must be a JSON object"]),
            (['{"user":"u","data":1,"id":"abcd1234-5"}', '{"user":"u","data":1,"id":"abcd1234-5"}'],
             ["line 2: the id's number must be over"]),
            ([good, '{"journal":1,"epoch":"abcd1234","head":5,"clock":"2026-01-01T00:00:00Z"}'],
             ["line 2: the head of an export must be its first line"]),
            (['{"journal":1,"epoch":"abcd1234","head":5,"clock":"2026-01-01T00:00:00Z"}',
              '{"user":"u","data":1,"id":"bbcd1234-5"}', '{"user":"u","data":1,"id":"abcd1234-6"}'],
             ["line 2: the id is of another epoch", "line 3: the id's number is over"]),
            (['{"journal":1,"epoch":"abcd1234","head":5,"clock":"2026-01-01T00:00:00Z"}', good],
             ["the export was cut short"]),
            (['{"journal":1,"epoch":"abcd1234","head":5,"clock":"2026-01-01T00:00:00Z"}', good,
              '{"end":true,"entries":2,"complete":true}'],
             ["line 3: 2 entries should stand before it, 1 do"]),
            ([good, '{"end":true,"entries":1,"complete":true}', good], ["line 3: nothing may"]),
            ([good, '{"user":"u","lost":"abcd1234-1"}'], ["line 2: what is lost"]),
            ([good, '{"user":"v","lost":"abcd1234-2"}'], ["line 2: the id's number is over"]),
            ([good, good] + ['{"idempotency_key":"k","id":"abcd1234-2",'
                             '"clock":"2026-01-01T00:00:00Z"}'] * 2, ["line 4: idempotency keys"]),
            (["x"] * 50, ["line 20: no JSON", "and 30 more"]),
            ([], ["there is no line in it"]),
            (["", " "], ["there is no line in it"]),
        )
        for rows, parts in cases:
            with self.subTest(rows[:3]):
                home = self.scratch()
                done = self.journal("import", "--path", home, status=1, stdin="\n".join(rows))
                for part in parts:
                    self.assertIn(part, done.stderr)
                self.assertTrue(done.stderr.endswith("nothing was imported\n"))
                self.assertEqual(done.stdout, "")
                self.assertEqual(os.listdir(home), ["sse-notify.lock"])

    def test_a_bad_line_late_in_an_append_changes_nothing(self):
        daemon, _ = self.filled()
        daemon.stop()
        before = pathlib.Path(daemon.home, "data.mdb").read_bytes()
        done = self.journal("import", "--append", "--path", daemon.home, status=1,
                            stdin=self.lines(10000) + "no\n" + self.lines(100))
        self.assertIn("line 10001: no JSON", done.stderr)
        self.assertEqual(pathlib.Path(daemon.home, "data.mdb").read_bytes(), before)
        self.assertFalse(os.path.exists(f"{daemon.home}/draft"))

    def test_an_input_that_is_not_there(self):
        done = self.journal("import", "--path", self.scratch(), "/no/such", status=1)
        self.assertIn("/no/such: No such file", done.stderr)
        done = self.journal("import", "--path", self.scratch(), "/", status=1)
        self.assertIn("nothing was imported", done.stderr)

    def test_a_full_disk_changes_nothing(self):
        daemon, _ = self.filled()
        daemon.stop()
        before = pathlib.Path(daemon.home, "data.mdb").read_bytes()
        home = self.scratch()
        limit = ["prlimit", "--fsize=200000:", BIN, "journal"]
        wide = "".join(json.dumps({"user": "u", "data": "x" * 5000}) + "\n" for _ in range(300))
        file = os.path.join(home, "wide")
        pathlib.Path(file).write_text(wide)
        for arguments in (("import", "--append", file), ("import", file)):
            path = daemon.home if "--append" in arguments else os.path.join(home, "new")
            done = subprocess.run([*limit, *arguments, "--path", path], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("No space left", done.stderr)
            self.assertIn("nothing was imported", done.stderr)
            self.assertFalse(os.path.exists(os.path.join(path, "draft")))
        self.assertEqual(pathlib.Path(daemon.home, "data.mdb").read_bytes(), before)
        self.journal("import", "--append", "--path", daemon.home, file)
        before = pathlib.Path(daemon.home, "data.mdb").read_bytes()
        to = os.path.join(home, "backup")
        out = os.path.join(home, "out")
        for arguments in (("backup", to), ("compact",), ("export", out)):
            done = subprocess.run([*limit, *arguments, "--path", daemon.home], text=True,
                                  capture_output=True, check=False, timeout=DEADLINE)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertNotEqual(done.stderr, "")
        self.assertEqual(os.listdir(to), [])
        self.assertFalse(os.path.exists(out) or os.path.exists(out + ".part"))
        self.assertEqual(pathlib.Path(daemon.home, "data.mdb").read_bytes(), before)
        self.assertFalse(os.path.exists(f"{daemon.home}/draft"))


class Owner(Case):
    @unittest.skipUnless(os.geteuid() == 0, "only root can act for somebody else")
    def test_what_root_makes_belongs_to_whom_the_directory_belongs_to(self):
        home = self.scratch()
        path = os.path.join(home, "journal")
        os.mkdir(path, 0o700)
        os.chown(path, 1234, 2345)
        mine = os.path.join(home, "mine")
        pathlib.Path(mine).write_text("root's")
        for command in (("import",), ("stats",), ("import", "--append"), ("compact",), ("stats",),
                        ("export",)):
            self.journal(*command, "--path", path, stdin=self.lines(3))
            for name in os.listdir(path):
                info = os.stat(os.path.join(path, name))
                self.assertEqual((name, info.st_uid, info.st_gid), (name, 1234, 2345))
        # What the owner could put there to get hold of another file is left alone.
        os.unlink(f"{path}/lock.mdb")
        os.unlink(f"{path}/sse-notify.lock")
        os.link(mine, f"{path}/sse-notify.lock")
        self.journal("compact", "--path", path)
        self.assertEqual(os.stat(mine).st_uid, 0)


class KilledDaemon(Case):
    """What was acknowledged last is in the write-ahead log only."""

    def killed(self):
        daemon = self.start()
        self.last = [daemon.notify(user="u", data=i)["id"] for i in range(20)][-1]
        daemon.kill()
        return daemon

    def test_who_reads_first_brings_it_in(self):
        _, entries, _, _, end = self.export(self.killed().home)
        self.assertEqual(([e["data"] for e in entries], end["complete"]), (list(range(20)), True))
        self.assertEqual(self.stats(self.killed().home)["entries"], 20)
        to = os.path.join(self.scratch(), "backup")
        self.journal("backup", "--path", self.killed().home, to)
        self.assertEqual(self.stats(to)["entries"], 20)

    def test_what_replaces_the_file_has_it(self):
        daemon = self.killed()
        self.journal("compact", "--path", daemon.home)
        daemon.start()
        self.assertEqual(len(daemon.history("u")["notifications"]), 20)
        self.assertEqual(self.open("u", daemon, last_event_id=self.last).last_id, self.last)
        daemon = self.killed()
        self.journal("import", "--append", "--path", daemon.home, stdin=self.lines(3))
        daemon.start()
        self.assertEqual([n["data"] for n in daemon.history("u")["notifications"]],
                         [*range(20), *range(3)])

    def test_one_that_is_damaged_is_left_alone(self):
        daemon = self.killed()
        daemon.start()
        daemon.stop()
        daemon.start()
        for i in range(20, 40):
            daemon.notify(user="u", data=i)
        daemon.kill()
        file = pathlib.Path(daemon.home, "data.mdb")
        file.write_bytes(file.read_bytes().replace(b"notification7", b"notificatiom7"))
        before = {f: f.read_bytes() for f in (file, *file.parent.glob("wal-*"))}
        done = self.journal("stats", "--json", "--path", daemon.home)
        self.assertIn("in the write-ahead log only", done.stderr)
        self.assertEqual({f: f.read_bytes() for f in before}, before)
        daemon.start()
        kept = [n["data"] for n in daemon.history("u")["notifications"]]
        self.assertEqual(kept, [i for i in range(40) if i != 7])


class Check(Case):
    def damaged(self):
        """A journal with one record that is not what it was, and what is in its directory."""
        path = self.scratch()
        self.journal("import", "--path", path, stdin=self.lines(300))
        file = pathlib.Path(path, "data.mdb")
        content = file.read_bytes()
        at = content.rindex(b"notification123")
        file.write_bytes(content[:at] + b"notification124" + content[at + len(b"notification123"):])
        return path, self.content(path)

    def content(self, path):
        return {f.name: f.read_bytes() for f in pathlib.Path(path).iterdir() if f.is_file()}

    def test_a_whole_one_is_told_beside_a_daemon_and_without(self):
        daemon, _ = self.filled()
        said = (r"7 entries, 4 channels, 2 idempotency keys; \S+ KiB, \S+ \S+ of it free\n\Z")
        done = self.journal("check", "--path", daemon.home)
        self.assertRegex(done.stdout, rf"\A{daemon.home} is whole, as of the last commit of the "
                                      rf"daemon that writes to it\n{said}")
        to = os.path.join(self.scratch(), "backup")
        self.journal("backup", "--path", daemon.home, to)
        self.assertRegex(self.journal("check", to).stdout, rf"\A{to} is whole\n{said}")
        daemon.stop()
        before = self.content(daemon.home)
        done = self.journal("check", "-o", f"journal.path={daemon.home}")
        self.assertRegex(done.stdout, rf"\A{daemon.home} is whole\n{said}")
        self.assertEqual(self.content(daemon.home), before)
        done = self.journal("repair", daemon.home)
        self.assertEqual(done.stdout, f"{daemon.home} is whole: there is nothing to repair\n")
        self.assertEqual(self.content(daemon.home)["data.mdb"], before["data.mdb"])

    def test_damage_is_told_and_left_as_it_is(self):
        path, before = self.damaged()
        done = self.journal("check", path, status=1)
        self.assertEqual(done.stdout.splitlines()[:3],
                         [f"{path} is damaged: 2 faults", "  the record 124 is damaged",
                          "  entries: there are 299 whole ones, and should be 300"])
        self.assertIn("299 entries, 1 channel, 0 idempotency keys can be read", done.stdout)
        self.assertIn("sse-notify journal repair", done.stdout)
        self.assertEqual(self.content(path), before)

    def test_damage_beside_a_daemon_is_told_too(self):
        daemon, _ = self.filled()
        with open(f"{daemon.home}/data.mdb", "r+b") as data:
            content = data.read()
            data.seek(0)
            data.write(content.replace(b'"big":12345678901234567890',
                                       b'"big":12345678901234567891'))
        done = self.journal("check", "--path", daemon.home, status=1)
        self.assertIn("  the record 1 is damaged\n", done.stdout)
        self.assertIn("The daemon repairs it when it is started again", done.stdout)
        done = self.journal("repair", "--path", daemon.home, status=1)
        self.assertIn(f"in use by process {daemon.process.pid}", done.stderr)
        daemon.restart()
        self.assertIn("6 of 7 entries are kept", daemon.log_text())
        self.assertIn("is whole, as of", self.journal("check", "--path", daemon.home).stdout)

    def test_what_cannot_be_told_gives_2(self):
        path, before = self.damaged()
        newer = bytearray(before["data.mdb"])
        newer[20] = newer[4096 + 20] = 9
        pathlib.Path(path, "data.mdb").write_bytes(newer)
        for command, status in (("check", 2), ("repair", 1)):
            done = self.journal(command, path, status=status)
            self.assertIn("another version of LMDB", done.stderr)
            self.assertEqual(done.stdout, "")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BIN, "journal", "check", path], stdout=full, check=False,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)

    def test_it_needs_to_write_nothing(self):
        path, before = self.damaged()
        os.chmod(path, 0o555)
        os.chmod(f"{path}/data.mdb", 0o444)
        who = {"user": "nobody"} if os.geteuid() == 0 else {}
        program = os.path.join(self.scratch(), "sse-notify")
        os.chmod(os.path.dirname(program), 0o755)
        shutil.copy(BIN, program)
        done = subprocess.run([program, "journal", "check", path], capture_output=True, text=True,
                              check=False, timeout=DEADLINE, **who)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("the record 124 is damaged", done.stdout)
        os.chmod(path, 0o755)
        self.assertEqual(self.content(path), before)

    def test_repair_keeps_what_is_whole_and_the_damaged_file(self):
        path, before = self.damaged()
        epoch = self.stats(path)["epoch"]
        done = self.journal("repair", "--path", path)
        self.assertRegex(done.stdout,
                         rf"\A{path}: data\.mdb was damaged \(the record 124 is damaged, and 1 "
                         r"fault more\); 299 of 300 entries are kept, and ids get a new epoch; the "
                         r"damaged file is data\.mdb\.damaged-\d{8}T\d{6}Z "
                         r"\(the newest 3 are kept\)\n\Z")
        aside, = pathlib.Path(path).glob("data.mdb.damaged-*")
        self.assertEqual(aside.read_bytes(), before["data.mdb"])
        self.journal("check", path)
        head, entries, *_ = self.export(path)
        self.assertNotEqual(head["epoch"], epoch)
        self.assertEqual([e["data"] for e in entries], [i for i in range(300) if i != 123])
        self.assertFalse(os.path.exists(f"{path}/draft"))

    def test_what_writes_a_journal_anew_refuses_a_damaged_one(self):
        path, before = self.damaged()
        for command in (("compact",), ("import", "--append")):
            done = self.journal(*command, "--path", path, status=1, stdin=self.lines(1))
            self.assertIn("is damaged (the record 124 is damaged); see 'sse-notify journal repair'",
                          done.stderr)
            self.assertEqual(self.content(path)["data.mdb"], before["data.mdb"])

    def test_an_empty_file_is_a_damaged_one(self):
        path = self.scratch()
        pathlib.Path(path, "data.mdb").write_bytes(b"")
        self.journal("check", path, status=1)
        self.assertIn("journal repair", self.journal("stats", "--path", path, status=1).stderr)
        self.assertIn("0 entries are kept", self.journal("repair", path).stdout)
        self.assertIn("is whole", self.journal("check", path).stdout)

    @unittest.skipUnless(os.geteuid() == 0, "only root can act for somebody else")
    def test_what_root_repairs_belongs_to_whom_it_belonged_to(self):
        path, _ = self.damaged()
        for name in ("", *os.listdir(path)):
            os.chown(os.path.join(path, name), 1234, 2345)
        self.journal("repair", path)
        for name in os.listdir(path):
            info = os.stat(os.path.join(path, name))
            self.assertEqual((name, info.st_uid, info.st_gid), (name, 1234, 2345))


class Compact(Case):
    def test_the_file_becomes_small_and_says_the_same(self):
        daemon = self.start("journal.keep_per_user=1000000")
        for _ in range(10):
            body = "".join(json.dumps({"user": "u", "data": "x" * 2000}) + "\n"
                           for _ in range(300))
            self.assertEqual(daemon.post(body.encode(),
                                         [("Content-Type", "application/x-ndjson")]).status, 200)
        self.assertEqual(daemon.request("DELETE", "/users/u/history").status, 200)
        kept = daemon.notify(user="u", data="kept")["id"]
        daemon.stop()
        before = self.stats(daemon.home)
        done = self.journal("compact", "--path", daemon.home)
        after = self.stats(daemon.home)
        self.assertRegex(done.stdout, r"\A\S+: \S+ MiB before, \S+ KiB now\n\Z")
        self.assertLess(after["file_bytes"], before["file_bytes"] / 20)
        for name in ("epoch", "head", "entries", "newest", "channels"):
            self.assertEqual(after[name], before[name])
        daemon.start()
        self.assertEqual([n["id"] for n in daemon.history("u")["notifications"]], [kept])
        self.assertEqual(daemon.notify(user="u", data="x")["id"], f"{after['epoch']}-3002")

    def test_killed_at_any_time_the_journal_is_whole(self):
        path = self.scratch()
        self.journal("import", "--path", path, stdin=self.lines(20000))
        before = self.stats(path)
        for delay in range(0, 100, 4):
            with subprocess.Popen([BIN, "journal", "compact", "--path", path],
                                  stdout=subprocess.DEVNULL) as process:
                time.sleep(delay / 1000)
                process.kill()
            after = self.stats(path)
            self.assertEqual((after["epoch"], after["entries"], after["head"]),
                             (before["epoch"], before["entries"], before["head"]))
        self.journal("compact", "--path", path)
        self.assertFalse(os.path.exists(f"{path}/draft"))


class Backup(Case):
    def test_a_restored_backup_gives_no_id_twice(self):
        daemon, ids = self.filled()
        to = os.path.join(self.scratch(), "deep", "er")
        done = self.journal("backup", "--path", daemon.home, to)
        self.assertRegex(done.stdout, rf"\A{to}: 7 entries, \S+ KiB\n\Z")
        self.assertEqual(os.stat(f"{to}/data.mdb").st_mode & 0o777, 0o600)
        later = daemon.notify(user="u", data="lost with the disk")["id"]
        before = daemon.history("u")["notifications"]
        daemon.stop()
        seen = {ids[0].partition("-")[0]}
        for _ in range(2):  # the same backup twice
            shutil.copy(f"{to}/data.mdb", f"{daemon.home}/data.mdb")
            daemon.start()
            # Somebody who was there after the backup is told that it is another record.
            stream = self.open("u", daemon, last_event_id=later)
            self.assert_gap(stream.next(), "unknown-id")
            self.assertEqual(stream.take(3)[-1], "kept")
            new = daemon.notify(user="u", data="other")["id"]
            self.assertNotIn(new.partition("-")[0], seen)
            seen.add(new.partition("-")[0])
            self.assertEqual(new.partition("-")[2], later.partition("-")[2])
            without = [{k: v for k, v in n.items() if k != "id"} for n in before[:2]]
            self.assertEqual([{k: v for k, v in n.items() if k != "id"}
                              for n in daemon.history("u")["notifications"][:2]], without)
            self.assertTrue(daemon.notify(user="u", data="x", idempotency_key="k1")["duplicate"])
            # From then on it is a journal as any other.
            daemon.restart()
            again = daemon.notify(user="u", data="again")["id"]
            self.assertEqual(again.partition("-")[0], new.partition("-")[0])
            daemon.stop()

    def test_it_goes_nowhere_but_into_an_empty_directory(self):
        daemon, _ = self.filled()
        full = self.scratch()
        pathlib.Path(full, "mine").write_text("x")
        done = self.journal("backup", "--path", daemon.home, full, status=1)
        self.assertIn("is not empty: there is mine in it", done.stderr)
        self.assertEqual(os.listdir(full), ["mine"])
        self.journal("backup", "--path", daemon.home, daemon.home, status=1)
        self.journal("backup", "--path", daemon.home, "/proc/no", status=1)

    def test_one_is_told_from_a_journal(self):
        daemon, _ = self.filled()
        to = os.path.join(self.scratch(), "b")
        self.journal("backup", "--path", daemon.home, to)
        self.assertIs(self.stats(to)["backup"], True)
        self.assertIn("a backup", self.journal("stats", "--path", to).stdout)
        self.assertFalse(self.export(to)[4]["complete"])


class Output(Case):
    def many(self):
        """A journal that takes a while to write."""
        path = self.scratch()
        self.journal("import", "--path", path, stdin=self.lines(6000))
        return path

    def on_a_terminal(self, *arguments, stdin=None, hold=1.5):
        """What is on stderr, a terminal, of a command whose pipe nobody serves for a while."""
        master, slave = pty.openpty()
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        with subprocess.Popen([BIN, "journal", *arguments], stdin=stdin or subprocess.DEVNULL,
                              stdout=write, stderr=slave) as process:
            os.close(write)
            os.close(slave)
            time.sleep(hold)
            with os.fdopen(read, "rb") as out:
                printed = out.read()
            shown = b""
            try:
                while piece := os.read(master, 65536):
                    shown += piece
            except OSError:
                pass  # the other end is closed: Linux says EIO
            os.close(master)
        self.assertEqual(process.returncode, 0)
        return printed, shown.decode()

    def test_export_tells_a_terminal_how_far_it_is(self):
        path = self.many()
        printed, shown = self.on_a_terminal("export", "--path", path)
        self.assertEqual(len(printed.splitlines()), 6002)
        self.assertRegex(shown, r"\r\x1b\[K\d+ of 6000 entries, \d+/s, \d+ s left")
        self.assertTrue(shown.endswith("\r\x1b[K"))  # and takes it away

    def test_import_tells_a_terminal_how_far_it_is(self):
        read, write = os.pipe()
        done = []
        thread = threading.Thread(target=lambda: done.append(self.on_a_terminal(
            "import", "--path", self.scratch(), stdin=read, hold=0)))
        thread.start()
        with os.fdopen(write, "w") as lines:
            for _ in range(7):
                lines.write(self.lines(2000))
                lines.flush()
                time.sleep(0.25)
        thread.join(DEADLINE)
        os.close(read)
        self.assertRegex(done[0][1], r"\r\x1b\[K\d+\.\d MiB, \d+\.\d MiB/s")
        self.assertIn(b"14000 entries are imported", done[0][0])

    def test_what_takes_no_second_tells_nothing(self):
        printed, shown = self.on_a_terminal("export", "--path", self.many(), hold=0)
        self.assertEqual((len(printed.splitlines()), shown), (6002, ""))

    def test_a_pipe_gets_no_progress(self):
        path = self.many()
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        with subprocess.Popen([BIN, "journal", "export", "--path", path], stdout=write,
                              stderr=subprocess.PIPE) as process:
            os.close(write)
            time.sleep(1.3)
            with os.fdopen(read, "rb") as out:
                self.assertEqual(len(out.read().splitlines()), 6002)
            self.assertEqual(process.stderr.read(), b"")

    def test_a_reader_that_goes_away_is_told_nothing(self):
        path = self.many()
        with subprocess.Popen([BIN, "journal", "export", "--path", path], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            self.assertIn(b'"journal":1', process.stdout.readline())
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.wait(DEADLINE), 1)

    def test_a_stdout_that_cannot_be_written_is_told(self):
        path = self.many()
        for command in ("export", "stats"):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([BIN, "journal", command, "--path", path], stdout=full,
                                      stderr=subprocess.PIPE, check=False, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("No space left", done.stderr)
            done = subprocess.run(f'exec "{BIN}" journal {command} --path {path} >&-', shell=True,
                                  stderr=subprocess.PIPE, check=False, text=True)
            self.assertEqual(done.returncode, 1, command)
            self.assertIn("Bad file descriptor", done.stderr)

    def test_a_damaged_file_ends_it_and_is_named(self):
        path = self.scratch()
        self.journal("import", "--path", path, stdin=self.lines(3000))
        file = pathlib.Path(path, "data.mdb")
        data = file.read_bytes()
        for byte in (b"\xff", b"\0", b"\x41"):
            file.write_bytes(data[:3 * 4096] + byte * (len(data) - 3 * 4096))
            for command in ("export", "stats"):
                done = self.journal(command, "--path", path, status=1)
                self.assertIn("damaged", done.stderr)

    def test_a_file_gets_its_name_when_it_is_whole(self):
        path = self.many()
        file = os.path.join(self.scratch(), "out")
        pathlib.Path(file).write_text("the old one")
        self.journal("export", "--path", path, file)
        self.assertEqual(len(pathlib.Path(file).read_text().splitlines()), 6002)
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.exists(file + ".part"))
        self.journal("export", "--path", path, "/dev/null")
        self.journal("export", "--path", path, "/no/such/file", status=1)


if __name__ == "__main__":
    main()
