"""What the console asks for: the stream of figures, the log, the configuration, the trace."""
import json
import pathlib
import signal

from harness import Http, OneDaemonATest, TestCase, main, run, wait_for
from tokens import SECRET, bearer, grants, token


class Figures(OneDaemonATest):
    def figures(self, daemon, **options):
        return self.open("/console/events", daemon, wait=False, **options).begin()

    def test_they_come_again_and_again(self):
        daemon = self.start()
        stream = self.figures(daemon)
        self.assertEqual(stream.head["Content-Type"], "text/event-stream")
        first, second = (json.loads(stream.next().data) for _ in range(2))
        self.assertEqual(first.keys(), daemon.stats().keys())
        self.assertGreater(second["loop_turns"], first["loop_turns"])
        daemon.notify(user="alice", data=1)
        wait_for(lambda: json.loads(stream.next().data)["notifications_accepted"] == 1)

    def test_over_http_1_0_they_come_too(self):
        stream = self.figures(self.start(), version="1.0")
        self.assertIn("version", json.loads(stream.next().data))

    def test_they_are_in_no_count_of_streams(self):
        daemon = self.start("streams.max_streams=1")
        self.figures(daemon).next()
        self.open("alice", daemon)
        stats = daemon.stats()
        self.assertEqual((stats["streams_open"], stats["users_online"]), (1, 1))

    def test_only_so_many_are_held(self):
        daemon = self.start()
        streams = [self.figures(daemon) for _ in range(16)]
        self.assert_problem(daemon.get("/console/events"), 429)
        streams[0].close()

        def has_room():
            with Http(daemon.port) as http:
                http.send_request("GET", "/console/events")
                return b" 200 " in http.read_head()

        wait_for(has_room, "room for another")

    def test_an_address_has_its_places_back(self):
        daemon = self.start("streams.max_streams_per_ip=1")
        for _ in range(3):
            stream = self.figures(daemon)
            stream.next()
            stream.close()
            wait_for(lambda: daemon.stats()["connections_open"] == 1, "the end")
        self.open("alice", daemon)

    def test_a_shutdown_ends_them_in_peace(self):
        daemon = self.start("server.drain_time=10s")
        stream = self.figures(daemon)
        stream.next()
        daemon.process.send_signal(signal.SIGTERM)
        stream.expect_end()
        self.assertEqual(stream.ended, "last-chunk")
        self.assertEqual(daemon.process.wait(8), 0)


