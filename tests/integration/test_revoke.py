"""POST /tokens/revoke: tokens that are not good any more, at once, and after a restart."""
import json
import pathlib
import time

from harness import OneDaemonATest, main, run, wait_for
from tokens import SECRET, bearer, grants, token


class Revoking(OneDaemonATest):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.scratch())
        (self.folder / "secret").write_bytes(SECRET)
        self.options = ["auth.subscribe=jwt", f"auth.jwt_key_file={self.folder}/secret"]
        self.now = int(time.time())

    def revoke(self, daemon, headers=(), **body):
        return daemon.post(json.dumps(body).encode(), headers, "/tokens/revoke")

    def assert_revoked(self, daemon, text, user="alice"):
        response = daemon.get(f"/notifications/{user}/history", bearer(text))
        self.assert_problem(response, 401, "revoked")
        self.assertIn("invalid_token", response["WWW-Authenticate"])

    def assert_good(self, daemon, text, user="alice"):
        self.assertEqual(daemon.get(f"/notifications/{user}/history", bearer(text)).status, 200)

    def assert_ends(self, stream):
        events = stream.expect_end()
        self.assertEqual([(e.event, json.loads(e.data)) for e in events],
                         [("bye", {"reason": "token-revoked"})])
        self.assertEqual(stream.ended, "last-chunk")

    def test_a_token_is_revoked_by_its_jti_and_its_streams_end(self):
        daemon = self.start(*self.options)
        mine, other, plain = token(jti="t1"), token(jti="t2"), token()
        streams = [self.open("alice", daemon, headers=bearer(mine)) for _ in range(3)]
        topics = self.open("/notifications/alice?topic=x", daemon,
                           headers=bearer(token(jti="t1", **grants(["topic:x"]))))
        kept = [self.open("alice", daemon, headers=bearer(text)) for text in (other, plain)]
        answer = self.revoke(daemon, jti="t1", expires=self.now + 600)
        self.assertEqual((answer.status, answer.json()), (200, {"expires": self.now + 600}))
        for stream in (*streams, topics):
            self.assert_ends(stream)
        self.assert_revoked(daemon, mine)
        for text in (other, plain):
            self.assert_good(daemon, text)
        daemon.notify(user="alice", data="x")
        for stream in kept:
            self.assertEqual(stream.next().data, "x")
        stats = daemon.stats()
        self.assertEqual((stats["streams_closed_by_revocation"], stats["revocations"],
                          stats["revocations_kept"]), (4, 1, 1))
        self.assertIn('sse_notify_streams_closed_total{reason="token-revoked"} 4',
                      daemon.get("/metrics").body.decode())

    def test_a_users_tokens_are_revoked_up_to_a_time(self):
        daemon = self.start(*self.options)
        old, new = token(iat=self.now - 100), token(iat=self.now - 50)
        others = token("bob", iat=self.now - 100, **grants(["user:alice"]))
        streams = [self.open("alice", daemon, headers=bearer(text)) for text in (old, token())]
        kept = [self.open("alice", daemon, headers=bearer(text)) for text in (new, others)]
        self.assertEqual(self.revoke(daemon, user="alice", before=self.now - 50).status, 200)
        for stream in streams:
            self.assert_ends(stream)
        for text in (old, token()):
            self.assert_revoked(daemon, text)
        for text in (new, others):
            self.assert_good(daemon, text)
        daemon.notify(user="alice", data="x")
        for stream in kept:
            self.assertEqual(stream.next().data, "x")
        self.revoke(daemon, user="bob", before=self.now)  # whose stream is not bob's own
        self.assert_ends(kept[1])

    def test_a_refreshed_stream_goes_with_its_new_token(self):
        daemon = self.start(*self.options)
        stream = self.open("alice", daemon, headers=bearer(token(jti="old")))
        body = json.dumps({"client_id": stream.client_id, "token": token(jti="new")}).encode()
        self.assertEqual(daemon.post(body, (), "/notifications/alice/refresh").status, 200)
        self.assertEqual(self.revoke(daemon, jti="old").status, 200)
        stream.expect_quiet(daemon, "alice")
        self.assertEqual(self.revoke(daemon, jti="new").status, 200)
        self.assert_ends(stream)

    def test_a_revoked_token_neither_sends_nor_refreshes(self):
        daemon = self.start("auth.publish=jwt", *self.options)
        admin = bearer(token(None, **grants(publish=["user:*"])))
        mine = bearer(token(jti="t1", **grants(publish=["user:alice"])))
        self.assertEqual(daemon.post(b'{"user":"alice","data":1}', mine).status, 200)
        self.assertEqual(self.revoke(daemon, admin, jti="t1").status, 200)
        self.assert_problem(daemon.post(b'{"user":"alice","data":1}', mine), 401, "revoked")
        stream = self.open("alice", daemon, headers=bearer(token()))
        body = json.dumps({"client_id": stream.client_id}).encode()
        self.assert_problem(daemon.post(body, mine, "/notifications/alice/refresh"), 401)

    def test_a_restart_forgets_nothing(self):
        daemon = self.start(*self.options)
        first, second, third = (token(jti=f"t{n}") for n in range(3))
        self.revoke(daemon, jti="t0")
        self.revoke(daemon, user="bob", before=self.now)
        daemon.kill()
        daemon.start()
        self.assert_revoked(daemon, first)
        self.assert_revoked(daemon, token("bob", iat=self.now - 1), "bob")
        self.assert_good(daemon, second)
        for jti in ("t1", "t2"):  # written anew, and appended to
            self.assertEqual(self.revoke(daemon, jti=jti).status, 200)
        daemon.restart()
        for text in (first, second, third):
            self.assert_revoked(daemon, text)
        path = pathlib.Path(daemon.home) / "revocations"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with path.open("ab") as file:
            file.write(b"half a li")
        daemon.restart()
        self.assert_revoked(daemon, third)
        self.assertIn("1 lines are damaged", daemon.log_text())
        self.assertEqual(daemon.stats()["revocations_kept"], 4)

    def test_it_is_kept_until_it_expires(self):
        daemon = self.start(*self.options)
        self.revoke(daemon, jti="t1", expires=time.time() + 1)
        self.revoke(daemon, jti="t2")
        self.assert_revoked(daemon, token(jti="t1"))
        wait_for(lambda: daemon.stats()["revocations_kept"] == 1, "its end")
        self.assert_good(daemon, token(jti="t1"))
        self.assert_revoked(daemon, token(jti="t2"))
        answer = self.revoke(daemon, jti="t2").json()
        self.assertAlmostEqual(answer["expires"], self.now + 30 * 86400, delta=60)

    def test_without_room_on_the_disk_it_is_in_force_and_says_that_it_is_not_safe(self):
        daemon = self.start(*self.options)
        (pathlib.Path(daemon.home) / "revocations.new").mkdir()  # its draft cannot be made
        self.assert_problem(self.revoke(daemon, jti="t1"), 503, "not be written")
        self.assert_revoked(daemon, token(jti="t1"))
        self.assertEqual(daemon.stats()["revocations_refused"], 1)
        (pathlib.Path(daemon.home) / "revocations.new").rmdir()
        self.assertEqual(self.revoke(daemon, jti="t1").status, 200)
        daemon.restart()
        self.assert_revoked(daemon, token(jti="t1"))

    def test_many_at_once_are_all_safe(self):
        daemon = self.start(*self.options)
        https = [self.connect(daemon) for _ in range(40)]
        for n, http in enumerate(https):
            http.send_request("POST", "/tokens/revoke", json.dumps({"jti": f"t{n}"}).encode())
        for http in https:
            self.assertEqual(http.read_response().status, 200)
        daemon.kill()
        daemon.start()
        self.assertEqual(daemon.stats()["revocations_kept"], 40)

    def test_who_may_revoke(self):
        keys = self.folder / "keys"
        key, some, alice = (run("key", "add", name, *allow, "--file", keys).stdout.strip()
                            for name, allow in (("all", ()), ("some", ("--allow", "topic:*")),
                                                ("alice", ("--allow", "user:alice"))))
        daemon = self.start("auth.publish=key", f"auth.publish_keys_file={keys}",
                            "listener.out.address=127.0.0.1:0", "listener.out.role=public",
                            *self.options)
        by_user = {"user": "alice", "before": self.now}
        for credential, body, status in (((), {"jti": "x"}, 401), (bearer(some), by_user, 403),
                                         (bearer(some), {"jti": "x"}, 403),
                                         (bearer(alice), {"jti": "x"}, 403),
                                         (bearer(alice), {**by_user, "user": "bob"}, 403),
                                         (bearer(alice), by_user, 200),
                                         (bearer(key), {"jti": "x"}, 200)):
            with self.subTest(body, credential=credential):
                response = self.revoke(daemon, credential, **body)
                self.assertEqual(response.status, status, response)
        public = int(daemon.wait_log("listening", listener="out")["address"].rpartition(":")[2])
        daemon.port = public
        self.assert_problem(self.revoke(daemon, bearer(key), jti="x"), 404)

    def test_what_is_wrong_is_told(self):
        daemon = self.start(*self.options)
        for body, part in ((b"", "not JSON"), (b"[]", "object"), (b"{}", "either"),
                           (b'{"jti":""}', "1 to 256"), (b'{"jti":7}', "1 to 256"),
                           (b'{"jti":"%s"}' % (b"x" * 257), "1 to 256"),
                           (b'{"user":"a"}', "either"), (b'{"jti":"a","before":1}', "either"),
                           (b'{"jti":"a","user":"b","before":1}', "either"),
                           (b'{"user":"a","before":"now"}', "seconds"),
                           (b'{"user":"a","before":-1}', "seconds"),
                           (b'{"user":"a","before":1e300}', "seconds"),
                           (b'{"jti":"a","x":1}', 'Unknown field "x"')):
            with self.subTest(body):
                self.assert_problem(daemon.post(body, (), "/tokens/revoke"), 400, part)
        self.assert_problem(self.revoke(self.start(), jti="a"), 409, "auth.subscribe = jwt")


if __name__ == "__main__":
    main()
