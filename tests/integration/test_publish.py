"""POST /notify: targets, fields, batches, and every way of getting it wrong."""
import json

from harness import TIMES, ID, TestCase, main, wait_for

BIG = "123456789012345678901234567890.000100E+40"


def encode(**fields):
    return json.dumps(fields).encode()


class Fields(TestCase):
    def post(self, text, **options):
        return self.daemon.post(text if isinstance(text, bytes) else text.encode(), **options)

    def publish(self, text):
        response = self.post(text)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def received(self, data_text):
        """What a client gets for `data_text`, the JSON value of "data" as it is spelled."""
        stream = self.open()
        self.publish(f'{{"user":"{self.user}","data":{data_text}}}')
        try:
            return stream.next().data
        finally:
            stream.close()

    def test_the_answer_has_the_id_and_the_number_of_streams(self):
        response = self.post(encode(user=self.user, data=1))
        self.assertEqual(response.status, 200)
        self.assertEqual(response["Content-Type"], "application/json")
        self.assertEqual(set(response.json()), {"id", "streams"})
        self.assertRegex(response.json()["id"], ID)
        self.assertEqual(response.json()["streams"], 0)
        self.open()
        self.assertEqual(self.publish(encode(user=self.user, data=1))["streams"], 1)

    def test_ids_are_all_different(self):
        ids = [self.daemon.notify(user=self.user, data=n)["id"] for n in range(50)]
        self.assertEqual(len(set(ids)), 50)

    def test_plain_curl_content_type_works(self):
        body = encode(user=self.user, data="x")
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json",
                     "application/json; charset=utf-8"):
            response = self.post(body, headers=[("Content-Type", kind)])
            self.assertEqual(response.status, 200, kind)

    def test_users_is_a_list_and_each_gets_it(self):
        streams = [self.open(name) for name in ("u1", "u2", "u2")]
        answer = self.publish(encode(users=["u1", "u2", "u3"], data="x"))
        self.assertEqual((answer["count"], answer["streams"]), (3, 3))
        self.assertRegex(answer["id"], ID)
        for stream in streams:
            self.assertEqual(stream.next().data, "x")
        self.assertEqual(self.daemon.history("u3")["notifications"][0]["id"], answer["id"])

    def test_default_event_is_notification(self):
        stream = self.open()
        self.publish(encode(user=self.user, data="x"))
        self.assertEqual(stream.next().event, "notification")

    def test_event_names_may_be_any_utf8(self):
        stream = self.open()
        for name in ("build", "a b", "é", "x" * 128, "a:b", "Gap", "message"):
            self.publish(encode(user=self.user, event=name, data="x"))
            self.assertEqual(stream.next().event, name)

    def test_exactly_one_target(self):
        for fields in ({}, {"user": "a", "topic": "b"}, {"user": "a", "users": ["b"]},
                       {"topic": "a", "broadcast": True}):
            with self.subTest(fields):
                detail = self.assert_problem(self.post(encode(data=1, **fields)), 400)
                for name in ("user", "users", "topic", "broadcast"):
                    self.assertIn(name, detail)

    def test_wrong_values_are_refused_naming_the_field(self):
        for fields in ({"user": ""}, {"user": 5}, {"user": None}, {"user": "a\nb"},
                       {"user": "x" * 257}, {"user": "a\u0000"}, {"user": ["a"]}, {"users": []},
                       {"users": "a"}, {"users": ["a", ""]}, {"users": ["a", 1]}, {"topic": ""},
                       {"topic": "a\tb"}, {"topic": 1}, {"topic": "x" * 257},
                       {"broadcast": False}, {"broadcast": "true"}, {"broadcast": 1}):
            with self.subTest(fields):
                self.assert_problem(self.post(encode(data=1, **fields)), 400, *fields)
        for fields in ({"event": ""}, {"event": 1}, {"event": "x" * 129}, {"event": "a\nb"},
                       {"event": "a\u0000b"}, {"event": None}, {"ttl": -1}, {"ttl": "5"},
                       {"ttl": True}, {"collapse_key": 5}, {"collapse_key": ["a"]},
                       {"collapse_key": "x" * 5000}, {"idempotency_key": 5},
                       {"idempotency_key": "x" * 5000}):
            with self.subTest(fields):
                self.assert_problem(self.post(encode(user="u", data=1, **fields)), 400, *fields)

    def test_reserved_event_names_are_refused(self):
        for name in ("gap", "bye", "retract", "ping"):
            self.assert_problem(self.post(encode(user="u", event=name, data=1)), 400, "event", name)

    def test_data_is_required(self):
        self.assert_problem(self.post(encode(user="u")), 400, "data")

    def test_an_unknown_field_is_named(self):
        self.assert_problem(self.post(encode(user="u", data=1, colour="red")), 400, "colour")
        self.assert_problem(self.post(encode(user="u", data=1, Event="x")), 400, "Event")

    def test_a_repeated_field_is_refused(self):
        self.assert_problem(self.post('{"user":"a","user":"b","data":1}'), 400, "user")
        self.assert_problem(self.post('{"user":"a","data":1,"d\\u0061ta":2}'), 400, "data")

    def test_escaped_field_names_and_values_are_understood(self):
        stream = self.open("Zo%C3%AB")
        self.publish('{"us\\u0065r":"Zo\\u00eb","data":"1"}')
        self.assertEqual(stream.next().data, "1")

    def test_something_else_than_an_object_is_refused(self):
        for text in ("5", '"x"', "null", "true"):
            with self.subTest(text):
                self.assert_problem(self.post(text), 400)

    def test_bad_json_is_refused_with_the_byte_offset(self):
        for text, offset in (('{"user":"a",}', 12), ('{"user" "a"}', 8), ('{"a":01}', 6), ("", 0),
                             ("{", 1), ('{"user":"a"', 11), ('{"data":"\x01"}', 9), ("  [}", 3),
                             ('{"data":1}x', 10), ('{"é":tru}', 9), ("{'a':1}", 1),
                             ('{"a":"\\x"}', 7), ('{"a":1.}', 7), ('{"a":+1}', 5)):
            with self.subTest(text):
                detail = self.assert_problem(self.post(text.encode()), 400)
                self.assertRegex(detail, rf"byte (offset )?{offset}\b")

    def test_bytes_that_are_not_utf8_are_refused_with_the_byte_offset(self):
        response = self.post(b'{"user":"a","data":"\xff"}')
        self.assertRegex(self.assert_problem(response, 400), r"byte (offset )?20\b")

    def test_a_byte_order_mark_is_not_json(self):
        self.assert_problem(self.post(b"\xef\xbb\xbf{}"), 400, "0")

    def test_a_refused_request_sends_nothing(self):
        stream = self.open()
        self.post(encode(user=self.user, data="no", colour=1))
        self.post(f'{{"user":"{self.user}","data":"no"}}]')
        stream.expect_quiet(self.daemon, self.user)
        history = self.daemon.history(self.user)["notifications"]
        self.assertEqual([n for n in history if n["data"] == "no"], [])

    # -- data --

    def test_strings_go_as_they_are_with_escapes_undone(self):
        for spelled, got in (('"plain"', "plain"), (r'"a\"b\\c\/d"', 'a"b\\c/d'),
                             (r'"\u00e9\ud83d\udd14"', "é🔔"), (r'"\t\b\f"', "\t\b\f"),
                             (r'"a\u0000b"', "a\0b"), ('""', ""), ('"é🔔"', "é🔔")):
            with self.subTest(spelled):
                self.assertEqual(self.received(spelled), got)

    def test_everything_else_is_compact_and_otherwise_byte_for_byte(self):
        for spelled in (BIG, "-0", "1.10", "1E400", "0.1e-7", "12345678901234567890", "null",
                        "true", "false", "[]", "{}", '{"a":1,"a":2}', r'["\u00e9\/\u0000","é"]',
                        r'"\ud800"'.join("[]"), '{"b":1,"a":2}', "[[[[1.000]]]]",
                        '{"":""}', '[" a  b "]'):
            with self.subTest(spelled):
                self.assertEqual(self.received(spelled), spelled)

    def test_white_space_outside_strings_goes(self):
        self.assertEqual(self.received('{ "a b" :\t[ 1 ,\r\n 2.0 ] , "c" : " d\\n " }'),
                         '{"a b":[1,2.0],"c":" d\\n "}')

    def test_half_a_surrogate_in_a_string_is_refused(self):
        for text in (r'"\ud800"', r'"a\udc00b"', r'"\ud800\ud800"'):
            with self.subTest(text):
                response = self.post(f'{{"user":"u","data":{text}}}')
                self.assert_problem(response, 400, "data")

    def test_deep_nesting_is_refused_and_some_is_fine(self):
        deep = "[" * 60 + "]" * 60
        self.assertEqual(self.received(deep), deep)
        for text in ("[" * 100000, "[" * 30000 + "]" * 30000, '{"a":' * 10000):
            response = self.post(f'{{"user":"u","data":{text}}}')
            self.assert_problem(response, 400, "deep" if "]" in text else "")

    def test_many_small_values_are_whole(self):
        text = "[" + ",".join(str(n) for n in range(5000)) + "]"
        self.assertEqual(self.received(text), text)


