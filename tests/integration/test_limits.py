"""Who is let in, and how much of it: names of the server, proxies and what they say of clients,
rates, descriptors, memory."""
import json
import pathlib
import signal
import socket
import struct
import time

from harness import TIMES, Http, OneDaemonATest, main, quote, run, wait_for


def get(daemon, host, target="/healthz", headers="", version="1.1", port=None):
    """One request with that Host; None leaves it out."""
    line = "" if host is None else f"Host: {host}\r\n"
    with Http(port or daemon.port) as http:
        http.send(f"GET {target} HTTP/{version}\r\n{line}{headers}"
                  "Connection: close\r\n\r\n".encode())
        return http.read_response()


def port_of(daemon, listener):
    address = daemon.wait_log("listening", listener=listener)["address"]
    return int(address.rpartition(":")[2])


# ---- names ----

class Names(OneDaemonATest):
    def test_a_loopback_listener_is_called_by_its_own_names_only(self):
        daemon = self.start()
        for host in ("localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1", "127.9.9.9:1",
                     "[::1]", "[::1]:80"):
            with self.subTest(host):
                self.assertEqual(get(daemon, host).status, 200)
        self.assertEqual(get(daemon, None, version="1.0").status, 200)
        for host in ("evil.example", "evil.example:80", "localhost.evil.example",
                     "127.evil.example", "127.0.0.1.evil.example", "192.0.2.1",
                     "[::2]", "", "xlocalhost", "127."):
            with self.subTest(host):
                response = get(daemon, host)
                self.assert_problem(response, 421, "http.server_names")
        # A page of a rebound name is of the daemon's own origin to its browser.
        response = get(daemon, "evil.example", "/notifications/alice",
                       "Origin: http://evil.example\r\n")
        self.assert_problem(response, 421, "evil.example")
        self.assertIsNone(response["Access-Control-Allow-Origin"])
        self.assertEqual(daemon.stats()["requests_misdirected"], 11)

    def test_names_that_are_set_count_on_every_listener(self):
        daemon = self.start("listener.out.address=0.0.0.0:0", "streams.allow_anonymous=yes",
                            "publish.allow_anonymous=yes",
                            "http.server_names=Notify.example.com *.apps.example.com")
        for port in (daemon.port, port_of(daemon, "out")):
            for host, status in (("notify.example.com", 200), ("notify.EXAMPLE.com:8443", 200),
                                 ("a.b.apps.example.com", 200), ("localhost", 200),
                                 ("apps.example.com", 421), ("example.com", 421),
                                 ("192.0.2.1", 421)):
                with self.subTest(host):
                    self.assertEqual(get(daemon, host, port=port).status, status)

    def test_a_listener_that_others_reach_has_any_name_and_a_star_is_every_name(self):
        daemon = self.start("listener.out.address=0.0.0.0:0", "streams.allow_anonymous=yes",
                            "publish.allow_anonymous=yes")
        self.assertEqual(get(daemon, "any.example", port=port_of(daemon, "out")).status, 200)
        daemon = self.start("http.server_names=*")
        self.assertEqual(get(daemon, "any.example").status, 200)

    def test_a_unix_socket_has_any_name(self):
        path = pathlib.Path(self.scratch()) / "s"
        self.start(f"listener.u.address=unix:{path}")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: any.example\r\n\r\n")
            self.assertIn(b" 200 ", sock.recv(4096))

    def test_names_are_reloaded(self):
        path = pathlib.Path(self.scratch()) / "conf"
        path.write_text("[http]\nserver_names = a.example\n")
        daemon = self.start(arguments=["-c", str(path)])
        self.assertEqual(get(daemon, "a.example").status, 200)
        path.write_text("[http]\nserver_names = b.example\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        self.assertEqual(get(daemon, "a.example").status, 421)
        self.assertEqual(get(daemon, "b.example").status, 200)

    def test_what_is_no_name_is_refused(self):
        for names in ("a.example:80", "https://a.example", "a b/c", "*.", "a.*.example", ".a"):
            with self.subTest(names):
                done = run("check-config", "-o", f"http.server_names={names}")
                self.assertEqual(done.returncode, 2)
                self.assertIn("host names such as", done.stderr)


# ---- proxies ----

class Proxies(OneDaemonATest):
    def peer_of(self, daemon, *headers):
        self.count = getattr(self, "count", 0) + 1
        user = f"{self.user}-{self.count}"
        with daemon.stream(quote(user), headers=headers):
            return daemon.presence(user)["streams"][0]["peer"]

    def test_forwarded_is_believed_where_it_is_chosen(self):
        daemon = self.start("http.trusted_proxies=127.0.0.0/8 10.0.0.0/8",
                            "http.proxy_header=forwarded")
        for value, peer in (("for=203.0.113.5", "203.0.113.5"),
                            ('for=6.6.6.6, for="203.0.113.5:99";proto=https, for=10.1.1.1',
                             "203.0.113.5:99"),
                            ('for=6.6.6.6, For="[2001:db8::1]"', "2001:db8::1"),
                            ('host="x, for=6.6.6.6";for=203.0.113.6', "203.0.113.6")):
            with self.subTest(value):
                self.assertEqual(self.peer_of(daemon, ("Forwarded", value)), peer)
        for value in ("for=unknown", "for=_hidden", "proto=http", "for=203.0.113.5;", "rubbish,",
                      "for=203.0.113.5, for=_x"):
            with self.subTest(value):
                self.assertRegex(self.peer_of(daemon, ("Forwarded", value)), r"\A127\.0\.0\.1:")
        # What a client has sent itself, through a proxy that adds the other header.
        self.assertRegex(self.peer_of(daemon, ("X-Forwarded-For", "6.6.6.6")), r"\A127\.0\.0\.1:")

    def test_only_one_of_the_headers_is_looked_at(self):
        daemon = self.start("http.trusted_proxies=127.0.0.1")
        self.assertRegex(self.peer_of(daemon, ("Forwarded", "for=6.6.6.6")), r"\A127\.0\.0\.1:")
        self.assertEqual(self.peer_of(daemon, ("Forwarded", "for=6.6.6.6"),
                                      ("X-Forwarded-For", "203.0.113.5")), "203.0.113.5")

    def test_forwarded_of_anyone_else_is_nothing(self):
        daemon = self.start("http.trusted_proxies=10.0.0.0/8", "http.proxy_header=forwarded")
        self.assertRegex(self.peer_of(daemon, ("Forwarded", "for=6.6.6.6")), r"\A127\.0\.0\.1:")


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def block(command, family, addresses, extra=b""):
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family,
                                   len(addresses) + len(extra)) + addresses + extra


