"""History, presence, kick, erase, retract, stats, health."""
import datetime
import json

from harness import Http, TestCase, main, quote


class History(TestCase):
    def fill(self, count):
        return [self.daemon.notify(user=self.user, event="e", data=f"{n}")["id"]
                for n in range(count)]

    def test_what_is_kept_newest_last(self):
        ids = self.fill(3)
        answer = self.daemon.history(self.user)
        self.assertEqual(set(answer), {"user", "notifications", "more"})
        self.assertEqual((answer["user"], answer["more"]), (self.user, False))
        self.assertEqual([n["id"] for n in answer["notifications"]], ids)
        for n, item in enumerate(answer["notifications"]):
            self.assertEqual(set(item), {"id", "event", "data", "at"})
            self.assertEqual((item["event"], item["data"]), ("e", f"{n}"))
            at = datetime.datetime.fromisoformat(item["at"].replace("Z", "+00:00"))
            age = datetime.datetime.now(datetime.timezone.utc) - at
            self.assertLess(abs(age.total_seconds()), 300)

    def test_nobody_has_an_empty_history(self):
        self.assertEqual(self.daemon.history("nobody at all"),
                         {"user": "nobody at all", "notifications": [], "more": False})

    def test_after_and_limit_page_through(self):
        ids = self.fill(10)
        got, query = [], "?limit=4"
        for expected_more in (True, True, False):
            answer = self.daemon.history(self.user, query)
            self.assertEqual(answer["more"], expected_more)
            got += [n["id"] for n in answer["notifications"]]
            query = f"?limit=4&after={got[-1]}"
        self.assertEqual(got, ids)
        self.assertEqual(self.daemon.history(self.user, f"?after={ids[-1]}")["notifications"], [])

    def test_data_that_was_json_is_json_and_keeps_its_numbers(self):
        body = f'{{"user":"{self.user}","data":{{"n":12345678901234567890.10}}}}'
        self.assertEqual(self.daemon.post(body.encode()).status, 200)
        raw = self.daemon.get(f"/notifications/{self.user}/history").body
        self.assertIn(b'"data":{"n":12345678901234567890.10}', raw.replace(b": ", b":"))

    def test_strings_that_look_like_json_stay_strings(self):
        for data in ("5", '{"a":1}', "null", "a\nb", 'q"\\\0\x7fé'):
            self.daemon.notify(user=self.user, data=data)
            self.assertEqual(self.daemon.history(self.user)["notifications"][-1]["data"], data)

    def test_wrong_values_are_refused(self):
        for query in ("?limit=x", "?limit=-1", "?limit=1.5", "?limit=99999999999999999999",
                      "?after=a%00b"):
            with self.subTest(query):
                response = self.daemon.get(f"/notifications/{self.user}/history{query}")
                self.assert_problem(response, 400)

    def test_the_history_of_a_utf8_user(self):
        self.daemon.notify(user="Zoë 🔔", data="1")
        self.assertEqual(self.daemon.history("Zoë 🔔")["user"], "Zoë 🔔")


