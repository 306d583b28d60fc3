"""Who may listen and who may send: tokens, keys, their refusals, and what is never told of them."""
import json
import os
import pathlib
import pwd
import re
import signal
import time
import unittest

from harness import ROOT, OneDaemonATest, TestCase, main, run, wait_for
from tokens import SECRET, KeyServer, bearer, grants, jwk, signed, support, token

PAGE = ("/console", "/console/console.css", "/console/console.js", "/console/chart.js")
CHALLENGE = re.compile(r'Bearer realm="sse-notify", error="([a-z_]+)", '
                       r'error_description="([\x20-\x21\x23-\x5b\x5d-\x7e]+)"\Z')


class Refusals:
    """What a refusal looks like."""

    def assert_unauthorized(self, response, *parts):
        self.assert_problem(response, 401, *parts)
        challenge = CHALLENGE.match(response["WWW-Authenticate"])
        self.assertTrue(challenge, response)
        self.assertEqual(challenge.group(1), "invalid_token")
        self.assertEqual(challenge.group(2), response.problem()["detail"])

    def assert_forbidden(self, response, *parts):
        self.assert_problem(response, 403, *parts)
        self.assertEqual(CHALLENGE.match(response["WWW-Authenticate"]).group(1),
                         "insufficient_scope")

    def file(self, text, name="key"):
        path = pathlib.Path(self.scratch()) / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o600)
        return path


# ---- listening ----