class Keeping(TestCase):
    def kept(self):
        return [n["data"] for n in self.daemon.history(self.user)["notifications"]]

    def test_ttl_zero_reaches_the_connected_and_is_not_kept(self):
        stream = self.open()
        start = stream.start_id
        self.daemon.notify(user=self.user, data="now", ttl=0)
        self.daemon.notify(user=self.user, data="kept")
        self.assertEqual(stream.take(2), ["now", "kept"])
        self.assertEqual(self.kept(), ["kept"])
        self.assertEqual(self.open(last_event_id=start).next().data, "kept")

    def test_ttl_runs_out(self):
        self.daemon.notify(user=self.user, data="short", ttl=1)
        self.daemon.notify(user=self.user, data="long", ttl=3600)
        self.daemon.notify(user=self.user, data="default")
        wait_for(lambda: self.kept() == ["long", "default"], "the end of the short one")

        def replayed():
            with self.daemon.stream(f"{self.user}?last_event_id=earliest") as stream:
                return stream.take(2)

        wait_for(lambda: replayed() == ["long", "default"], "the same of what is replayed")

    def test_a_newer_one_with_the_same_collapse_key_replaces_the_kept_one(self):
        for n in range(4):
            self.daemon.notify(user=self.user, data=f"score {n}", collapse_key="score")
        self.daemon.notify(user=self.user, data="other", collapse_key="other")
        self.daemon.notify(user=self.user, data="none")
        self.assertEqual(self.kept(), ["score 3", "other", "none"])
        stream = self.open(f"{self.user}?last_event_id=earliest")
        self.assertEqual(stream.take(3), ["score 3", "other", "none"])

    def test_a_collapse_key_is_of_its_user(self):
        self.daemon.notify(user=self.user, data="mine", collapse_key="k")
        self.daemon.notify(user="other-user", data="theirs", collapse_key="k")
        self.assertEqual(self.kept(), ["mine"])

    def test_collapsing_is_no_loss_and_gives_no_gap(self):
        start = self.open().start_id
        for n in range(5):
            self.daemon.notify(user=self.user, data=f"{n}", collapse_key="k")
        self.assertEqual(self.open(last_event_id=start).next(),
                         (self.daemon.history(self.user)["notifications"][0]["id"],
                          "notification", "4"))


