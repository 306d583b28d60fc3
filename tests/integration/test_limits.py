"""Who is let in, and how much of it: names of the server, proxies and what they say of clients, rates,
descriptors, memory."""
import json
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import time
import unittest

from harness import (TIMES, Http, OneDaemonATest, Reader, Stream, TestCase, main, quote, run,
                     wait_for)


def get(daemon, host, target="/healthz", headers="", version="1.1", port=None):
    """One request with that Host; None leaves it out."""
    line = "" if host is None else f"Host: {host}\r\n"
    with Http(port or daemon.port) as http:
        http.send(f"GET {target} HTTP/{version}\r\n{line}{headers}Connection: close\r\n\r\n".encode())
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
        for host in ("evil.example", "evil.example:80", "localhost.evil.example", "127.evil.example",
                     "127.0.0.1.evil.example", "192.0.2.1", "[::2]", "", "xlocalhost", "127."):
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
OPTIONS = ("listener.default.proxy_protocol=yes", "http.trusted_proxies=127.0.0.1")


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


if __name__ == "__main__":
    main()