class Presence(TestCase):
    fields = {"client_id", "since", "peer", "user_agent", "queued", "lagging", "last_id"}

    def test_nobody_is_offline(self):
        self.assertEqual(self.daemon.presence("nobody at all"),
                         {"user": "nobody at all", "online": False, "streams": []})

    def test_each_stream_is_described(self):
        stream = self.open(headers=[("User-Agent", 'test/1 "quoted" \\')])
        sent = self.daemon.notify(user=self.user, data="1")
        stream.next()
        answer = self.daemon.presence(self.user)
        self.assertTrue(answer["online"])
        info, = answer["streams"]
        self.assertEqual(set(info), self.fields)
        self.assertEqual(info["client_id"], stream.client_id)
        self.assertRegex(info["client_id"], r"\A[0-9a-f]{16}\Z")
        self.assertRegex(info["since"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
        self.assertEqual(info["peer"], "127.0.0.1:%d" % stream.http.sock.getsockname()[1])
        self.assertEqual(info["user_agent"], 'test/1 "quoted" \\')
        self.assertEqual((info["queued"], info["lagging"]), (0, False))
        self.assertEqual(info["last_id"], sent["id"])

    def test_a_stream_without_a_user_agent(self):
        self.open()
        info, = self.daemon.presence(self.user)["streams"]
        self.assertIn(info["user_agent"], ("", None))

    def test_bad_user_ids_are_refused(self):
        for path in ("/users/%ff", "/users/a%0a", f"/users/{'x' * 257}"):
            self.assert_problem(self.daemon.get(path), 400)


class Removing(TestCase):
    def delete(self, path):
        return self.daemon.request("DELETE", path)

    def test_kicking_nobody_closes_none(self):
        response = self.delete(f"/users/{self.user}/streams")
        self.assertEqual((response.status, response.json()), (200, {"closed": 0}))

    def test_kicking_an_unknown_client_is_404(self):
        self.open()
        for client in ("0123456789abcdef", "ffffffffffffffff"):
            self.assert_problem(self.delete(f"/users/{self.user}/streams/{client}"), 404)
        for client in ("x", "0", "0" * 16, "0123456789abcdef0", "-1"):
            self.assertIn(self.delete(f"/users/{self.user}/streams/{client}").status, (400, 404))
        self.assertTrue(self.daemon.presence(self.user)["online"])

    def test_a_client_of_another_user_is_not_kicked(self):
        stream = self.open()
        self.assert_problem(self.delete(f"/users/other/streams/{stream.client_id}"), 404)
        stream.expect_quiet(self.daemon, self.user)

    def test_erasing_removes_what_is_kept(self):
        start = self.open().start_id
        for n in range(5):
            self.daemon.notify(user=self.user, data=n)
        self.daemon.notify(user="kept-user", data="stays")
        response = self.delete(f"/users/{self.user}/history")
        self.assertEqual((response.status, response.json()), (200, {"erased": 5}))
        self.assertEqual(self.daemon.history(self.user)["notifications"], [])
        self.assertEqual(self.delete(f"/users/{self.user}/history").json(), {"erased": 0})
        self.assertEqual(len(self.daemon.history("kept-user")["notifications"]), 1)
        self.daemon.notify(user=self.user, data="new")
        self.assertEqual(self.open(last_event_id=start).next().data, "new")

    def test_retracting_what_is_not_kept_is_404(self):
        sent = self.daemon.notify(user=self.user, data=1)["id"]
        epoch = sent.rpartition("-")[0]
        for name in (f"{epoch}-99999", "abcdefgh-1"):
            self.assert_problem(self.delete(f"/notifications/{self.user}/{name}"), 404)
        for name in ("x", quote("a b")):
            self.assertIn(self.delete(f"/notifications/{self.user}/{name}").status, (400, 404))
        self.assert_problem(self.delete(f"/notifications/other/{sent}"), 404)
        self.assertEqual(self.delete(f"/notifications/{self.user}/{sent}").status, 200)
        self.assert_problem(self.delete(f"/notifications/{self.user}/{sent}"), 404)
        self.assertEqual(self.daemon.history(self.user)["notifications"], [])


class Health(TestCase):
    def test_healthz_and_readyz(self):
        for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
            response = self.daemon.get(path)
            self.assertEqual((response.status, response.json()), (200, {"status": status}))
            self.assertEqual(response["Content-Type"], "application/json")

    def test_stats_count_what_happens(self):
        before = self.daemon.stats()
        stream = self.open()
        self.daemon.notify(user=self.user, data=1)
        stream.next()
        after = self.daemon.stats()
        self.assertEqual(after["streams_open"] - before["streams_open"], 1)
        for name in ("streams_opened", "notifications_accepted", "deliveries"):
            self.assertEqual(after[name] - before[name], 1, name)
        self.assertGreater(after["requests"], before["requests"])
        self.assertGreater(after["bytes_streamed"], before["bytes_streamed"])
        stream.close()
        self.daemon.wait_streams(self.user, 0)
        closed = self.daemon.stats()
        self.assertEqual(closed["streams_open"], before["streams_open"])
        self.assertEqual(closed["streams_closed_by_peer"] - before["streams_closed_by_peer"], 1)

    def test_stats_name_every_counter_as_a_number(self):
        for name in ("streams_open", "users_online", "gaps_expired", "gaps_unknown_id",
                     "gaps_overflow", "window_bytes", "journal_entries", "connections_open",
                     "requests_refused", "loop_turns", "loop_longest_us"):
            self.assertIsInstance(self.daemon.stats()[name], int, name)


class Roles(TestCase):
    def test_a_listener_has_its_roles_routes_only(self):
        daemon = self.start("listener.default.role=all", "listener.pub.address=127.0.0.1:0",
                            "listener.pub.role=public", "listener.int.address=127.0.0.1:0",
                            "listener.int.role=internal")
        addresses = {e.get("listener") or e.get("name"): e["address"]
                     for e in daemon.log("listening")}
        self.assertEqual(len(addresses), 3, daemon.log_text())
        public = int(addresses["pub"].rpartition(":")[2])
        internal = int(addresses["int"].rpartition(":")[2])
        body = json.dumps({"user": "u", "data": 1}).encode()

        def status(port, method, path, data=None):
            with Http(port) as http:
                http.send_request(method, path, data, [("Connection", "close")])
                return http.read_response().status

        for method, path, data in (("POST", "/notify", body), ("GET", "/users/u", None),
                                   ("GET", "/stats", None), ("DELETE", "/users/u/streams", None)):
            self.assertEqual(status(public, method, path, data), 404, path)
            self.assertEqual(status(internal, method, path, data), 200, path)
        self.assertEqual(status(public, "GET", "/notifications/u/history"), 200)
        # 405: there, DELETE /notifications/:userID/:id is of the same form.
        self.assertIn(status(internal, "GET", "/notifications/u/history"), (404, 405))
        for port in (public, internal):
            self.assertEqual(status(port, "GET", "/healthz"), 200)
            self.assertEqual(status(port, "GET", "/readyz"), 200)


class Proxies(TestCase):
    """Whose word on the client's address counts (http.trusted_proxies)."""

    def peer_of(self, daemon, *forwarded):
        headers = [("X-Forwarded-For", value) for value in forwarded]
        user = f"{self.user}-{len(forwarded)}-{forwarded[0]}"
        with daemon.stream(quote(user), headers=headers):
            return daemon.presence(user)["streams"][0]["peer"]

    def test_the_last_address_that_is_no_trusted_proxy_is_the_client(self):
        daemon = self.start("http.trusted_proxies=127.0.0.0/8 10.0.0.0/8")
        self.assertEqual(self.peer_of(daemon, "203.0.113.5"), "203.0.113.5")
        self.assertEqual(self.peer_of(daemon, "6.6.6.6, 203.0.113.5, 10.1.1.1"), "203.0.113.5")
        self.assertEqual(self.peer_of(daemon, "6.6.6.6", "[2001:db8::1]:99"), "[2001:db8::1]:99")
        self.assertTrue(self.peer_of(daemon, "rubbish").startswith("127.0.0.1:"))

    def test_nobody_else_is_believed(self):
        daemon = self.start("http.trusted_proxies=10.0.0.0/8")
        self.assertTrue(self.peer_of(daemon, "203.0.113.5").startswith("127.0.0.1:"))


if __name__ == "__main__":
    main()