class Collapse(TestCase):
    options = ("streams.queue=2000",)

    def test_a_queued_one_is_replaced_by_the_newer(self):
        slow = self.open(rcvbuf=4096)
        for n in range(600):  # fills the socket, and then the queue
            self.daemon.notify(user=self.user, data=f"{n}:" + "z" * 16000, ttl=0)
        for n in range(200):
            self.daemon.notify(user=self.user, data=f"{n}", event="score", collapse_key="score")
        self.daemon.notify(user=self.user, data="end", event="end")
        scores = []
        while (event := slow.next()).event != "end":
            if event.event == "score":
                scores.append(event.data)
        self.assertEqual(scores, ["199"])


class Idempotency(TestCase):
    def test_a_repeat_answers_with_the_first_id_and_sends_nothing(self):
        stream = self.open()
        first = self.daemon.notify(user=self.user, data="1", idempotency_key=f"{self.user}-a")
        again = self.daemon.notify(user=self.user, data="1", idempotency_key=f"{self.user}-a")
        self.assertNotIn("duplicate", first)
        self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
        self.assertEqual(stream.next().data, "1")
        stream.expect_quiet(self.daemon, self.user)

    def test_the_header_is_a_key_likewise(self):
        body, key = encode(user=self.user, data="1"), [("Idempotency-Key", f"{self.user}-h")]
        first = self.daemon.post(body, key).json()
        again = self.daemon.post(body, key).json()
        self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
        named = self.daemon.notify(user=self.user, data="1", idempotency_key=f"{self.user}-h")
        self.assertTrue(named["duplicate"])

    def test_other_keys_are_other_notifications(self):
        keys = [f"{self.user}-{n}" for n in range(20)]
        ids = {self.daemon.notify(user=self.user, data="1", idempotency_key=key)["id"]
               for key in keys}
        self.assertEqual(len(ids), 20)

    def test_a_refused_request_does_not_use_up_its_key(self):
        key = f"{self.user}-r"
        self.assertEqual(self.daemon.post(encode(user=self.user, idempotency_key=key)).status, 400)
        self.assertNotIn("duplicate",
                         self.daemon.notify(user=self.user, data=1, idempotency_key=key))

    def test_a_repeat_of_a_list_of_users_sends_nothing_again(self):
        stream = self.open("list2")
        for expected in (None, True):
            answer = self.daemon.notify(users=["list1", "list2"], data="x", idempotency_key="list")
            self.assertEqual(answer.get("duplicate"), expected)
        self.assertEqual(stream.next().data, "x")
        stream.expect_quiet(self.daemon, "list2")


