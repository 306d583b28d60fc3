"""The event stream as a client sees it: head, preamble, events, resuming, gaps, goodbyes."""
import json
import re
import socket

from harness import ID, Closed, Http, Stream, TestCase, main, quote, wait_for


class Opening(TestCase):
    def test_head_is_exactly_the_contract(self):
        head = self.open().head
        self.assertEqual(head.raw.split(b"\r\n")[0], b"HTTP/1.1 200 OK")
        for name, value in (("Content-Type", "text/event-stream"),
                            ("Cache-Control", "no-cache, no-store, no-transform"),
                            ("X-Accel-Buffering", "no"), ("X-Content-Type-Options", "nosniff"),
                            ("Transfer-Encoding", "chunked")):
            self.assertEqual(head[name], value, name)
        self.assertIsNone(head["Content-Length"])
        self.assertRegex(head["Date"], r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")

    def test_preamble_is_retry_comment_and_an_id_without_an_event(self):
        stream = self.open()
        self.assertEqual(stream.retry, 2000)
        self.assertEqual(len(stream.comments), 1)
        self.assertRegex(stream.comments[0], r"\Aconnected [0-9a-f]{16}\Z")
        self.assertRegex(stream.start_id, ID)
        self.assertRegex(stream.raw.decode(), r"\Aretry: 2000\n: connected \w+\n\n?id: \S+\n\n\Z")

    def test_two_streams_of_a_user_are_two_clients_and_both_receive(self):
        one, two = self.open(), self.open()
        self.assertNotEqual(one.client_id, two.client_id)
        answer = self.daemon.notify(user=self.user, data="both")
        self.assertEqual(answer["streams"], 2)
        self.assertEqual(one.next(), two.next())

    def test_http_1_0_gets_a_plain_body_until_the_close(self):
        stream = self.open(version="1.0")
        self.assertIsNone(stream.head["Transfer-Encoding"])
        self.assertEqual(stream.head["Connection"], "close")
        sent = self.daemon.notify(user=self.user, data="plain")
        self.assertEqual(stream.next(), (sent["id"], "notification", "plain"))

    def test_head_request_answers_as_get_without_a_body_or_a_stream(self):
        with self.daemon.connect() as http:
            http.send_request("HEAD", f"/notifications/{self.user}")
            response = http.read_response(is_head=True)
            self.assertEqual(response.status, 200)
            self.assertEqual(response["Content-Type"], "text/event-stream")
            self.assertEqual(self.daemon.presence(self.user)["streams"], [])
            http.send_request("GET", "/healthz", headers=[("Connection", "close")])
            self.assertEqual(http.read_response().status, 200)

    def test_user_ids_are_percent_decoded_utf8(self):
        for user in ("Zoë", "用户", "a b", "a/b", "a%b", "🔔", "a?b#c", "+", "x" * 256,
                     "é" * 128):
            with self.subTest(user):
                stream = self.open(quote(user))
                sent = self.daemon.notify(user=user, data="hello")
                self.assertEqual(stream.next(), (sent["id"], "notification", "hello"))
                stream.close()

    def test_lower_case_escapes_are_the_same_user(self):
        stream = self.open("Zo%c3%ab")
        self.daemon.notify(user="Zoë", data="1")
        self.assertEqual(stream.next().data, "1")

    def test_bad_user_ids_are_refused_with_a_reason(self):
        for path in ("%ff", "%00", "a%0ab", "%7f", "a%1f", "x" * 257, "%ed%a0%80", "%c0%80",
                     "%c3%ab" * 129):
            with self.subTest(path):
                self.assert_problem(self.daemon.get(f"/notifications/{path}"), 400)

    def test_bad_percent_escapes_are_refused(self):
        for path in ("%", "a%2", "%zz", "a%g0"):
            with self.subTest(path):
                self.assert_problem(self.daemon.get(f"/notifications/{path}"), 400)

    def test_an_empty_user_id_is_no_route(self):
        self.assertEqual(self.daemon.get("/notifications/").status, 404)

    def test_bad_query_members_are_refused_with_a_reason(self):
        for query in ("topic=", "topic=a%0ab", "topic=" + "x" * 257, "heartbeat=maybe"):
            with self.subTest(query):
                self.assert_problem(self.daemon.get(f"/notifications/u?{query}"), 400)

    def test_too_many_topics_are_refused(self):
        query = "&".join(f"topic=t{n}" for n in range(1000))
        self.assert_problem(self.daemon.get(f"/notifications/u?{query}"), 400)


class Events(TestCase):
    def test_an_event_has_id_name_and_data_and_reaches_its_user_only(self):
        mine, other = self.open(), self.open("somebody-else")
        sent = self.daemon.notify(user=self.user, event="build", data={"a": 1})
        self.assertRegex(sent["id"], ID)
        self.assertEqual(mine.next(), (sent["id"], "build", '{"a":1}'))
        self.assertTrue(mine.raw.decode().endswith(
            f'id: {sent["id"]}\nevent: build\ndata: {{"a":1}}\n\n'))
        other.expect_quiet(self.daemon, "somebody-else")

    def test_lines_split_at_lf_cr_and_crlf(self):
        stream = self.open()
        for data, lines in (("a\nb", 2), ("a\rb", 2), ("a\r\nb", 2), ("a\n\nb", 3), ("a\n", 2),
                            ("\na", 2), ("\r\r\n\n", 4), ("", 1), ("a\n\rb", 3)):
            with self.subTest(data):
                self.daemon.notify(user=self.user, data=data)
                got = stream.next().data
                self.assertEqual(got, re.sub("\r\n?", "\n", data))
                self.assertEqual(got.count("\n") + 1, lines)

    def test_data_cannot_forge_a_field_or_an_event(self):
        stream = self.open()
        for data in ("x\n\nevent: bye\ndata: {}", "x\rid: forged", "\n: comment",
                     "x\r\n\r\nretry: 1"):
            with self.subTest(data):
                sent = self.daemon.notify(user=self.user, data=data)
                got = stream.next()
                self.assertEqual((got.id, got.event), (sent["id"], "notification"))
                self.assertEqual(got.data, re.sub("\r\n?", "\n", data))
        self.assertEqual(stream.retry, 2000)

    def test_leading_blanks_and_colons_of_data_survive(self):
        stream = self.open()
        for data in (" a", "  a", ":a", "data: a", "\ta", "a ", "\ufeffa", "🔔 ☃ é"):
            self.daemon.notify(user=self.user, data=data)
            self.assertEqual(stream.next().data, data)

    def test_topics_reach_those_who_asked(self):
        both = self.open("t1?topic=deploys&topic=alerts")
        one = self.open("t2?topic=deploys")
        sent = self.daemon.notify(topic="deploys", data="d")
        self.assertEqual(sent["streams"], 2)
        self.assertEqual(self.daemon.notify(topic="alerts", data="a")["streams"], 1)
        self.assertEqual(self.daemon.notify(topic="nobody", data="n")["streams"], 0)
        self.assertEqual(both.take(2), ["d", "a"])
        self.assertEqual(one.next().data, "d")
        one.expect_quiet(self.daemon, "t2")

    def test_a_topic_named_like_a_user_is_not_the_user(self):
        user = self.open("twin")
        topic = self.open("x?topic=twin")
        self.daemon.notify(topic="twin", data="to the topic")
        self.daemon.notify(user="twin", data="to the user")
        self.assertEqual(user.next().data, "to the user")
        self.assertEqual(topic.next().data, "to the topic")

    def test_a_topic_asked_for_twice_comes_once(self):
        stream = self.open(f"{self.user}?topic=twice&topic=twice")
        self.assertEqual(self.daemon.notify(topic="twice", data="1")["streams"], 1)
        self.assertEqual(stream.next().data, "1")
        stream.expect_quiet(self.daemon, self.user)

    def test_topic_names_are_percent_decoded(self):
        stream = self.open(f"{self.user}?topic=a%2Fb%20c&topic=d+e")
        self.daemon.notify(topic="a/b c", data="1")
        self.daemon.notify(topic="d e", data="2")
        self.assertEqual(stream.take(2), ["1", "2"])

    def test_a_broadcast_reaches_everyone_once(self):
        streams = [self.open(f"everyone{n}") for n in range(5)]
        sent = self.daemon.notify(broadcast=True, event="all", data="hi")
        self.assertGreaterEqual(sent["streams"], 5)
        for stream in streams:
            self.assertEqual(stream.next(), (sent["id"], "all", "hi"))

    def test_order_is_kept_over_user_topic_and_broadcast(self):
        stream = self.open(f"{self.user}?topic=order")
        expected = []
        for n in range(60):
            target = ({"user": self.user}, {"topic": "order"}, {"broadcast": True})[n % 3]
            self.daemon.notify(data=f"{n}", **target)
            expected.append(f"{n}")
        self.assertEqual(stream.take(60), expected)

    def test_what_a_peer_sends_on_an_open_stream_is_thrown_away(self):
        stream = self.open()
        for _ in range(20):
            stream.http.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        self.daemon.notify(user=self.user, data="still here")
        self.assertEqual(stream.next().data, "still here")


class Heartbeat(TestCase):
    options = ("streams.heartbeat=1s",)

    def test_an_idle_stream_gets_an_empty_comment(self):
        stream = self.open()
        self.assertEqual(stream.next_item(seconds=20), ("comment", ""))
        self.assertTrue(stream.raw.endswith(b"\n:\n\n"), stream.raw)
        self.assertEqual(stream.next_item(seconds=20), ("comment", ""))

    def test_heartbeat_event_is_one_that_a_page_can_see_and_has_no_id(self):
        stream = self.open(f"{self.user}?heartbeat=event")
        before = stream.last_id
        self.assertEqual(stream.next(seconds=20), (before, "ping", "{}"))
        self.assertTrue(stream.raw.endswith(b"event: ping\ndata: {}\n\n"), stream.raw)
        self.assertNotIn(b"id:", stream.raw.partition(b"event: ping")[2])


class Resuming(TestCase):
    options = ("journal.keep_per_user=100",)

    def send(self, *numbers, user=None):
        return [self.daemon.notify(user=user or self.user, data=f"{n}")["id"] for n in numbers]

    def test_the_header_resumes_behind_its_id(self):
        ids = self.send(1, 2, 3)
        stream = self.open(last_event_id=ids[0])
        self.assertEqual(stream.take(2), ["2", "3"])
        self.send(4)
        self.assertEqual(stream.next().data, "4")

    def test_the_query_resumes_likewise(self):
        ids = self.send(1, 2, 3)
        stream = self.open(f"{self.user}?last_event_id={ids[1]}")
        self.assertEqual(stream.next().data, "3")

    def test_the_header_wins_over_the_query(self):
        ids = self.send(1, 2, 3)
        stream = self.open(f"{self.user}?last_event_id={ids[0]}", last_event_id=ids[1])
        self.assertEqual(stream.next().data, "3")

    def test_the_id_of_the_preamble_resumes_exactly(self):
        first = self.open()
        start = first.start_id
        first.close()
        self.send(1, 2)
        self.assertEqual(self.open(last_event_id=start).take(2), ["1", "2"])

    def test_the_newest_id_replays_nothing(self):
        ids = self.send(1, 2)
        stream = self.open(last_event_id=ids[-1])
        self.send(3)
        self.assertEqual(stream.next().data, "3")

    def test_without_an_id_only_what_is_new_comes(self):
        self.send(1, 2)
        stream = self.open()
        self.send(3)
        self.assertEqual(stream.next().data, "3")

    def test_earliest_gives_all_that_is_kept(self):
        self.send(1, 2, 3)
        stream = self.open(f"{self.user}?last_event_id=earliest")
        self.assertEqual(stream.take(3), ["1", "2", "3"])

    def test_earliest_with_nothing_kept_gives_no_gap(self):
        stream = self.open(f"{self.user}?last_event_id=earliest")
        self.send(1)
        self.assertEqual(stream.next().data, "1")

    def test_topics_and_broadcasts_are_replayed_in_order_with_the_users_own(self):
        start = self.open().start_id
        self.daemon.notify(topic="resume", data="t1")
        self.daemon.notify(topic="not asked for", data="no")
        self.daemon.notify(user=self.user, data="u1")
        self.daemon.notify(broadcast=True, data="b1")
        self.daemon.notify(user="somebody-else", data="no")
        self.daemon.notify(topic="resume", data="t2")
        stream = self.open(f"{self.user}?topic=resume", last_event_id=start)
        self.assertEqual(stream.take(4), ["t1", "u1", "b1", "t2"])
        stream.expect_quiet(self.daemon, self.user)

    def test_resuming_again_and_again_loses_and_repeats_nothing(self):
        last = self.open().start_id
        got = []
        for n in range(60):
            self.send(n)
            if n % 7 == 6:
                stream = self.open(last_event_id=last)
                got += stream.take(n % 3 + 3)
                last = stream.last_id
                stream.close()
        stream = self.open(last_event_id=last)
        got += stream.take(60 - len(got))
        self.assertEqual(got, [f"{n}" for n in range(60)])

    def test_an_id_of_another_epoch_gives_a_gap_and_goes_on(self):
        self.send(1)
        stream = self.open(last_event_id="abcdefgh-5")
        gap = self.assert_gap(stream.next(), "unknown-id")
        self.assertEqual(gap["after"], "abcdefgh-5")
        self.assertEqual(stream.next().data, "1")  # what is kept follows the gap
        self.send(2)
        self.assertEqual(stream.next().data, "2")

    def test_ids_that_are_none_of_ours_give_a_gap_not_an_error(self):
        for last in ("5", "x", "abc:1,2.3", "a" * 128, "-", "99999999999999999999999"):
            with self.subTest(last):
                stream = self.open(last_event_id=last)
                self.assert_gap(stream.next(), "unknown-id")
                stream.close()

    def test_ids_with_forbidden_bytes_or_too_long_give_a_gap_not_an_error(self):
        for last in ("a b", '"};<script>', "a" * 129, "a" * 4000, "%00", "é"):
            with self.subTest(last):
                path = f"/notifications/{self.user}?last_event_id={quote(last)}"
                stream = Stream(self.daemon.port, path)
                self.assert_gap(stream.next(), "unknown-id")
                stream.close()

    def test_an_id_not_handed_out_yet_gives_a_gap(self):
        epoch = self.send(1)[0].rpartition("-")[0]
        stream = self.open(last_event_id=f"{epoch}-999999999")
        self.assert_gap(stream.next(), "unknown-id")
        self.assertEqual(stream.next().data, "1")  # what is kept follows the gap
        self.send(2)
        self.assertEqual(stream.next().data, "2")

    def test_the_gaps_own_id_resumes_without_another_gap(self):
        stream = self.open(last_event_id="abcdefgh-5")
        gap = self.assert_gap(stream.next(), "unknown-id")
        self.assertRegex(gap["resumed_at"], ID)
        last = stream.last_id
        stream.close()
        sent = self.send(1)
        again = self.open(last_event_id=last)
        self.assertEqual(again.next(), (sent[0], "notification", "1"))

    def test_an_empty_last_event_id_is_none(self):
        self.send(1)
        stream = self.open(last_event_id="")
        self.send(2)
        self.assertEqual(stream.next().data, "2")


class Expired(TestCase):
    options = ("journal.keep_per_user=3",)

    def send(self, *numbers):
        return [self.daemon.notify(user=self.user, data=f"{n}")["id"] for n in numbers]

    def test_what_is_no_longer_kept_is_told_by_a_gap_and_the_rest_replayed(self):
        ids = self.send(*range(10))
        stream = self.open(last_event_id=ids[0])
        gap = self.assert_gap(stream.next(), "expired")
        self.assertEqual(gap["after"], ids[0])
        self.assertEqual(stream.take(3), ["7", "8", "9"])

    def test_no_gap_where_all_that_was_missed_is_kept(self):
        ids = self.send(*range(10))
        stream = self.open(last_event_id=ids[6])
        self.assertEqual(stream.take(3), ["7", "8", "9"])

    def test_no_gap_for_what_others_lost(self):
        start = self.open().start_id
        for n in range(20):
            self.daemon.notify(user="busy-other", data=f"{n}")
        self.send(1)
        self.assertEqual(self.open(last_event_id=start).next().data, "1")

    def test_the_gap_comes_once(self):
        ids = self.send(*range(10))
        stream = self.open(last_event_id=ids[0])
        self.assert_gap(stream.next(), "expired")
        stream.take(1)
        last = stream.last_id
        stream.close()
        self.assertEqual(self.open(last_event_id=last).take(2), ["8", "9"])


class Peers(TestCase):
    def test_a_closed_peer_is_freed(self):
        stream = self.open()
        self.assertTrue(self.daemon.presence(self.user)["online"])
        stream.close()
        self.daemon.wait_streams(self.user, 0)
        self.assertFalse(self.daemon.presence(self.user)["online"])

    def test_a_half_closed_peer_is_freed(self):
        stream = self.open()
        stream.http.sock.shutdown(socket.SHUT_WR)
        self.daemon.wait_streams(self.user, 0)
        stream.expect_end()

    def test_a_peer_that_resets_is_freed(self):
        stream = self.open()
        stream.http.reset()
        self.daemon.wait_streams(self.user, 0)

    def test_a_peer_that_resets_with_much_unread_is_freed(self):
        stream = self.open(rcvbuf=4096)
        for _ in range(100):
            self.daemon.notify(user=self.user, data="x" * 60000, ttl=0)
        stream.http.reset()
        self.daemon.wait_streams(self.user, 0)

    def test_a_peer_gone_before_the_preamble_leaves_nothing(self):
        before = self.daemon.stats()["streams_open"]
        for _ in range(50):
            with Http(self.daemon.port) as http:
                http.send_request("GET", f"/notifications/{self.user}")
                http.reset()
        self.daemon.wait_streams(self.user, 0)
        wait_for(lambda: self.daemon.stats()["streams_open"] == before, "all streams freed")

    def test_many_streams_come_and_go_without_a_trace(self):
        streams = [self.daemon.stream(f"many{n % 10}") for n in range(200)]
        self.assertEqual(len({s.client_id for s in streams}), 200)
        sent = self.daemon.notify(broadcast=True, data="x")
        self.assertGreaterEqual(sent["streams"], 200)
        for stream in streams:
            self.assertEqual(stream.next().id, sent["id"])
            stream.close()
        for n in range(10):
            self.daemon.wait_streams(f"many{n}", 0)


# More than the kernel's buffers of both ends take, so that the daemon has to hold the rest.
PIECE, PIECES = "y" * 16000, 1000


def fill(daemon, user, count=PIECES):
    return [daemon.notify(user=user, data=f"{n}:{PIECE}")["id"] for n in range(count)]


class SlowCatchup(TestCase):
    options = ("streams.queue=8", "journal.keep_per_user=5000", "journal.keep_bytes=200MiB",
               "journal.window=64MiB")

    def check_all_arrive(self, daemon):
        slow = self.open(daemon=daemon, rcvbuf=4096)
        quick = self.open(daemon=daemon)
        for n in range(PIECES):
            daemon.notify(user=self.user, data=f"{n}:{PIECE}")
            self.assertEqual(quick.next().data[:6], f"{n}:{PIECE}"[:6])
        info = {s["client_id"]: s for s in daemon.presence(self.user)["streams"]}
        self.assertTrue(info[slow.client_id]["lagging"])
        self.assertFalse(info[quick.client_id]["lagging"])
        for n in range(PIECES):
            event = slow.next()
            self.assertEqual((event.event, event.data), ("notification", f"{n}:{PIECE}"))
        daemon.notify(user=self.user, data="live again")
        self.assertEqual(slow.next().data, "live again")
        self.assertEqual(quick.next().data, "live again")

    def test_a_slow_reader_catches_up_without_loss_while_others_are_served(self):
        self.check_all_arrive(self.daemon)

    def test_likewise_from_the_journal_when_the_window_is_too_small(self):
        self.check_all_arrive(self.start(*self.options[:-1], "journal.window=1MiB"))

    def test_a_slow_reader_that_closes_is_freed(self):
        slow = self.open(rcvbuf=4096)
        fill(self.daemon, self.user, 400)
        slow.close()
        self.daemon.wait_streams(self.user, 0)


class SlowDropOldest(TestCase):
    options = ("streams.queue=4", "streams.overflow=drop-oldest", "journal.keep_per_user=5000")

    def test_what_was_dropped_is_told_by_a_gap_and_nothing_comes_twice(self):
        slow = self.open(rcvbuf=4096)
        ids = fill(self.daemon, self.user)
        last = self.daemon.notify(user=self.user, data="last")["id"]
        place = {name: n for n, name in enumerate([slow.start_id, *ids, last])}
        at, gaps = 0, 0
        while at < place[last]:
            event = slow.next()
            if event.event == "gap":
                gap = self.assert_gap(event, "overflow")
                self.assertEqual(place[gap["after"]], at, "after is not the last one received")
                gaps += 1
                skipped = True
                continue
            step = place[event.id] - at
            self.assertTrue(step == 1 or (step > 1 and skipped), f"{step} on without a gap")
            at, skipped = place[event.id], False
        self.assertGreaterEqual(gaps, 1)
        self.daemon.notify(user=self.user, data="live again")
        self.assertEqual(slow.next().data, "live again")


class SlowDisconnect(TestCase):
    options = ("streams.queue=4", "streams.overflow=disconnect", "journal.keep_per_user=5000")

    def test_a_full_queue_ends_the_stream_and_the_reconnect_resumes(self):
        slow = self.open(rcvbuf=4096)
        ids = fill(self.daemon, self.user)
        self.daemon.wait_streams(self.user, 0)
        got = []
        try:
            while True:
                got.append(slow.next().id)
        except Closed:
            pass
        self.assertEqual(got, ids[:len(got)])
        self.assertLess(len(got), len(ids))
        again = self.open(last_event_id=slow.last_id)
        for name in ids[len(got):len(got) + 4]:
            self.assertEqual(again.next().id, name)


class Control(TestCase):
    def test_a_retracted_notification_is_told_to_live_streams(self):
        stream = self.open()
        sent = self.daemon.notify(user=self.user, data="oops")
        self.assertEqual(stream.next().data, "oops")
        response = self.daemon.request("DELETE", f"/notifications/{self.user}/{sent['id']}")
        self.assertEqual(response.json(), {"retracted": True})
        event = stream.next()
        self.assertEqual((event.event, json.loads(event.data)), ("retract", {"id": sent["id"]}))
        self.assertEqual(stream.last_id, sent["id"])

    def test_a_retracted_notification_is_not_replayed(self):
        ids = [self.daemon.notify(user=self.user, data=f"{n}")["id"] for n in range(3)]
        self.daemon.request("DELETE", f"/notifications/{self.user}/{ids[1]}")
        stream = self.open(f"{self.user}?last_event_id=earliest")
        self.assertEqual(stream.take(2), ["0", "2"])

    def test_a_kick_says_bye_and_ends_every_stream_of_the_user(self):
        streams = [self.open() for _ in range(3)]
        other = self.open("not-kicked")
        response = self.daemon.request("DELETE", f"/users/{self.user}/streams")
        self.assertEqual((response.status, response.json()), (200, {"closed": 3}))
        for stream in streams:
            events = stream.expect_end()
            self.assertEqual([e.event for e in events], ["bye"])
            self.assertEqual(json.loads(events[0].data), {"reason": "kicked"})
            self.assertEqual(stream.ended, "last-chunk")
        self.daemon.wait_streams(self.user, 0)
        other.expect_quiet(self.daemon, "not-kicked")

    def test_a_kick_of_one_client_leaves_the_others(self):
        one, two = self.open(), self.open()
        response = self.daemon.request("DELETE", f"/users/{self.user}/streams/{one.client_id}")
        self.assertEqual((response.status, response.json()), (200, {"closed": 1}))
        self.assertEqual([e.event for e in one.expect_end()], ["bye"])
        two.expect_quiet(self.daemon, self.user)

    def test_a_kick_ends_an_http_1_0_stream_by_its_close(self):
        stream = self.open(version="1.0")
        self.daemon.request("DELETE", f"/users/{self.user}/streams")
        self.assertEqual([e.event for e in stream.expect_end()], ["bye"])
        self.assertEqual(stream.ended, "closed")

    def test_what_was_sent_before_a_kick_arrives_before_the_bye(self):
        stream = self.open()
        for n in range(50):
            self.daemon.notify(user=self.user, data=f"{n}")
        self.daemon.request("DELETE", f"/users/{self.user}/streams")
        events = stream.expect_end()
        self.assertEqual([e.data for e in events[:-1]], [f"{n}" for n in range(50)])
        self.assertEqual(events[-1].event, "bye")


class MaxAge(TestCase):
    options = ("streams.max_age=1s",)

    def test_a_stream_of_that_age_says_bye_and_can_resume(self):
        stream = self.open()
        sent = self.daemon.notify(user=self.user, data="1")
        events = stream.expect_end(seconds=30)
        self.assertEqual([e.event for e in events], ["notification", "bye"])
        self.assertEqual(json.loads(events[1].data), {"reason": "max-age"})
        self.assertEqual(stream.last_id, sent["id"])
        self.daemon.wait_streams(self.user, 0)


class Limits(TestCase):
    options = ("streams.max_streams=5", "streams.max_streams_per_user=2")

    def test_streams_over_a_limit_are_refused_and_others_stay(self):
        first, second = self.open("a"), self.open("a")
        response = self.daemon.get("/notifications/a")
        self.assertEqual(response.status, 429, response)
        response.problem()
        rest = [self.open(name) for name in ("b", "c", "d")]
        response = self.daemon.get("/notifications/e")
        self.assertEqual(response.status, 503, response)
        response.problem()
        self.daemon.notify(broadcast=True, data="x")
        for stream in (first, second, *rest):
            self.assertEqual(stream.next().data, "x")
        first.close()
        self.daemon.wait_streams("a", 1)
        self.open("a")


if __name__ == "__main__":
    main()