class Listening(TestCase, Refusals):
    @classmethod
    def setUpClass(cls):
        cls.key = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"sse-notify-key-{os.getpid()}"
        cls.key.write_bytes(SECRET + b"\n")
        cls.key.chmod(0o600)
        cls.options = ("auth.subscribe=jwt", f"auth.jwt_key_file={cls.key}",
                       "http.allowed_origins=https://app.example")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.key.unlink()

    def target(self, query=""):
        return f"/notifications/{self.user}{query}"

    def assert_streams(self, query="", **options):
        stream = self.open(self.target(query), **options)
        self.daemon.notify(user=self.user, data="x")
        self.assertEqual(stream.next().data, "x")
        return stream

    def test_a_token_in_authorization_cookie_or_query_opens_a_stream(self):
        mine = token(self.user)
        self.assert_streams(headers=bearer(mine))
        self.assert_streams(headers=[("Authorization", f"bearer   {mine}")])
        self.assert_streams(headers=[("Cookie", f"a=b; sse_notify={mine}; c=d")])
        self.assert_streams(f"?token={mine}")
        self.assert_streams(headers=[("Authorization", "Basic eA=="),
                                     ("Cookie", f"sse_notify={mine}")])

    def test_authorization_wins_over_the_cookie_and_that_over_the_query(self):
        mine, others = token(self.user), token("somebody else")
        self.assert_streams(f"?token={others}", headers=[("Cookie", f"sse_notify={mine}")])
        self.assert_streams(headers=[*bearer(mine), ("Cookie", f"sse_notify={others}")])
        self.assert_forbidden(self.daemon.get(self.target(f"?token={mine}"), bearer(others)))

    def test_without_a_token_there_is_no_stream(self):
        self.assert_unauthorized(self.daemon.get(self.target("?token")), "compact form")
        self.assert_unauthorized(self.daemon.get(self.target("?token=")), "compact form")
        for headers in ((), [("Authorization", "Basic eA==")], [("Cookie", "other=x")],
                        [("Authorization", "Bearer")], [("Cookie", "sse_notify")]):
            with self.subTest(headers):
                self.assert_unauthorized(self.daemon.get(self.target(), headers),
                                         "A token is needed")
        self.assert_unauthorized(self.daemon.get(self.target() + "/history"), "A token is needed")
        self.assertEqual(self.daemon.request("HEAD", self.target()).status, 401)

    def test_what_is_wrong_with_a_token_is_told(self):
        good = token(self.user)
        head, payload, signature = good.split(".")
        for wrong, part in ((token(self.user, ttl=-31), "expired"),
                            (token(self.user, secret=b"another"), "signature"),
                            (f"{head}.{payload}.", "signature"),
                            (f"{head}.{payload}", "compact form"),
                            ("eyJhbGciOiJub25lIn0.e30.", "alg"),
                            (token(self.user, exp=None), "exp"),
                            (token(self.user, nbf=int(time.time()) + 60), "not valid yet"),
                            (token(self.user, aud="shop"), "aud"),
                            (token(self.user, header={"alg": "HS256", "jku": "https://x"}),
                             "header"),
                            (good + "x" * 20000, "")):
            with self.subTest(part):
                self.assert_unauthorized(self.daemon.get(self.target(), bearer(wrong[:15000])),
                                         part if len(wrong) < 15000 else "")

    def test_two_tokens_in_one_place_are_refused(self):
        mine = token(self.user)
        for query, headers in ((f"?token={mine}&token={mine}", ()),
                               ("", [("Cookie", f"sse_notify={mine}; sse_notify={mine}")]),
                               ("", [*bearer(mine), *bearer(mine)])):
            with self.subTest(query or headers):
                self.assert_unauthorized(self.daemon.get(self.target(query), headers),
                                         "more than one")

    def test_another_users_stream_needs_a_grant(self):
        self.assert_forbidden(self.daemon.get(self.target(), bearer(token("eve"))))
        self.assert_forbidden(self.daemon.get(self.target() + "/history", bearer(token("eve"))))
        for pattern in (f"user:{self.user}", "user:*"):
            granted = token("eve", **grants(["topic:x", pattern]))
            self.assert_streams(headers=bearer(granted))
            self.assertEqual(self.daemon.get(self.target() + "/history", bearer(granted)).status,
                             200)
        self.assert_forbidden(self.daemon.get(self.target(),
                                              bearer(token(None, **grants(["topic:*"])))))

    def test_a_topic_needs_a_grant(self):
        mine = token(self.user, **grants(["topic:deploys"]))
        self.assert_streams("?topic=deploys", headers=bearer(mine))
        self.assert_forbidden(self.daemon.get(self.target("?topic=deploys&topic=other"),
                                              bearer(mine)), "topic")
        self.assert_forbidden(self.daemon.get(self.target("?topic=deploys"),
                                              bearer(token(self.user))))
        self.assert_streams("?topic=a&topic=b",
                            headers=bearer(token(self.user, **grants(["topic:*"]))))

    def test_a_preflight_needs_no_token_and_a_refusal_can_be_read_by_the_page(self):
        origin = [("Origin", "https://app.example")]
        preflight = self.daemon.request("OPTIONS", self.target(), None,
                                        [*origin, ("Access-Control-Request-Method", "GET")])
        self.assertEqual(preflight.status, 204)
        refused = self.daemon.get(self.target(), origin)
        self.assert_unauthorized(refused)
        self.assertEqual(refused["Access-Control-Allow-Origin"], "https://app.example")

    def test_a_token_is_told_to_nobody(self):
        mine, wrong = token(self.user), token(self.user, secret=b"wrong")
        self.assert_streams(f"?token={mine}")
        self.daemon.get(self.target(f"?token={wrong}"))
        response = self.daemon.get(self.target(), bearer(wrong))
        told = [self.daemon.log_text(), repr(response), self.daemon.get("/stats").body.decode(),
                self.daemon.get(f"/users/{self.user}").body.decode()]
        for text in told:
            for secret in (mine, wrong, mine.split(".")[2], SECRET.decode()):
                self.assertNotIn(secret, text)
        self.daemon.wait_log("credential refused", why="wrong-signature")

    # -- the end of a token --

    def next_named(self, stream, name):
        event = stream.next()
        self.assertEqual(event.event, name, event)
        return json.loads(event.data)

    def open_until_soon(self):
        """A stream whose token ends as soon as a busy machine has opened it before; and when."""
        for ttl in (2, 4, 8, 16):
            end = int(time.time()) + ttl
            stream = self.open(headers=bearer(token(self.user, exp=end)))
            if time.time() < end - ttl / 2:
                return stream, end
            stream.close()
        self.fail("no stream opens in time")

    def test_a_stream_ends_with_its_token(self):
        stream, end = self.open_until_soon()
        before = self.daemon.stats()["streams_closed_by_expiry"]
        warning = self.next_named(stream, "expiring")
        self.assertLessEqual(warning["in"], 16)
        self.assertEqual(warning["client_id"], stream.client_id)
        self.assertEqual(self.next_named(stream, "bye"), {"reason": "token-expired"})
        self.assertGreaterEqual(time.time(), end)
        self.assertEqual(stream.expect_end(), [])
        self.assertEqual(self.daemon.stats()["streams_closed_by_expiry"], before + 1)

    def test_a_long_token_is_not_warned_of(self):
        stream = self.open(headers=bearer(token(self.user)))
        stream.expect_quiet(self.daemon, self.user)

    def refresh(self, client_id, headers, **more):
        body = {"client_id": client_id} | more
        return self.daemon.post(json.dumps(body).encode(), headers, self.target() + "/refresh")

    def test_a_new_token_prolongs_the_open_stream(self):
        stream, _ = self.open_until_soon()
        self.next_named(stream, "expiring")
        answer = self.refresh(stream.client_id, bearer(token(self.user, ttl=3600)))
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["client_id"], stream.client_id)
        self.assertAlmostEqual(answer.json()["expires_in"], 3600, delta=60)
        other, _ = self.open_until_soon()
        self.assertEqual(self.next_named(other, "expiring")["client_id"], other.client_id)
        self.assertEqual(self.next_named(other, "bye"), {"reason": "token-expired"})
        stream.expect_quiet(self.daemon, self.user)  # the other one's end was its own, too

    def test_the_new_token_may_stand_in_the_body_or_be_a_cookie(self):
        stream = self.open(headers=bearer(token(self.user, ttl=100)))
        fresh = token(self.user, ttl=500)
        for headers, more in (((), {"token": fresh}),
                              ([("Cookie", f"sse_notify={fresh}")], {}),
                              (bearer("wrong"), {"token": fresh})):
            answer = self.refresh(stream.client_id, headers, **more)
            self.assertEqual(answer.status, 200, answer)
            self.assertGreater(answer.json()["expires_in"], 400)

    def test_who_may_not_open_a_stream_may_not_prolong_it(self):
        topics = token(self.user, ttl=100, **grants(["topic:a"]))
        stream = self.open(self.target("?topic=a"), headers=bearer(topics))
        self.assert_unauthorized(self.refresh(stream.client_id, ()))
        self.assert_unauthorized(self.refresh(stream.client_id, bearer(token(self.user, ttl=-60))))
        self.assert_forbidden(self.refresh(stream.client_id, bearer(token("eve"))))
        self.assert_forbidden(self.refresh(stream.client_id, bearer(token(self.user))), "topic")
        self.assert_problem(self.refresh("0" * 15 + "1", bearer(topics)), 404)
        self.assert_problem(self.daemon.post(
            json.dumps({"client_id": stream.client_id}).encode(),
            bearer(token("bob")), "/notifications/bob/refresh"), 404)

    def test_a_refresh_that_is_malformed_is_told_how_it_must_be(self):
        target, headers = self.target() + "/refresh", bearer(token(self.user))
        for body, part in ((b"", "not JSON"), (b"[]", "object"), (b"{}", "client_id"),
                           (b'{"client_id":7}', "sixteen"), (b'{"client_id":"x"}', "sixteen"),
                           (b'{"client_id":"0000000000000001","token":7}', "token"),
                           (b'{"client":"0000000000000001"}', "client")):
            with self.subTest(body):
                self.assert_problem(self.daemon.post(body, headers, target), 400, part)


