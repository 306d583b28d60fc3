"""HTTP/1.1 as it goes over the wire: framing, limits, refusals."""
import json

from harness import DEADLINE, TIMES, TestCase, main

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Framing(TestCase):
    def ok(self, http):
        response = http.read_response()
        self.assertEqual((response.status, response.json()), (200, {"status": "ok"}))
        return response

    def test_a_request_in_single_bytes(self):
        http = self.connect()
        http.send_in_pieces(GET)
        self.ok(http)

    def test_a_post_in_single_bytes(self):
        stream = self.open()
        body = json.dumps({"user": self.user, "data": "slowly"}).encode()
        http = self.connect()
        http.send_in_pieces(b"POST /notify HTTP/1.1\r\nHost: localhost\r\n"
                            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.assertEqual(http.read_response().status, 200)
        self.assertEqual(stream.next().data, "slowly")

    def test_a_stream_request_in_single_bytes(self):
        http = self.connect()
        http.send_in_pieces(f"GET /notifications/{self.user} HTTP/1.1\r\n"
                            "Host: localhost\r\n\r\n".encode())
        self.assertTrue(http.read_head().startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_keep_alive_serves_many_requests(self):
        http = self.connect()
        for _ in range(50):
            http.send(GET)
            self.assertIsNone(self.ok(http)["Connection"])

    def test_a_hundred_pipelined_requests_are_answered_in_order(self):
        http = self.connect()
        for n in range(100):
            http.send_request("GET", f"/users/pipelined{n}" if n % 3 else "/healthz")
        for n in range(100):
            response = http.read_response()
            self.assertEqual(response.status, 200)
            self.assertEqual(response.json().get("user"), f"pipelined{n}" if n % 3 else None)

    def test_pipelined_posts_act_in_order(self):
        stream = self.open()
        bodies = [json.dumps({"user": self.user, "data": f"{n}"}).encode() for n in range(100)]
        request = b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
        http = self.connect()
        http.send(b"".join(request % (len(body), body) for body in bodies))
        for _ in bodies:
            self.assertEqual(http.read_response().status, 200)
        self.assertEqual(stream.take(100), [f"{n}" for n in range(100)])

    def test_requests_pipelined_before_a_stream_are_answered_first(self):
        http = self.connect()
        http.send(GET + GET)
        http.send_request("GET", f"/notifications/{self.user}")
        self.ok(http)
        self.ok(http)
        self.assertIn(b"text/event-stream", http.read_head())

    def test_a_pipeline_that_is_not_read_does_not_grow_without_bound(self):
        http = self.connect(rcvbuf=4096)
        http.sock.settimeout(2)
        sent = 0
        try:
            for _ in range(4000):
                sent += http.sock.send(GET * 200)
        except TimeoutError:
            pass  # the daemon stopped reading: that is the bound
        else:
            self.fail(f"it took {sent} bytes of requests with no answer read")
        self.assertEqual(self.daemon.get("/healthz").status, 200)

    def test_blank_lines_before_a_request_are_skipped(self):
        http = self.connect()
        http.send(b"\r\n\r\n" + GET)
        self.ok(http)

    def test_a_half_closed_client_gets_its_answer(self):
        http = self.connect()
        http.send(GET)
        http.sock.shutdown(1)
        self.ok(http)
        self.assertTrue(http.is_closed())

    def test_connection_close_closes(self):
        http = self.connect()
        http.send_request("GET", "/healthz", headers=[("Connection", "close")])
        self.assertEqual(self.ok(http)["Connection"], "close")
        self.assertTrue(http.is_closed())

    def test_http_1_0_closes_unless_asked(self):
        http = self.connect()
        http.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertEqual(http.read_response().status, 200)
        self.assertTrue(http.is_closed())
        http = self.connect()
        for _ in range(2):
            http.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            self.assertEqual(http.read_response()["Connection"].lower(), "keep-alive")

    def test_absolute_form_is_understood(self):
        http = self.connect()
        http.send_request("GET", "http://localhost/healthz?x=1")
        self.ok(http)

    def test_answers_are_not_cached_nor_sniffed(self):
        response = self.daemon.get("/healthz")
        self.assertEqual(response["Cache-Control"], "no-store")
        self.assertEqual(response["X-Content-Type-Options"], "nosniff")
        self.assertIsNotNone(response["Date"])

    def test_upgrade_is_ignored(self):
        http = self.connect()
        http.send_request("GET", "/healthz", headers=[("Connection", "Upgrade"),
                                                      ("Upgrade", "websocket")])
        self.ok(http)


class Routing(TestCase):
    def test_unknown_paths_are_404(self):
        for path in ("/", "/x", "/notify/", "/notifications", "/notifications/a/b/c", "/usersx/a",
                     "/healthz/x", "//healthz", "/users/a/streams/1/2"):
            with self.subTest(path):
                self.assert_problem(self.daemon.get(path), 404)

    def test_wrong_methods_are_405_with_allow(self):
        for method, path, allowed in (("GET", "/notify", {"POST", "OPTIONS"}),
                                      ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
                                      ("PUT", "/notify", {"POST", "OPTIONS"}),
                                      ("PATCH", "/stats", {"GET", "HEAD", "OPTIONS"}),
                                      ("POST", "/notifications/u", {"GET", "HEAD", "OPTIONS"})):
            with self.subTest((method, path)):
                response = self.daemon.request(method, path, b"")
                self.assert_problem(response, 405)
                self.assertEqual(set(response["Allow"].split(", ")), allowed)

    def test_head_answers_as_get_with_no_body(self):
        for path in ("/healthz", "/readyz", "/users/a", "/notifications/a/history", "/nowhere"):
            with self.subTest(path), self.daemon.connect() as http:
                http.send_request("HEAD", path)
                head = http.read_response(is_head=True)
                http.send_request("GET", path)
                get = http.read_response()
                for name in ("Content-Type", "Content-Length"):
                    self.assertEqual(head[name], get[name], name)
                self.assertEqual(head.status, get.status)

    def test_options_lists_the_methods(self):
        response = self.daemon.request("OPTIONS", "/notify")
        self.assertEqual(response.status, 204)
        self.assertEqual(set(response["Allow"].split(", ")), {"POST", "OPTIONS"})
        self.assertEqual(self.daemon.request("OPTIONS", "*").status // 100, 2)

    def test_connect_is_refused(self):
        http = self.connect()
        http.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        self.assertIn(http.read_response().status, (400, 405, 501))

    def test_unknown_methods_are_refused(self):
        http = self.connect()
        http.send_request("BREW", "/notify")
        self.assertIn(http.read_response().status, (400, 405, 501))

    def test_what_no_target_may_hold_is_found_wherever_it_stands(self):
        for at in range(1, 20):
            for odd in ("#", "%zz", "%", "%a"):
                path = f"/{'a' * at}{odd}{'z' * (20 - at)}"
                self.assertEqual(self.daemon.get(path).status, 400, path)

    def test_percent_escapes_in_a_path(self):
        self.assertEqual(self.daemon.get("/health%7A").status, 200)  # RFC 3986 6.2.2.2
        for path in ("/users/%", "/users/%4", "/users/%zz"):
            self.assert_problem(self.daemon.get(path), 400)
        self.assertEqual(self.daemon.get("/users/a%2Fb").json()["user"], "a/b")


class Cors(TestCase):
    origin = "https://app.example.com"
    options = ("http.allowed_origins=https://app.example.com",)

    def preflight(self, origin, path="/notifications/u", method="GET"):
        return self.daemon.request("OPTIONS", path, headers=[
            ("Origin", origin), ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", "authorization, last-event-id")])

    def test_a_preflight_of_an_allowed_origin(self):
        response = self.preflight(self.origin)
        self.assertEqual(response.status, 204, response)
        self.assertEqual(response["Access-Control-Allow-Origin"], self.origin)
        self.assertIn("GET", response["Access-Control-Allow-Methods"])
        headers = response["Access-Control-Allow-Headers"].lower()
        self.assertIn("last-event-id", headers)
        self.assertIn("authorization", headers)
        self.assertIn("Origin", response["Vary"])

    def test_a_preflight_of_another_origin_allows_nothing(self):
        response = self.preflight("https://evil.example")
        self.assertIsNone(response["Access-Control-Allow-Origin"])

    def test_a_stream_names_the_allowed_origin(self):
        stream = self.open(headers=[("Origin", self.origin)])
        self.assertEqual(stream.head["Access-Control-Allow-Origin"], self.origin)

    def test_errors_too_can_be_read_by_an_allowed_page(self):
        response = self.daemon.get("/notifications/%ff", [("Origin", self.origin)])
        self.assertEqual(response.status, 400)
        self.assertEqual(response["Access-Control-Allow-Origin"], self.origin)


class Refusals(TestCase):
    """Each is refused clearly, before anything acts on it, and the connection ends."""

    def refused(self, raw, *statuses):
        http = self.connect()
        http.send(raw)
        response = http.read_response()
        self.assertIn(response.status, statuses, (raw, response))
        response.problem()
        self.assertEqual(response["Connection"], "close", raw)
        rest = http.read_to_end()
        self.assertEqual(rest, b"", raw)

    def test_smuggling_attempts(self):
        post, body = b"POST /notify HTTP/1.1\r\nHost: localhost\r\n", b"0\r\n\r\n" + GET
        for headers in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                        b"Content-Length: 5\r\nContent-Length: 6\r\n",
                        b"Content-Length: 5, 6\r\n", b"Content-Length: +5\r\n",
                        b"Content-Length: 5 5\r\n", b"Content-Length: 0x5\r\n",
                        b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999999\r\n",
                        b"Content-Length:\r\n",
                        b"Transfer-Encoding: chunked, identity\r\n",
                        b"Transfer-Encoding: xchunked\r\n",
                        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                        b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: \x0bchunked\r\n",
                        b"X: y\r\n Transfer-Encoding: chunked\r\n",
                        b"X: y\rTransfer-Encoding: chunked\r\n",
                        b"X: y\nContent-Length: 5\r\n", b"Content-Length: 5\r\n\tfolded\r\n",
                        b": nameless\r\n", b"A b: c\r\n", b"A: b\0c\r\n"):
            with self.subTest(headers):
                self.refused(post + headers + b"\r\n" + body, 400, 501)

    def test_transfer_encoding_with_http_1_0(self):
        self.refused(b"POST /notify HTTP/1.0\r\nHost: localhost\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)

    def test_bad_chunks(self):
        post = b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        for body in (b"zz\r\n", b"-1\r\n", b"0x5\r\nhello\r\n", b"5\r\nhelloX\r\n",
                     b"5\nhello\r\n", b"ffffffffffffffffff\r\n", b" 5\r\nhello\r\n"):
            with self.subTest(body):
                self.refused(post + body, 400, 413)

    def test_bad_request_lines(self):
        for line in (b"GET  /healthz HTTP/1.1", b"GET /healthz HTTP/1.1 x", b"GET /healthz",
                     b"GET /heal\x00thz HTTP/1.1", b"GET /heal\x7fthz HTTP/1.1",
                     b" GET /healthz HTTP/1.1", b"get /healthz HTTP/1.1", b"GET healthz HTTP/1.1",
                     b"GET /a b HTTP/1.1", b"GET\t/healthz HTTP/1.1", b"GET /healthz HTTP/11"):
            with self.subTest(line):
                self.refused(line + b"\r\nHost: localhost\r\n\r\n", 400, 501, 505)

    def test_other_versions_are_505(self):
        for version in (b"2.0", b"1.2", b"0.9", b"3.0"):
            with self.subTest(version):
                self.refused(b"GET /healthz HTTP/" + version + b"\r\nHost: localhost\r\n\r\n",
                             400, 505)

    def test_the_http2_preface_is_refused(self):
        http = self.connect()
        http.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertEqual(http.read_response().status, 505)

    def test_host_must_be_there_once(self):
        self.refused(b"GET /healthz HTTP/1.1\r\n\r\n", 400)
        self.refused(b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400)

    def test_tls_on_a_plain_port(self):
        http = self.connect()
        http.send(bytes.fromhex("16030100c8010000c40303") + b"\0" * 40)
        http.read_to_end()
        self.assertEqual(self.daemon.get("/healthz").status, 200)

    def test_garbage_and_vanishing_leave_the_daemon_well(self):
        for raw in (b"\0" * 100, b"\xff" * 5000, b"G", b"GET /healthz HTTP/1.1\r\nHost",
                    b"\r\n" * 50,
                    b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"):
            http = self.connect()
            http.send(raw)
            http.reset()
        self.assertEqual(self.daemon.get("/healthz").status, 200)


class Limits(TestCase):
    options = ("http.header_timeout=1s", "http.body_timeout=1s", "http.idle_timeout=1s",
               "http.max_header=4KiB", "publish.max_body=64KiB")

    def test_a_long_target_is_414(self):
        self.assert_problem(self.daemon.get("/notifications/" + "x" * 5000), 414, "4096")

    def test_many_header_bytes_are_431(self):
        response = self.daemon.get("/healthz", [(f"X-{n}", "y" * 100) for n in range(60)])
        self.assert_problem(response, 431, "4096")
        self.assert_problem(self.daemon.get("/healthz", [("X", "y" * 5000)]), 431)

    def test_many_header_fields_are_431(self):
        response = self.daemon.get("/healthz", [("A", "b")] * 400)
        self.assert_problem(response, 431)

    def test_an_endless_header_is_cut_off(self):
        http = self.connect()
        http.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        try:
            for _ in range(2000):
                http.send(b"y" * 4096)
        except (ConnectionError, TimeoutError):
            return
        self.assertIn(http.read_response().status, (431,))

    def test_headers_of_just_under_the_limit_pass(self):
        self.assertEqual(self.daemon.get("/healthz", [("X", "y" * 3800)]).status, 200)

    def test_a_slow_header_is_408(self):
        http = self.connect()
        http.send(b"GET /healthz HTTP/1.1\r\nHo")
        response = http.read_response(seconds=10 * TIMES)
        self.assert_problem(response, 408, "head")
        self.assertTrue(http.is_closed())

    def test_dribbling_bytes_does_not_extend_the_header_time(self):
        http = self.connect()
        http.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        http.sock.settimeout(0.05)
        try:
            for n in range(400):
                http.send(b"X: y\r\n" if n % 2 else b"Y: z\r\n")
                try:
                    if not http.sock.recv(1, 2):  # MSG_PEEK
                        break
                except TimeoutError:
                    continue
                break
            else:
                self.fail("400 lines at 50 ms were let through")
        except ConnectionError:
            pass

    def test_a_slow_body_is_408(self):
        http = self.connect()
        http.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        response = http.read_response(seconds=10 * TIMES)
        self.assert_problem(response, 408, "body")

    def test_an_idle_connection_is_closed_without_a_word(self):
        http = self.connect()
        self.assertTrue(http.is_closed(seconds=10 * TIMES))
        http = self.connect()
        http.send(GET)
        self.assertEqual(http.read_response().status, 200)
        self.assertTrue(http.is_closed(seconds=10 * TIMES))

    def test_the_answer_to_a_large_body_arrives_although_it_is_still_being_sent(self):
        http = self.connect()
        http.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n")
        try:
            http.send(b"x" * 200000)
        except ConnectionError:
            pass
        self.assert_problem(http.read_response(), 413)

    def test_timeouts_do_not_touch_streams(self):
        stream = self.open()
        http = self.connect()
        self.assertTrue(http.is_closed(seconds=10 * TIMES))  # the idle time has passed
        self.daemon.notify(user=self.user, data="still here")
        self.assertEqual(stream.next(seconds=DEADLINE).data, "still here")


if __name__ == "__main__":
    main()