V1 = b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n"
V2 = block(1, 0x11, socket.inet_aton("203.0.113.5") + socket.inet_aton("10.0.0.1") +
           struct.pack("!HH", 4711, 443), b"\x04\x00\x01x")
V2_IPV6 = block(1, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::1") + bytes(16) +
                struct.pack("!HH", 80, 443))


class ProxyProtocol(OneDaemonATest):
    """Every connection to the listener begins with the header, the harness's own included: they
    come from 127.0.0.1, so another listener is there for the rest."""

    def begin(self, *options):
        daemon = self.start("listener.proxied.address=127.0.0.1:0",
                            "listener.proxied.proxy_protocol=yes",
                            "http.trusted_proxies=127.0.0.1", *options)
        self.port = port_of(daemon, "proxied")
        return daemon

    def send(self, *pieces):
        http = Http(self.port)
        self.addCleanup(http.close)
        for piece in pieces:
            http.send(piece)
        return http

    def peer_of(self, daemon, *header):
        user = f"u{daemon.stats()['streams_opened']}"
        http = self.send(*header, f"GET /notifications/{user} HTTP/1.1\r\nHost: localhost\r\n"
                                  f"\r\n".encode())
        self.assertIn(b" 200 ", http.read_head())
        return wait_for(lambda: daemon.presence(user)["streams"], "the stream")[0]["peer"]

    def test_the_client_of_the_header_is_the_peer(self):
        daemon = self.begin()
        self.assertEqual(self.peer_of(daemon, V1), "203.0.113.5:4711")
        self.assertEqual(self.peer_of(daemon, V2), "203.0.113.5:4711")
        self.assertEqual(self.peer_of(daemon, V2_IPV6), "[2001:db8::1]:80")
        for header in (b"PROXY UNKNOWN\r\n", block(0, 0, b"")):
            self.assertRegex(self.peer_of(daemon, header), r"\A127\.0\.0\.1:")

    def test_it_may_come_in_any_pieces(self):
        daemon = self.begin()
        for header in (V1, V2):
            pieces = [header[i:i + 1] for i in range(len(header))]
            self.assertEqual(self.peer_of(daemon, *pieces), "203.0.113.5:4711")
        http = self.send(V1 + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        for _ in range(3):
            self.assertEqual(http.read_response().status, 200)

    def test_a_limit_by_address_is_the_clients(self):
        daemon = self.begin("streams.max_streams_per_ip=1")
        self.assertEqual(self.peer_of(daemon, V1), "203.0.113.5:4711")
        http = self.send(V1, b"GET /notifications/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assert_problem(http.read_response(), 429, "max_streams_per_ip")
        self.assertEqual(self.peer_of(daemon, V2_IPV6), "[2001:db8::1]:80")

    def test_without_it_the_connection_is_closed(self):
        daemon = self.begin()
        for n, wrong in enumerate((b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                   b"PROXY TCP4 x y 1 2\r\n", SIGNATURE + b"\x31\x11\0\0",
                                   b"PROXY " + b"x" * 200), 1):
            self.assertTrue(self.send(wrong).is_closed())
            self.assertEqual(daemon.stats()["proxy_headers_refused"], n)
        self.send(b"PROX").close()
        wait_for(lambda: daemon.stats()["connections_open"] == 1, "the end of the rest")

    def test_it_is_not_waited_for_longer_than_a_head(self):
        daemon = self.begin("http.header_timeout=300ms")
        for begun in (b"", b"PROXY TCP4", SIGNATURE):
            self.assertTrue(self.send(begun).is_closed())
        self.assertEqual(daemon.stats()["timeouts_header"], 3)

    def test_of_anyone_else_it_is_no_request(self):
        daemon = self.start("listener.default.proxy_protocol=yes",
                            "http.trusted_proxies=10.0.0.0/8")
        with daemon.connect() as http:
            http.send(V1)
            self.assertIn(http.read_response().status, (400, 501))
        self.assertEqual(daemon.get("/healthz").status, 200)

    def test_a_unix_socket_is_believed(self):
        path = pathlib.Path(self.scratch()) / "s"
        daemon = self.start(f"listener.u.address=unix:{path}", "listener.u.proxy_protocol=yes")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(V1 + b"GET /notifications/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b" 200 ", sock.recv(4096))
            self.assertEqual(daemon.presence("a")["streams"][0]["peer"], "203.0.113.5:4711")

    def test_whom_it_is_believed_of_must_be_told(self):
        done = run("check-config", "-o", "listener.default.proxy_protocol=yes")
        self.assertEqual(done.returncode, 2)
        self.assertIn("trusted_proxies", done.stderr)

    def test_idle_connections_of_a_drain_are_closed(self):
        daemon = self.begin("http.header_timeout=1min")
        http = self.send(b"PROXY")
        wait_for(lambda: daemon.stats()["connections_open"] == 2, "the connection")
        daemon.process.send_signal(signal.SIGTERM)
        self.assertTrue(http.is_closed())


# ---- rates ----

class Rates(OneDaemonATest):
    def test_an_address_opens_so_many_streams_a_second(self):
        daemon = self.start("limits.streams_per_second_per_ip=3", "http.trusted_proxies=127.0.0.1")
        mine = [("X-Forwarded-For", "203.0.113.5")]
        # A slow machine may take more than a second for three of them: nine are too many for any.
        answers = []
        https = [self.connect(daemon) for _ in range(9)]
        for http in https:
            http.send_request("GET", f"/notifications/{self.user}", headers=mine)
        for http in https:
            head = http.read_head()
            answers.append(int(head.split(b" ")[1]))
        self.assertGreaterEqual(answers.count(200), 3)
        self.assertIn(429, answers)
        response = daemon.get("/notifications/x", mine)
        self.assert_problem(response, 429, "streams_per_second_per_ip")
        self.assertEqual(response["Retry-After"], "2")
        self.open(daemon=daemon)  # of another address
        refused = answers.count(429) + 1
        self.assertEqual(daemon.stats()["streams_refused_by_rate"], refused)
        self.assertIn(f'streams_refused_total{{limit="streams_per_second_per_ip"}} {refused}',
                      daemon.get("/metrics").body.decode())
        self.assertEqual(len(daemon.log("refused at a limit")), 1)
        line = daemon.log("refused at a limit")[0]
        self.assertEqual((line["limit"], line["peer"]),
                         ("limits.streams_per_second_per_ip", "203.0.113.5"))

        def one_more():
            http = self.connect(daemon)
            http.send_request("GET", f"/notifications/{self.user}", headers=mine)
            return http.read_head().startswith(b"HTTP/1.1 200 ")
        wait_for(one_more, "the next second")

    def test_ipv6_counts_by_the_network_of_a_customer(self):
        daemon = self.start("limits.streams_per_second_per_ip=1", "http.trusted_proxies=127.0.0.1",
                            "streams.max_streams_per_ip=1")
        for peer, status in (("2001:db8:1:2::1", 200), ("2001:db8:1:2:ffff::9", 429),
                             ("2001:db8:1:3::1", 200), ("192.0.2.1", 200), ("192.0.2.2", 200)):
            with self.subTest(peer):
                http = self.connect(daemon)
                http.send_request("GET", "/notifications/x", headers=[("X-Forwarded-For", peer)])
                self.assertIn(f" {status} ".encode(), http.read_head()[:20])

    def test_the_limit_is_reloaded(self):
        path = pathlib.Path(self.scratch()) / "conf"
        path.write_text("")
        daemon = self.start(arguments=["-c", str(path)])
        streams = [self.open(daemon=daemon) for _ in range(3)]
        path.write_text("[streams]\nmax_streams_per_ip = 3\n"
                        "[limits]\nstreams_per_second_per_ip = 1000\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        self.assert_problem(daemon.get("/notifications/x"), 429, "max_streams_per_ip")
        streams.pop().close()
        wait_for(lambda: daemon.stats()["streams_open"] == 2, "its end")
        self.open(daemon=daemon)


# ---- memory ----

class Memory(OneDaemonATest):
    OPTIONS = ("journal.window=64KiB", "limits.max_memory=1MiB", "journal.sync=never",
               "publish.max_payload=32KiB", "publish.max_body=128KiB")

    def stall(self, daemon, user, count=1):
        """Streams that take nothing, from small buffers."""
        streams = [self.open(user, daemon, rcvbuf=4096) for _ in range(count)]
        return streams

    def publish(self, daemon, **fields):
        """As a sender does it who is told to try again."""
        wait_for(lambda: daemon.post(json.dumps(fields).encode()).status == 200, "room")

    def test_the_furthest_behind_are_ended_and_others_lose_nothing(self):
        daemon = self.start(*self.OPTIONS)
        self.stall(daemon, "slow", 3)
        reader = self.open("fast", daemon)
        sent = 0
        end = time.monotonic() + 60 * TIMES
        while daemon.stats()["streams_closed_by_max_memory"] == 0:
            self.assertLess(time.monotonic(), end, daemon.stats())
            # To each of the slow ones another: what is shared by queues counts once.
            self.publish(daemon, user="slow", data="x" * 30000)
            self.publish(daemon, user="fast", data=sent)
            self.assertEqual(reader.next().data, str(sent))
            sent += 1
        stats = daemon.stats()
        self.assertLessEqual(stats["memory_held"], 1 << 20)
        line = daemon.wait_log("queues are near limits.max_memory: the slowest streams were ended")
        self.assertGreaterEqual(line["streams"], 1)
        self.assertIn('streams_closed_total{reason="max-memory"}',
                      daemon.get("/metrics").body.decode())
        reader.expect_quiet(daemon, "fast")

    def test_what_is_shared_counts_once(self):
        daemon = self.start(*self.OPTIONS)
        self.stall(daemon, "slow", 60)
        batch = json.dumps([{"user": "slow", "data": "x" * 5000}] * 10).encode()
        while daemon.stats()["queued_bytes"] < 2 << 20:
            self.assertEqual(daemon.post(batch).status, 200)
        stats = daemon.stats()
        self.assertLess(stats["memory_held"], 1 << 20)
        self.assertEqual(stats["streams_closed_by_max_memory"], 0)

    def test_a_stream_that_was_ended_resumes_without_a_gap(self):
        daemon = self.start(*self.OPTIONS)
        slow = self.stall(daemon, "slow")[0]
        numbers = 0
        while daemon.stats()["streams_closed_by_max_memory"] == 0:
            self.publish(daemon, user="slow", data=f"{numbers} " + "x" * 30000)
            numbers += 1
            self.assertLess(numbers, 2000)
        got = [e for e in slow.expect_end() if e.event == "notification"]
        last = slow.parser.last_id if not got else got[-1].id
        again = self.open(f"/notifications/slow?last_event_id={last}", daemon)
        self.assertEqual(int(again.next().data.split(" ")[0]), len(got))

    def test_at_the_limit_publishes_are_refused_until_there_is_room(self):
        daemon = self.start("journal.type=memory", *self.OPTIONS)
        users = [f"u{n}" for n in range(40)]
        streams = [self.open(user, daemon) for user in users]
        many = json.dumps({"users": users, "data": "x" * 30000}).encode()
        one = json.dumps({"user": "other", "data": 1}).encode()
        http = self.connect(daemon)
        # Together, so that the second comes before the first's queues are written.
        http.send(b"".join(b"POST /notify HTTP/1.1\r\nHost: localhost\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                           for body in (many, one)))
        self.assertEqual(http.read_response().status, 200)
        response = http.read_response()
        self.assert_problem(response, 503, "limits.max_memory")
        self.assertEqual(response["Retry-After"], "1")
        for stream in streams:
            self.assertEqual(len(stream.next().data), 30000)
        self.publish(daemon, user="other", data=1)
        stats = daemon.stats()
        self.assertEqual(stats["streams_closed_by_max_memory"], 0)
        self.assertGreaterEqual(stats["publishes_refused_for_memory"], 1)
        daemon.wait_log("refused at a limit")
        self.assertEqual(len(daemon.log("refused at a limit")), 1)

    def test_it_must_leave_room_for_the_window(self):
        done = run("check-config", "-o", "limits.max_memory=100MiB")
        self.assertEqual(done.returncode, 2)
        self.assertIn("at least 128MiB", done.stderr)
        done = run("check-config", "-o", "limits.max_memory=128MiB", "-o", "publish.max_body=64MiB")
        self.assertIn("at least 512MiB", done.stderr)
        self.assertEqual(run("check-config", "-o", "limits.max_memory=128MiB").returncode, 0)
        self.assertEqual(run("check-config", "-o", "limits.max_memory=0").returncode, 0)


if __name__ == "__main__":
    main()