# ---- keys from elsewhere ----

class Keys(OneDaemonATest, Refusals):
    def serve_keys(self, *keys):
        server = KeyServer(*keys)
        self.addCleanup(server.close)
        return server

    def start_with(self, *options, **more):
        return self.start("auth.subscribe=jwt", *options, **more)

    def status(self, daemon, text, user="alice"):
        return daemon.request("HEAD", f"/notifications/{user}", None, bearer(text)).status

    def test_a_public_key_in_pem(self):
        for name in ("RSA", "P256", "P384", "ED25519"):
            with self.subTest(name):
                path = self.file(support(f"KEYS_{name}_PUBLIC"))
                daemon = self.start_with(f"auth.jwt_key_file={path}")
                mine = signed(self.scratch(), name, "--user", "alice")
                self.assertEqual(self.status(daemon, mine), 200)
                self.assertEqual(self.status(daemon, token(secret=path.read_bytes())), 401)
                self.assertEqual(self.status(daemon, token()), 401)

    def test_a_set_of_keys_in_a_file(self):
        path = self.file(json.dumps({"keys": [jwk("RSA", kid="r"), jwk("P256", kid="p"),
                                              {"kty": "RSA", "use": "enc"}]}))
        daemon = self.start_with(f"auth.jwks_file={path}")
        folder = self.scratch()
        for name, kid, status in (("RSA", "r", 200), ("P256", "p", 200), ("P256", "r", 401),
                                  ("P256", "x", 401)):
            mine = signed(folder, name, "--user", "alice", "--kid", kid)
            self.assertEqual(self.status(daemon, mine), status, (name, kid))

    def test_a_reload_reads_the_files_again_and_no_stream_notices(self):
        path = self.file(SECRET)
        daemon = self.start_with(f"auth.jwt_key_file={path}")
        stream = self.open("alice", daemon, headers=bearer(token()))
        path.write_bytes(b"another " + SECRET)
        self.reload(daemon, "configuration reloaded")
        self.assertEqual(self.status(daemon, token()), 401)
        self.assertEqual(self.status(daemon, token(secret=b"another " + SECRET)), 200)
        path.write_bytes(b"short")
        self.reload(daemon, "SIGHUP: the configuration is refused; what was in force stays in "
                            "force")
        self.assertIn("openssl rand", daemon.log_text())
        self.assertEqual(self.status(daemon, token(secret=b"another " + SECRET)), 200)
        stream.expect_quiet(daemon, "alice")

    def reload(self, daemon, message):
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log(message)

    def test_issuers_side_by_side(self):
        secret, public = self.file(SECRET), self.file(support("KEYS_P256_PUBLIC"))
        daemon = self.start_with(f"auth.jwt_key_file={secret}", "auth.issuer=shop",
                                 f"issuer.partner.jwt_key_file={public}",
                                 "issuer.partner.issuer=partner", "issuer.partner.audience=push",
                                 "issuer.partner.user_claim=id")
        folder = self.scratch()
        partner = ["-o", "issuer.partner.issuer=partner", "-o", "issuer.partner.audience=push",
                   "-o", "issuer.partner.user_claim=id", "-o", "issuer.partner.jwks_file=x"]
        good = signed(folder, "P256", "--user", "bob", "--issuer", "partner", *partner)
        self.assertEqual(self.status(daemon, good, "bob"), 200)
        self.assertEqual(self.status(daemon, token(iss="shop")), 200)
        self.assertEqual(self.status(daemon, token(iss="partner", aud="push", id="alice")), 401)
        self.assertEqual(self.status(daemon, token()), 401)

    def test_keys_of_a_url_are_fetched_at_the_start_and_streams_wait_for_them(self):
        server = self.serve_keys(jwk("P256", kid="one"))
        server.gate.clear()
        daemon = self.start_with(f"auth.jwks_url={server.url}", wait_ready=False)
        self.assert_problem(daemon.get("/readyz"), 503, "keys")
        folder = self.scratch()
        mine = signed(folder, "P256", "--user", "alice", "--kid", "one")
        waiting, gone = daemon.connect(), daemon.connect()
        for http in (waiting, gone):
            self.addCleanup(http.close)
            http.send_request("HEAD", "/notifications/alice", None, bearer(mine))
        wait_for(lambda: server.fetches == 1, "the fetch")
        self.assertEqual(daemon.get("/healthz").status, 200)  # nothing is held up meanwhile
        gone.reset()
        server.gate.set()
        self.assertEqual(waiting.read_response(True).status, 200)
        self.assertEqual(daemon.get("/readyz").status, 200)
        self.assertEqual(self.status(daemon, mine), 200)
        self.assertEqual(server.fetches, 1)

    def test_a_new_key_is_fetched_when_a_token_names_it(self):
        server = self.serve_keys(jwk("P256", kid="one"))
        daemon = self.start_with(f"auth.jwks_url={server.url}")
        folder = self.scratch()
        new = signed(folder, "RSA", "--user", "alice", "--kid", "two")
        server.keys = [jwk("P256", kid="one"), jwk("RSA", kid="two")]
        self.assertEqual(self.status(daemon, new), 200)
        self.assertEqual(server.fetches, 2)
        unknown = signed(folder, "RSA", "--user", "alice", "--kid", "three")
        for _ in range(3):  # once a minute at most
            self.assert_unauthorized(daemon.get("/notifications/alice", bearer(unknown)), "kid")
        self.assertEqual(server.fetches, 2)

    def test_old_keys_do_while_the_endpoint_is_down(self):
        server = self.serve_keys(jwk("P256", kid="one"))
        daemon = self.start_with(f"auth.jwks_url={server.url}")
        folder = self.scratch()
        mine = signed(folder, "P256", "--user", "alice", "--kid", "one")
        server.status = 500
        unknown = signed(folder, "RSA", "--user", "alice", "--kid", "two")
        self.assertEqual(self.status(daemon, unknown), 401)
        wait_for(lambda: "the answer is 500" in daemon.log_text(), "the warning")
        self.assertEqual(self.status(daemon, mine), 200)
        self.assertEqual(daemon.stats()["key_fetches_failed"], 1)

    def test_an_endpoint_that_is_down_at_the_start_is_tried_again(self):
        server = self.serve_keys(jwk("P256", kid="one"))
        server.status = 503
        daemon = self.start_with(f"auth.jwks_url={server.url}", wait_ready=False)
        mine = signed(self.scratch(), "P256", "--user", "alice", "--kid", "one")
        response = wait_for(lambda: self.refused_for_now(daemon, mine), "a 503")
        self.assertEqual(response["Retry-After"], "1")
        server.status = 200
        wait_for(lambda: self.status(daemon, mine) == 200, "the keys")

    def refused_for_now(self, daemon, mine):
        response = daemon.get("/notifications/alice", bearer(mine))
        return response if response.status == 503 else None

    def test_a_daemon_can_end_while_it_fetches(self):
        server = self.serve_keys()
        server.gate.clear()
        daemon = self.start_with(f"auth.jwks_url={server.url}", wait_ready=False)
        http = self.connect(daemon)
        http.send_request("GET", "/notifications/alice", None, bearer(token()))
        wait_for(lambda: server.fetches == 1, "the fetch")
        daemon.stop()