class Operators(OneDaemonATest):
    """Who may look, and what is never shown."""

    def test_the_page_needs_no_credential_and_what_it_asks_for_does(self):
        folder = pathlib.Path(self.scratch())
        (folder / "secret").write_bytes(SECRET)
        keys = {name: run("key", "add", name, *more, "--file", folder / "keys").stdout.strip()
                for name, more in (("all", ()), ("alice", ("--allow", "user:alice")))}
        daemon = self.start("auth.publish=key,jwt", f"auth.publish_keys_file={folder}/keys",
                            f"auth.jwt_key_file={folder}/secret", "auth.subscribe=jwt")
        self.assertEqual(daemon.get("/console").status, 200)
        sent = daemon.request("POST", "/notify", b'{"user":"alice","data":1}',
                              bearer(keys["all"])).json()["id"]
        everyone = token("ops", **grants(publish=["broadcast"]))
        for path, restricted in (("/console/events", 200), ("/stats", 200),
                                 ("/log", 403), ("/config", 403),
                                 (f"/users/alice/trace?id={sent}", 200),
                                 ("/users/alice/history", 200),
                                 ("/users/bob/history", 403),
                                 (f"/users/bob/trace?id={sent}", 403)):
            with self.subTest(path):
                self.assertEqual(self.status(daemon, path), 401)
                self.assertEqual(self.status(daemon, path, keys["alice"]), restricted)
                self.assertEqual(self.status(daemon, path, keys["all"]), 200)
                if restricted == 403 and "users" not in path:
                    self.assertEqual(self.status(daemon, path, everyone), 200)

    def status(self, daemon, path, credential=None):
        with Http(daemon.port) as http:
            http.send_request("GET", path, None, bearer(credential) if credential else ())
            return int(http.read_head().split()[1])

    def test_no_secret_is_in_the_configuration(self):
        folder = pathlib.Path(self.scratch())
        (folder / "secret").write_bytes(SECRET)
        daemon = self.start("auth.subscribe=jwt", f"auth.jwt_key_file={folder}/secret",
                            "auth.issuer=https://a.example",
                            "issuer.b.issuer=https://b.example",
                            "issuer.b.jwks_url=http://127.0.0.1:1/jwks?code=hunter2")
        response = daemon.get("/config")
        self.assertNotIn(SECRET, response.body)
        self.assertNotIn(b"hunter2", response.body)
        values = {o["name"]: o for o in response.json()["options"]}
        self.assertEqual(values["issuer.b.jwks_url"]["value"], "http://127.0.0.1:1/jwks?...")
        self.assertEqual(values["auth.jwt_key_file"],
                         {"name": "auth.jwt_key_file", "value": f"{folder}/secret", "default": "",
                          "source": "-o", "live": False})

    def test_the_configuration_is_that_in_force_after_a_reload(self):
        path = pathlib.Path(self.scratch()) / "conf"
        path.write_text("[streams]\nheartbeat = 20s\n[journal]\nkeep = 24h\n")
        daemon = self.start(arguments=("-c", path))

        def values():
            return {o["name"]: (o["value"], o["source"])
                    for o in daemon.get("/config").json()["options"]}

        self.assertEqual(values()["streams.heartbeat"], ("20s", f"{path}:2"))
        self.assertEqual(values()["journal.keep"], ("24h", f"{path}:4"))
        path.write_text("\n\n[streams]\nheartbeat = 30s\n[journal]\nkeep = 2h\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: values()["streams.heartbeat"] == ("30s", f"{path}:4"), "the reload")
        self.assertEqual(values()["journal.keep"], ("24h", f"{path}:4"))
        self.assertIn("take a restart", daemon.get("/log").json()["lines"][-1]["text"])


class Trace(TestCase):
    def trace(self, sent, user=None, daemon=None):
        response = (daemon or self.daemon).get(f"/users/{user or self.user}/trace?id={sent['id']}")
        self.assertEqual(response.status, 200, response)
        return response.json()

    def states(self, *args, **options):
        return [stream["state"] for stream in self.trace(*args, **options)["streams"]]

    def test_the_times_of_one_that_arrived(self):
        first, second = self.open(), self.open()
        sent = self.daemon.notify(user=self.user, data=1)
        for stream in (first, second):
            self.assertEqual(stream.next().id, sent["id"])
        wait_for(lambda: self.trace(sent)["written"] == 2, "both writes")
        t = self.trace(sent)
        self.assertEqual((t["kept"], t["sent_to"], t["queued_to"]), (True, f"user:{self.user}", 2))
        self.assertLessEqual(t["stored_at"], t["last_written_at"])
        self.assertEqual(self.states(sent), ["written", "written"])

    def test_nobody_was_there_and_somebody_came_back_for_it(self):
        first = self.daemon.notify(user=self.user, data=1)
        sent = self.daemon.notify(user=self.user, data=2)
        t = self.trace(sent)
        self.assertEqual((t["queued_to"], t["written"], t["last_written_at"]), (0, 0, None))
        self.open()
        self.assertEqual(self.states(sent), ["opened-later"])
        back = self.open(last_event_id=first["id"])
        self.assertEqual(back.next().id, sent["id"])
        wait_for(lambda: self.states(sent) == ["opened-later", "written"], "the replay")
        self.assertEqual(self.states(first), ["opened-later", "opened-later"])
        self.assertEqual(self.trace(sent)["written"], 1)

    def test_a_topic_and_everyone(self):
        self.open(f"/notifications/{self.user}?topic=news")
        self.open()
        news = self.daemon.notify(topic="news", data=1)
        everyone = self.daemon.notify(broadcast=True, data=1)
        wait_for(lambda: self.states(everyone) == ["written", "written"], "both")
        self.assertEqual(self.states(news), ["written", "other-topic"])
        self.assertEqual(self.trace(news)["sent_to"], "topic:news")
        self.assertEqual(self.trace(everyone)["sent_to"], "broadcast")

    def test_a_peer_that_does_not_read(self):
        stream = self.open(rcvbuf=4096)

        def is_lagging():
            self.daemon.notify(user=self.user, data="x" * 60000)
            return self.daemon.presence(self.user)["streams"][0]["lagging"]

        wait_for(is_lagging, "a full socket")
        sent = self.daemon.notify(user=self.user, data="last")
        self.assertIn(self.states(sent)[0], ("queued", "behind"))
        while stream.next().id != sent["id"]:
            pass
        wait_for(lambda: self.states(sent) == ["written"], "the write")

    def test_where_the_oldest_is_dropped_nothing_is_claimed(self):
        daemon = self.start("streams.overflow=drop-oldest", "streams.queue=1",
                            "journal.keep_per_user=1000")
        stream = self.open("alice", daemon, rcvbuf=4096)
        sent = []

        def is_behind():
            sent.append(daemon.notify(user="alice", data="x" * 60000))
            return daemon.presence("alice")["streams"][0]["lagging"]

        wait_for(is_behind, "a full queue")
        for _ in range(3):
            sent.append(daemon.notify(user="alice", data="more than the queue holds"))
        while stream.next().id != sent[-1]["id"]:
            pass
        wait_for(lambda: self.states(sent[-1], "alice", daemon) == ["written"], "the last write")
        for one in sent[:-1]:
            self.assertEqual(self.states(one, "alice", daemon), ["passed"])

    def test_one_for_those_connected_only(self):
        sent = self.daemon.notify(user=self.user, data=1, ttl=0)
        self.open(last_event_id="earliest")
        self.assertIn(self.states(sent), (["opened-later"], ["passed"]))

    def test_one_that_is_not_kept_any_more(self):
        daemon = self.start("journal.keep_per_user=2")
        sent = [daemon.notify(user="alice", data=n) for n in range(4)]
        t = self.trace(sent[0], "alice", daemon)
        self.assertEqual((t["kept"], t["sent_to"], t["accepted_at"]), (False, None, None))
        self.assertIn("keep_per_user", t["detail"])
        daemon.request("DELETE", f"/notifications/alice/{sent[3]['id']}")
        self.assertIn("retracted", self.trace(sent[3], "alice", daemon)["detail"])
        self.assertIn("somebody else", self.trace(sent[2], "bob", daemon)["detail"])

    def test_one_that_only_the_journal_has(self):
        for kind in ("disk", "memory"):
            with self.subTest(kind):
                daemon = self.start(f"journal.type={kind}", "journal.window=4KiB")
                stream = self.open("alice?topic=news", daemon) if kind == "disk" else None
                sent = daemon.notify(user="alice", data=1)
                news = daemon.notify(topic="news", data=1)
                for n in range(50):
                    daemon.notify(user="bob", data="x" * 500)
                t = self.trace(sent, "alice", daemon)
                self.assertEqual((t["kept"], t["sent_to"]), (True, "user:alice"))
                self.assertIsNotNone(t["accepted_at"])
                self.assertEqual((t["stored_at"], t["queued_to"], t["written"]), (None,) * 3)
                if stream is not None:
                    self.assertEqual(stream.take(2), ["1", "1"])
                    self.assertEqual(self.trace(news, "alice", daemon)["sent_to"], "topic:news")
                    self.assertEqual(self.states(sent, "alice", daemon), ["written"])
                else:
                    self.assertFalse(self.trace(news, "alice", daemon)["kept"])

    def test_one_of_before_a_restart(self):
        daemon = self.start()
        sent = daemon.notify(user="alice", data=1)
        daemon.restart()
        stream = self.open("alice", daemon, last_event_id="earliest")
        self.assertEqual(stream.next().id, sent["id"])
        wait_for(lambda: self.states(sent, "alice", daemon) == ["written"], "the replay")
        t = self.trace(sent, "alice", daemon)
        self.assertIsNotNone(t["accepted_at"])
        self.assertEqual((t["kept"], t["stored_at"], t["queued_to"], t["written"]),
                         (True, None, None, None))

    def test_times_within_one_turn_are_not_of_another_age(self):
        daemon = self.start("journal.type=memory")
        epoch = daemon.notify(user="alice", data=1)["id"].split("-")[0]
        with Http(daemon.port) as http:
            body = json.dumps([{"user": "alice", "data": "x" * 1000}] * 900).encode()
            head = ("POST /notify HTTP/1.1\r\nHost: localhost\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n")
            http.send(head.encode() + body + f"GET /users/alice/trace?id={epoch}-901 HTTP/1.1\r\n"
                      "Host: localhost\r\n\r\n".encode())
            http.read_response()
            t = http.read_response().json()
        self.assertEqual(t["accepted_at"][:10], t["stored_at"][:10])

    def test_ids_that_are_none_of_this_journal(self):
        head = self.daemon.notify(user=self.user, data=1)["id"]
        epoch, number = head.split("-")
        for strange in ("aaaaaaaa-1", f"{epoch}-{int(number) + 1000}", f"{epoch}-0"):
            self.assertIn("has not given out", self.trace({"id": strange})["detail"])
        for query in ("", "?id=", "?id=a%20b", "?other=1"):
            self.assert_problem(self.daemon.get(f"/users/{self.user}/trace{query}"), 400, "id=ID")


if __name__ == "__main__":
    main()