class Batches(TestCase):
    ndjson = [("Content-Type", "application/x-ndjson")]

    def results(self, body, headers=()):
        response = self.daemon.post(body, headers)
        self.assertEqual(response.status, 200, response)
        return response.json()["results"]

    def check_mixed(self, results):
        """Three items, of which the second is wrong."""
        self.assertEqual(len(results), 3)
        self.assertRegex(results[0]["id"], ID)
        self.assertEqual(results[1]["error"]["status"], 400)
        self.assertIn("colour", results[1]["error"]["detail"])
        self.assertEqual(set(results[1]["error"]), {"type", "title", "status", "detail"})
        self.assertRegex(results[2]["id"], ID)

    def items(self):
        return [{"user": self.user, "data": 1}, {"user": self.user, "data": 2, "colour": "red"},
                {"user": self.user, "data": 3}]

    def test_an_array_is_a_batch_each_on_its_own_in_order(self):
        stream = self.open()
        self.check_mixed(self.results(json.dumps(self.items()).encode()))
        self.assertEqual(stream.take(2), ["1", "3"])

    def test_ndjson_is_a_batch_each_on_its_own_in_order(self):
        stream = self.open()
        body = "\n".join(json.dumps(item) for item in self.items()) + "\n"
        self.check_mixed(self.results(body.encode(), self.ndjson))
        self.assertEqual(stream.take(2), ["1", "3"])

    def test_ndjson_lines_may_end_in_crlf_be_blank_or_lack_the_last_end(self):
        one = json.dumps({"user": self.user, "data": 1})
        for body in (one, f"{one}\r\n{one}\r\n", f"{one}\n\n{one}", f"\n{one}\n"):
            with self.subTest(body):
                results = self.results(body.encode(), self.ndjson)
                self.assertEqual(len(results), body.count("user"))
                self.assertTrue(all("id" in r for r in results), results)

    def test_a_broken_ndjson_line_costs_that_line_only(self):
        one = json.dumps({"user": self.user, "data": 1})
        results = self.results(f'{one}\n{{"user":}}\n{one}\n'.encode(), self.ndjson)
        self.assertEqual(["id" in r for r in results], [True, False, True])
        self.assertEqual(results[1]["error"]["status"], 400)

    def test_an_array_that_is_not_json_is_refused_as_a_whole(self):
        stream = self.open()
        body = json.dumps(self.items())[:-1].encode()
        detail = self.assert_problem(self.daemon.post(body), 400)
        self.assertIn(str(len(body)), detail)
        stream.expect_quiet(self.daemon, self.user)

    def test_items_that_are_no_objects_are_errors_of_their_own(self):
        results = self.results(b'[5, "x", [], {"user":"u","data":1}]')
        self.assertEqual(["error" in r for r in results], [True, True, True, False])

    def test_an_empty_batch_has_no_results(self):
        self.assertEqual(self.results(b"[]"), [])

    def test_a_large_batch_is_delivered_whole_and_in_order(self):
        stream = self.open()
        items = [{"user": self.user, "data": n} for n in range(1000)]
        results = self.results(json.dumps(items).encode())
        self.assertEqual(len({r["id"] for r in results}), 1000)
        self.assertEqual(stream.take(1000), [str(n) for n in range(1000)])

    def test_a_batch_that_is_too_large_is_refused_as_a_whole(self):
        stream = self.open()
        items = [{"user": self.user, "data": n} for n in range(1001)]
        ndjson = "\n".join(json.dumps(item) for item in items).encode()
        self.assert_problem(self.daemon.post(json.dumps(items).encode()), 413, "1000")
        self.assert_problem(self.daemon.post(ndjson, self.ndjson), 413, "1000")
        stream.expect_quiet(self.daemon, self.user)

    def test_idempotency_in_a_batch_is_by_item(self):
        item = {"user": self.user, "data": 1, "idempotency_key": f"{self.user}-k"}
        results = self.results(json.dumps([item, item, {"user": self.user, "data": 2}]).encode())
        self.assertEqual([r.get("duplicate", False) for r in results], [False, True, False])
        self.assertEqual(results[0]["id"], results[1]["id"])

    def test_numbers_in_a_batch_keep_their_spelling(self):
        stream = self.open()
        self.results(f'[ {{"user":"{self.user}","data": [ {BIG} ] }} ]'.encode())
        self.assertEqual(stream.next().data, f"[{BIG}]")

    def test_an_item_over_max_payload_is_its_own_413(self):
        items = [{"user": self.user, "data": "x" * 70000}, {"user": self.user, "data": 1}]
        results = self.results(json.dumps(items).encode())
        self.assertEqual(results[0]["error"]["status"], 413)
        self.assertIn("id", results[1])