# ---- sending ----

class Sending(OneDaemonATest, Refusals):
    def add_key(self, path, name, *arguments):
        done = run("key", "add", name, "--file", path, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def send(self, daemon, headers, **fields):
        return daemon.post(json.dumps(fields).encode(), headers)

    def test_a_key_may_send_and_nobody_without(self):
        path = pathlib.Path(self.scratch()) / "keys"
        key = self.add_key(path, "billing")
        daemon = self.start("auth.publish=key", f"auth.publish_keys_file={path}")
        stream = self.open("alice", daemon)
        sent = self.send(daemon, bearer(key), user="alice", data="x")
        self.assertEqual(sent.json()["streams"], 1)
        self.assertEqual(stream.next().data, "x")
        self.assert_unauthorized(self.send(daemon, (), user="alice", data="y"), "key")
        self.assert_unauthorized(self.send(daemon, bearer(key[:-1]), user="alice", data="y"))
        self.assert_unauthorized(self.send(daemon, bearer(token()), user="alice", data="y"))
        self.assertNotIn(key, path.read_text())
        self.assertNotIn(key, daemon.log_text())

    def test_a_page_of_any_origin_does_not_act_with_the_users_cookie(self):
        daemon = self.start("auth.subscribe=jwt", f"auth.jwt_key_file={self.file(SECRET)}",
                            "http.allowed_origins=*")
        mine = token("alice")
        cookie = ("Cookie", f"sse_notify={mine}")
        elsewhere = ("Origin", "https://evil.example")
        target = "/notifications/alice/history"
        self.assert_unauthorized(daemon.get(target, [cookie, elsewhere]))
        for headers in ([cookie], [cookie, ("Origin", "http://localhost")],
                        [elsewhere, *bearer(mine)]):
            with self.subTest(headers):
                self.assertEqual(daemon.get(target, headers).status, 200)

    def test_no_route_is_forgotten(self):
        """Of those in the source: without a credential all but two, and the page, are 401."""
        source = (ROOT / "src" / "api" / "routes.c").read_text()
        routes = re.findall(r'\{HTTP_(\w+), "([^"]+)"', source)
        self.assertGreater(len(routes), 10)
        path = pathlib.Path(self.scratch()) / "keys"
        self.add_key(path, "all")
        daemon = self.start("auth.subscribe=jwt", f"auth.jwt_key_file={self.file(SECRET)}",
                            "auth.publish=key", f"auth.publish_keys_file={path}")
        body = json.dumps({"client_id": "0123456789abcdef"}).encode()  # what refresh reads first
        for method, pattern in routes:
            with self.subTest(f"{method} {pattern}"):
                target = re.sub(r":\w+", "x", pattern)
                response = daemon.request(method, target, body if method == "POST" else None)
                is_open = pattern in ("/healthz", "/readyz") or pattern in PAGE
                self.assertEqual(response.status, 200 if is_open else 401, response)

    def test_every_internal_route_asks_for_it(self):
        path = pathlib.Path(self.scratch()) / "keys"
        key = self.add_key(path, "all")
        alice = self.add_key(path, "alice", "--allow", "user:alice")
        daemon = self.start("auth.publish=key", f"auth.publish_keys_file={path}")
        sent = self.send(daemon, bearer(key), user="alice", data="x").json()["id"]
        for method, target, own in (("GET", "/users/alice", True), ("GET", "/stats", True),
                                    ("GET", "/metrics", True),
                                    ("GET", "/users/bob", False),
                                    ("DELETE", "/users/alice/streams", True),
                                    ("DELETE", "/users/bob/streams", False),
                                    ("DELETE", f"/notifications/alice/{sent}", True),
                                    ("DELETE", f"/notifications/bob/{sent}", False),
                                    ("DELETE", "/users/alice/history", True),
                                    ("DELETE", "/users/bob/history", False)):
            with self.subTest(f"{method} {target}"):
                self.assert_unauthorized(daemon.request(method, target))
                response = daemon.request(method, target, None, bearer(alice))
                if own:
                    self.assertEqual(response.status, 200, response)
                else:
                    self.assert_forbidden(response)
        self.assertEqual(daemon.get("/healthz").status, 200)

    def test_a_key_is_held_to_its_targets(self):
        path = pathlib.Path(self.scratch()) / "keys"
        key = self.add_key(path, "some", "--allow", "user:alice", "--allow", "topic:*")
        daemon = self.start("auth.publish=key", f"auth.publish_keys_file={path}")
        for fields, status in (({"user": "alice"}, 200), ({"topic": "any"}, 200),
                               ({"user": "bob"}, 403), ({"users": ["alice", "bob"]}, 403),
                               ({"users": ["alice"]}, 200), ({"broadcast": True}, 403)):
            with self.subTest(fields):
                response = self.send(daemon, bearer(key), data="x", **fields)
                self.assertEqual(response.status, status, response)
                if status == 403:
                    self.assert_forbidden(response, "may not send to")
        batch = [{"user": "bob", "data": 1}, {"user": "alice", "data": 2}]
        results = daemon.post(json.dumps(batch).encode(), bearer(key)).json()["results"]
        self.assertEqual(results[0]["error"]["status"], 403)
        self.assertIn("id", results[1])
        self.assertEqual(daemon.history("bob")["notifications"], [])

    def test_a_key_is_held_to_its_rate(self):
        path = pathlib.Path(self.scratch()) / "keys"
        slow, other = self.add_key(path, "slow", "--rate", "2"), self.add_key(path, "other")
        daemon = self.start("auth.publish=key", f"auth.publish_keys_file={path}")
        batch = json.dumps([{"user": "a", "data": n} for n in range(20)]).encode()
        self.assertEqual(daemon.post(batch, bearer(slow)).status, 200)
        refused = self.send(daemon, bearer(slow), user="a", data="x")
        self.assert_problem(refused, 429, "rate")
        self.assertEqual(refused["Retry-After"], "1")
        self.assertEqual(self.send(daemon, bearer(other), user="a", data="x").status, 200)
        self.assertEqual(daemon.get("/stats", bearer(other)).json()["requests_over_rate"], 1)

    def test_a_key_that_is_added_or_taken_out_counts_within_a_second(self):
        path = pathlib.Path(self.scratch()) / "keys"
        first = self.add_key(path, "first")
        daemon = self.start("auth.publish=key", f"auth.publish_keys_file={path}")
        second = self.add_key(path, "second")
        wait_for(lambda: self.send(daemon, bearer(second), user="a", data="x").status == 200,
                 "the new key")
        path.write_text(path.read_text().splitlines()[1] + "\n")
        wait_for(lambda: self.send(daemon, bearer(first), user="a", data="x").status == 401,
                 "its end")
        self.assertEqual(self.send(daemon, bearer(second), user="a", data="x").status, 200)

    def test_a_token_may_send_what_it_lists(self):
        secret = self.file(SECRET)
        daemon = self.start("auth.publish=jwt", f"auth.jwt_key_file={secret}")
        mine = bearer(token(None, **grants(publish=["user:alice", "broadcast"])))
        self.assertEqual(self.send(daemon, mine, user="alice", data="x").status, 200)
        self.assertEqual(self.send(daemon, mine, broadcast=True, data="x").status, 200)
        self.assert_forbidden(self.send(daemon, mine, user="bob", data="x"))
        self.assert_forbidden(self.send(daemon, mine, topic="t", data="x"))
        self.assert_forbidden(self.send(daemon, bearer(token()), user="alice", data="x"),
                              "sse_notify.publish")
        self.assert_unauthorized(self.send(daemon, (), user="alice", data="x"), "token")
        self.assertEqual(daemon.get("/stats", mine).status, 200)
        self.assert_forbidden(daemon.get("/stats", bearer(token())))

    def test_keys_and_tokens_can_both_be_taken(self):
        secret, path = self.file(SECRET), pathlib.Path(self.scratch()) / "keys"
        key = self.add_key(path, "billing")
        daemon = self.start("auth.publish=key,jwt", f"auth.jwt_key_file={secret}",
                            f"auth.publish_keys_file={path}")
        mine = token(None, **grants(publish=["user:*"]))
        for credential in (key, mine):
            self.assertEqual(self.send(daemon, bearer(credential), user="a", data=1).status, 200)
        for credential in (key + "x", mine + "x"):
            self.assert_unauthorized(self.send(daemon, bearer(credential), user="a", data=1))


# ---- a start that must not be ----

class Starting(OneDaemonATest, Refusals):
    def refuses(self, *options):
        words = [word for option in options for word in ("-o", option)]
        done = run("serve", "-o", "journal.type=memory", *words)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_a_listener_that_others_reach_needs_credentials_for_its_role(self):
        secret, keys = self.file(SECRET), self.file("")
        jwt = ("auth.subscribe=jwt", f"auth.jwt_key_file={secret}")
        key = ("auth.publish=key", f"auth.publish_keys_file={keys}")
        self.assertIn("auth.subscribe = jwt", self.refuses("listener.a.address=0.0.0.0:0", *key))
        self.assertIn("auth.publish = key", self.refuses("listener.a.address=0.0.0.0:0", *jwt))
        self.assertIn("auth.publish = key", self.refuses("listener.a.address=[::]:0",
                                                         "listener.a.role=internal", *jwt))
        daemon = self.start("listener.b.address=0.0.0.0:0", *jwt, *key)
        self.assertEqual(daemon.get("/healthz").status, 200)
        daemon = self.start("listener.b.address=0.0.0.0:0", "listener.b.role=public", *jwt)
        self.assertEqual(daemon.get("/healthz").status, 200)

    def test_mistakes_with_keys_say_what_to_do(self):
        for text, part in ((b"short", "openssl rand"), (support("KEYS_P256_PRIVATE"), "-pubout"),
                           (support("KEYS_RSA_1024_PUBLIC"), "1024 bits"),
                           ('{"keys":[]}', "jwks_file")):
            with self.subTest(part):
                path = self.file(text)
                error = self.refuses("auth.subscribe=jwt", f"auth.jwt_key_file={path}")
                self.assertIn(f"auth.jwt_key_file = {path}: ", error)
                self.assertIn(part, error)
        self.assertIn("set jwt_key_file", self.refuses("auth.subscribe=jwt"))
        self.assertIn("publish_keys_file", self.refuses("auth.publish=key"))
        self.assertIn("key add", self.refuses("auth.publish=key", "auth.publish_keys_file=/no/x"))
        path = self.file(json.dumps({"keys": [{"kty": "RSA", "kid": "a"}]}))
        self.assertIn('key 1 (kid "a")', self.refuses("auth.subscribe=jwt",
                                                      f"auth.jwks_file={path}"))

    def test_check_config_reads_the_keys_too(self):
        path = self.file(b"short")
        options = ["-o", "auth.subscribe=jwt", "-o", f"auth.jwt_key_file={path}",
                   "-o", "auth.publish=key", "-o", "auth.publish_keys_file=/no/x"]
        done = run("check-config", *options)
        self.assertEqual(done.returncode, 2)
        self.assertIn("openssl rand", done.stderr)
        self.assertIn("/no/x", done.stderr)
        path.write_bytes(SECRET)
        self.assertEqual(run("check-config", *options[:4]).returncode, 0)

    def test_keys_that_nothing_asks_for_are_warned_of(self):
        path = self.file(SECRET)
        daemon = self.start(f"auth.jwt_key_file={path}", f"auth.publish_keys_file={path}")
        self.assertIn("set subscribe = jwt", daemon.log_text())
        self.assertIn("set publish = key", daemon.log_text())

    def test_a_secret_that_everybody_can_read_is_warned_of(self):
        path = self.file(SECRET)
        path.chmod(0o644)
        daemon = self.start("auth.subscribe=jwt", f"auth.jwt_key_file={path}")
        self.assertIn("chmod o=", daemon.log_text())

    def test_a_role_has_its_routes_and_no_others(self):
        daemon = self.start("listener.default.role=public")
        for method, target in (("POST", "/notify"), ("GET", "/stats"), ("GET", "/users/alice"),
                               ("DELETE", "/users/alice/streams")):
            self.assert_problem(daemon.request(method, target), 404)
        self.assertEqual(daemon.get("/notifications/alice/history").status, 200)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
    def test_memory_with_secrets_is_not_dumped(self):
        nobody = pwd.getpwnam("nobody").pw_uid
        folder = pathlib.Path(self.scratch())
        folder.chmod(0o755)
        path = folder / "secret"
        path.write_bytes(SECRET)
        path.chmod(0o600)
        os.chown(path, nobody, -1)
        for options, owner in (((), nobody),
                               (("auth.subscribe=jwt", f"auth.jwt_key_file={path}"), 0)):
            daemon = self.start(*options, user=nobody)
            # The kernel's own: what belongs to root there can be read, and dumped, by root alone.
            self.assertEqual(os.stat(f"/proc/{daemon.process.pid}/environ").st_uid, owner)


# ---- the commands ----

class Commands(OneDaemonATest, Refusals):
    def test_a_token_that_is_made_is_taken(self):
        secret = self.file(SECRET.decode() + "\n")
        options = [f"auth.jwt_key_file={secret}", "auth.issuer=dev", "auth.audience=push",
                   "auth.user_claim=id"]
        daemon = self.start("auth.subscribe=jwt", "auth.publish=jwt", *options)
        words = [word for option in options for word in ("-o", option)]
        done = run("token", "--user", "alice", "--topic", "x", "--publish", "user:*", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        mine = bearer(done.stdout.strip())
        stream = self.open("/notifications/alice?topic=x", daemon, headers=mine)
        self.assertEqual(daemon.post(b'{"user":"alice","data":"hi"}', mine).status, 200)
        self.assertEqual(stream.next().data, "hi")
        for arguments in (["send", "--user", "alice", "there"],
                          ["tail", "alice", "--once", "--last-event-id", "earliest"]):
            done = run(*arguments, "--url", f"http://127.0.0.1:{daemon.port}",
                       env={"SSE_NOTIFY_TOKEN": mine[0][1].removeprefix("Bearer ")})
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hi", done.stdout)

    def test_its_time_is_what_was_asked_for(self):
        secret = self.file(SECRET)
        daemon = self.start("auth.subscribe=jwt", f"auth.jwt_key_file={secret}")
        done = run("token", "--user", "alice", "--ttl", "90s", "--key", secret)
        stream = self.open("alice", daemon, headers=bearer(done.stdout.strip()))
        body = json.dumps({"client_id": stream.client_id, "token": done.stdout.strip()}).encode()
        answer = daemon.post(body, (), "/notifications/alice/refresh")
        self.assertTrue(45 < answer.json()["expires_in"] <= 90, answer)

    def test_mistakes_are_told(self):
        public = self.file(support("KEYS_RSA_PUBLIC"))
        for arguments, code, part in (
                (["token"], 2, "--user"),
                (["token", "--user", "a"], 2, "auth.jwt_key_file"),
                (["token", "--user", "a", "--key", public], 2, "public key"),
                (["token", "--user", "a", "--key", "/no/x"], 2, "/no/x"),
                (["token", "--user", "a", "--publish", "everybody"], 2, "everybody"),
                (["token", "--user", "a", "--issuer", "x", "--key", public], 2, "issuer.x"),
                (["token", "alice"], 2, "options"),
                (["key"], 2, "add"), (["key", "add"], 2, "name"),
                (["key", "remove", "x"], 2, "add"),
                (["key", "add", "x"], 2, "publish_keys_file"),
                (["key", "add", "x", "--file", "/no/such/file"], 1, "/no/such/file"),
                (["key", "add", "x y", "--file", public.parent / "k"], 2, "name"),
                (["key", "add", "x", "--allow", "x", "--file", public.parent / "k"], 2, "user:")):
            with self.subTest(arguments):
                done = run(*arguments)
                self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
                self.assertIn(part, done.stderr)

    def test_a_name_is_there_once_and_what_was_there_stays(self):
        path = self.file("# ours")  # without a line end
        first = run("key", "add", "a", "--file", path)
        again = run("key", "add", "a", "--file", path)
        self.assertEqual((first.returncode, again.returncode), (0, 1))
        self.assertIn("already", again.stderr)
        lines = path.read_text().splitlines()
        self.assertEqual((len(lines), lines[0]), (2, "# ours"))
        self.assertRegex(lines[1], r"\Aa sha256:[0-9a-f]{64}\Z")


if __name__ == "__main__":
    main()
