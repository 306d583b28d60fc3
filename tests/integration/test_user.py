"""server.user: root is given up once the listeners are open. Others than root cannot test that; for
them, as for root, it is tested that they stay who they are and are told so."""
import grp
import os
import pathlib
import pwd
import shutil
import socket
import stat
import tempfile
import unittest

import harness
from harness import TestCase, main, run, wait_for
from test_faults import Disk

IS_ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody")
NOT_A_USER = "no-such-user-here"
STRANGE_GROUP = 54321  # of nobody; what the starter has and the user must not get


def status_of(pid):
    """{"Uid": [real, effective, saved, file system's], ...} as the kernel has them."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: [int(word) for word in fields[name].split()]
            for name in ("Uid", "Gid", "Groups")} | {"CapEff": int(fields["CapEff"], 16)}


def groups_of(user):
    """As initgroups finds them."""
    return {user.pw_gid} | {g.gr_gid for g in grp.getgrall() if user.pw_name in g.gr_mem}


class Case(TestCase):
    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)
        self.path = f"{self.folder}/s"

    def assert_is(self, daemon, uid, gid, groups):
        status = status_of(daemon.process.pid)
        self.assertEqual(status["Uid"], [uid] * 4)
        self.assertEqual(status["Gid"], [gid] * 4)
        self.assertEqual(set(status["Groups"]), set(groups))
        return status

    def assert_both_listeners_serve(self, daemon):
        self.assertEqual(daemon.notify(user=self.user, data="over TCP")["streams"], 0)
        done = run("send", "--unix", self.path, "--user", self.user, '"over a Unix socket"')
        self.assertEqual(done.returncode, 0, done.stderr)
        kept = daemon.history(self.user)["notifications"]
        self.assertEqual([n["data"] for n in kept], ["over TCP", "over a Unix socket"])

    def listen(self, *options, **process):
        return self.start(f"listener.unix.address=unix:{self.path}", "listener.unix.mode=0640",
                          *options, **process)


class AsRoot(Case):
    def test_it_becomes_the_user_with_its_groups_and_nothing_of_root_is_left(self):
        daemon = self.listen(f"server.user={USER.pw_name}",
                             extra_groups=[STRANGE_GROUP])
        status = self.assert_is(daemon, USER.pw_uid, USER.pw_gid, groups_of(USER))
        self.assertEqual(status["CapEff"], 0)
        self.assert_both_listeners_serve(daemon)

    def test_without_it_root_stays(self):
        daemon = self.start(extra_groups=[STRANGE_GROUP])
        self.assert_is(daemon, 0, os.getegid(), [STRANGE_GROUP])

    def test_the_file_of_a_unix_socket_is_the_users_with_its_mode(self):
        self.listen(f"server.user={USER.pw_name}")
        found = os.lstat(self.path)
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        self.assertEqual(stat.S_IMODE(found.st_mode), 0o640)
        self.assertEqual((found.st_uid, found.st_gid), (USER.pw_uid, USER.pw_gid))

    def test_a_port_that_only_root_may_bind_is_bound_first(self):
        port = next(port for port in range(1023, 0, -1) if self.is_free(port))
        daemon = self.start(f"listener.low.address=127.0.0.1:{port}",
                            f"server.user={USER.pw_name}")
        with harness.Http(port) as http:
            http.send_request("GET", "/healthz")
            self.assertEqual(http.read_response().status, 200)
        self.assert_is(daemon, USER.pw_uid, USER.pw_gid, groups_of(USER))

    @staticmethod
    def is_free(port):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True

    def test_in_a_folder_of_the_user_the_file_is_removed_at_the_end(self):
        os.chown(self.folder, USER.pw_uid, USER.pw_gid)
        daemon = self.listen(f"server.user={USER.pw_name}")
        daemon.stop()
        self.assertFalse(os.path.lexists(self.path))
        self.assertNotIn("stays", daemon.log_text())

    def test_in_a_folder_of_root_the_file_stays_with_a_warning_and_the_next_start_replaces_it(self):
        daemon = self.listen(f"server.user={USER.pw_name}")
        daemon.stop()
        self.assertTrue(os.path.lexists(self.path))
        self.assertIn(f"the file of unix:{self.path} stays until the next start: Permission denied",
                      daemon.log_text())
        daemon.start()
        self.assert_both_listeners_serve(daemon)

    def test_the_journal_is_the_users_and_is_opened_again_after_a_commit_in_doubt(self):
        for made_by in ("root", "nobody", "the start"):
            with self.subTest(made_by=made_by):
                path = pathlib.Path(self.folder, made_by)
                if made_by != "the start":
                    path.mkdir(mode=0o755)
                    shutil.chown(path, made_by)
                daemon = harness.Daemon(f"server.user={USER.pw_name}", f"journal.path={path}",
                                        start=False)
                disk = Disk(path)
                disk.folder.chmod(0o755)
                daemon.env |= disk.env()
                daemon.start()
                self.addCleanup(daemon.kill)
                for file in path.iterdir():
                    self.assertEqual(file.stat().st_uid, USER.pw_uid, file)
                self.assertEqual(path.stat().st_uid, 0 if made_by == "root" else USER.pw_uid)
                first = daemon.notify(user="u", data="1")
                disk.rules("meta 1 1 lie 5", "undo 1 1 error 5")
                disk.control.chmod(0o644)
                disk.hits_path().touch()
                disk.hits_path().chmod(0o666)
                daemon.notify(user="u", data="2")   # in the log, whatever becomes of its commit
                wait_for(lambda: disk.hits() == 2, "the commit in doubt, and its undoing")
                wait_for(lambda: daemon.stats()["journal"]["entries"] == 2, "the next one")
                daemon.notify(user="u", data="3")
                stream = self.open("u", daemon, last_event_id=first["id"])
                self.assertEqual(stream.take(2), ["2", "3"])

    def test_an_unknown_user_ends_the_start_and_leaves_no_socket(self):
        done = run("serve", "-o", f"listener.a.address=unix:{self.path}", "-o",
                   f"server.user={NOT_A_USER}")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(f"server.user = {NOT_A_USER}: there is no such user", done.stderr)
        self.assertFalse(os.path.lexists(self.path))


class AsAnyone(Case):
    """Started as nobody by root, and else as whoever runs the tests."""

    def setUp(self):
        super().setUp()
        self.me = USER if IS_ROOT else pwd.getpwuid(os.geteuid())
        self.process = {}
        if IS_ROOT:
            # The build folder may be closed to nobody.
            program = shutil.copy(harness.BIN, self.folder)
            self.addCleanup(setattr, harness, "BIN", harness.BIN)
            harness.BIN = program
            os.chown(self.folder, USER.pw_uid, USER.pw_gid)
            self.process = {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []}

    def groups(self):
        return [] if IS_ROOT else os.getgroups()

    def assert_ignored(self, name):
        daemon = self.listen(f"server.user={name}", **self.process)
        warning = f"server.user = {name} is ignored: only root can become another user"
        self.assertEqual([e["level"] for e in daemon.log(warning)], ["warning"], daemon.log_text())
        self.assert_is(daemon, self.me.pw_uid, self.me.pw_gid, self.groups())
        self.assert_both_listeners_serve(daemon)
        daemon.stop()
        self.assertFalse(os.path.lexists(self.path))

    def test_another_user_is_ignored_with_a_warning(self):
        self.assert_ignored("root")

    def test_an_unknown_user_is_ignored_with_a_warning(self):
        self.assert_ignored(NOT_A_USER)

    def test_ones_own_name_is_no_warning(self):
        daemon = self.listen(f"server.user={self.me.pw_name}", **self.process)
        self.assertNotIn("is ignored", daemon.log_text())
        self.assert_is(daemon, self.me.pw_uid, self.me.pw_gid, self.groups())


def load_tests(loader, _tests, _pattern):
    cases = (AsRoot, AsAnyone) if IS_ROOT else (AsAnyone,)
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, cases))


if __name__ == "__main__":
    main()