class Sizes(TestCase):
    options = ("publish.max_payload=1KiB", "publish.max_body=8KiB")

    def test_max_payload_is_allowed_and_one_more_is_413(self):
        stream = self.open()
        self.daemon.notify(user=self.user, data="x" * 1024)
        self.assertEqual(len(stream.next().data), 1024)
        response = self.daemon.post(encode(user=self.user, data="x" * 1025))
        self.assert_problem(response, 413, "max_payload")

    def test_white_space_does_not_count_for_the_payload(self):
        stream = self.open()
        data = "[" + " " * 3000 + "1]"
        response = self.daemon.post(f'{{"user":"{self.user}","data":{data}}}'.encode())
        self.assertEqual(response.status, 200, response)
        self.assertEqual(stream.next().data, "[1]")

    def test_a_body_over_max_body_is_413_naming_the_limit(self):
        response = self.daemon.post(b" " * 8193)
        self.assert_problem(response, 413, "8192")

    def test_a_body_announced_too_large_is_refused_before_it_is_sent(self):
        http = self.connect()
        http.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n")
        self.assert_problem(http.read_response(), 413)
        self.assertTrue(http.is_closed())

    def test_a_chunked_body_over_the_limit_is_413(self):
        http = self.connect()
        http.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        http.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        http.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        http.send(b"1\r\n \r\n")
        self.assert_problem(http.read_response(), 413)

    def test_expecting_100_with_too_large_a_body_is_answered_at_once(self):
        http = self.connect()
        http.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        head = http.read_head()
        self.assertTrue(head.startswith(b"HTTP/1.1 413 "), head)


class Bodies(TestCase):
    def test_a_chunked_body_is_put_together(self):
        stream = self.open()
        body = encode(user=self.user, data="chunked")
        http = self.connect()
        http.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 7):
            piece = body[at:at + 7]
            http.send_in_pieces(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece), 3)
        http.send(b"0\r\nTrailer: x\r\n\r\n")
        self.assertEqual(http.read_response().status, 200)
        self.assertEqual(stream.next().data, "chunked")
        http.send_request("GET", "/healthz")
        self.assertEqual(http.read_response().status, 200)

    def test_expect_100_continue_is_answered_before_the_body(self):
        body = encode(user=self.user, data="waited")
        http = self.connect()
        http.send_request("POST", "/notify", None, [("Content-Length", len(body)),
                                                    ("Expect", "100-continue")])
        self.assertEqual(http.read_head(), b"HTTP/1.1 100 Continue\r\n\r\n")
        http.send(body)
        self.assertEqual(http.read_response().status, 200)

    def test_other_expectations_are_417(self):
        http = self.connect()
        http.send_request("POST", "/notify", b"{}", [("Expect", "the-unexpected")])
        self.assertEqual(http.read_response().status, 417)


class Origins(TestCase):
    options = ("http.allowed_origins=https://app.example.com https://*.example.org",)

    def test_a_page_of_another_origin_may_not_publish(self):
        body = encode(user=self.user, data=1)
        for origin in ("https://evil.example", "null", "https://app.example.com.evil.example",
                       "http://app.example.com"):
            response = self.daemon.post(body, [("Origin", origin)])
            self.assert_problem(response, 403)
            self.assertIsNone(response["Access-Control-Allow-Origin"])

    def test_an_allowed_origin_may(self):
        body = encode(user=self.user, data=1)
        for origin in ("https://app.example.com", "https://a.example.org"):
            response = self.daemon.post(body, [("Origin", origin)])
            self.assertEqual(response.status, 200, origin)
            self.assertEqual(response["Access-Control-Allow-Origin"], origin)


class Window(TestCase):
    options = ("publish.idempotency_window=1s",)

    def test_a_key_is_forgotten_after_the_window(self):
        first = self.daemon.notify(user=self.user, data=1, idempotency_key="k")["id"]
        wait_for(lambda: self.daemon.notify(user=self.user, data=1, idempotency_key="k")["id"]
                 != first, "the end of the window", 20 * TIMES)


if __name__ == "__main__":
    main()
