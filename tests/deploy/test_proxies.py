"""Streams through the proxies that people have in front: Debian's nginx, HAProxy and Caddy, each by
its file in deploy/proxies, of which nothing but the addresses and the times are changed."""
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import (DEADLINE, ROOT, Closed, Http, OneDaemonATest, Stream,  # noqa: E402
                     main, wait_for)

CLIENT = "127.0.0.9"    # whose address the daemon is to see


def free_address():
    """On a loopback address of its own, where nobody else takes the port meanwhile."""
    host = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.1"
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()


class Proxy:
    """What the three have in common: they run in the foreground, in a folder of their own."""
    file = program = None

    def __init__(self, folder, daemon, changes=()):
        self.folder = pathlib.Path(folder)
        self.host, self.port = free_address()
        text = (ROOT / "deploy" / "proxies" / self.file).read_text(encoding="utf-8")
        for old, new in (*self.daemon_address(daemon), *self.own_address(), *changes):
            assert old in text, (self.file, old)
            text = text.replace(old, new)
        self.write(text)
        self.log = open(self.folder / "log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, cwd=folder,
                                        env=os.environ | {"HOME": str(folder)})

    def daemon_address(self, daemon):
        return [("127.0.0.1:8080", f"127.0.0.1:{daemon.port}")]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.log.close()

    def is_up(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"{self.program} ended: {self.log.read()}")
        try:
            socket.create_connection((self.host, self.port), DEADLINE).close()
            return True
        except ConnectionRefusedError:
            return False


class Nginx(Proxy):
    file, program = "nginx.conf", "nginx"

    def own_address(self):
        return [("listen 80;", f"listen {self.host}:{self.port};")]

    def write(self, text):
        (self.folder / "site.conf").write_text(text)
        (self.folder / "all.conf").write_text(
            f"daemon off; pid {self.folder}/pid; error_log stderr; worker_processes 1;\n"
            "events {}\n"
            f"http {{ access_log off; client_body_temp_path {self.folder}/body;\n"
            f"proxy_temp_path {self.folder}/temp; fastcgi_temp_path {self.folder}/fcgi;\n"
            f"uwsgi_temp_path {self.folder}/uwsgi; scgi_temp_path {self.folder}/scgi;\n"
            "include site.conf; }\n")

    def command(self):
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", self.folder,
                "-c", self.folder / "all.conf", "-e", "stderr"]


class Haproxy(Proxy):
    file, program = "haproxy.cfg", "haproxy"

    def own_address(self):
        return [("bind :80", f"bind {self.host}:{self.port}")]

    def write(self, text):
        (self.folder / "haproxy.cfg").write_text(text)

    def command(self):
        return [self.binary(), "-db", "-f", self.folder / "haproxy.cfg"]

    @staticmethod
    def binary():
        return shutil.which("haproxy") or "/usr/sbin/haproxy"


class Caddy(Proxy):
    file, program = "Caddyfile", "caddy"

    def own_address(self):
        return [(":80 {", f"http://:{self.port} {{\n\tbind {self.host}")]

    def write(self, text):
        # Its administration has an address that may be taken; otherwise as it is.
        (self.folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)

    def command(self):
        return [shutil.which("caddy") or "/usr/bin/caddy", "run", "--adapter", "caddyfile",
                "--config", self.folder / "Caddyfile"]


class Behind:
    """What holds behind each of them."""
    proxy_class = None
    quick = ()      # what makes it give up on a silent stream after two seconds

    def begin(self, *options, changes=()):
        self.daemon = self.start("http.trusted_proxies=127.0.0.1",
                                 "http.server_names=push.example.com", *options)
        self.proxy = self.proxy_class(self.scratch(), self.daemon, changes)
        self.addCleanup(self.proxy.stop)
        wait_for(self.proxy.is_up, f"{self.proxy.program} to listen")

    def stream(self, user="alice", **options):
        stream = Stream(self.proxy.port, f"/notifications/{user}", host=self.proxy.host,
                        source=CLIENT, **options)
        self.addCleanup(stream.close)
        return stream

    def get(self, method, target):
        with Http(self.proxy.port, host=self.proxy.host) as http:
            http.send_request(method, target, b"{}" if method == "POST" else None,
                              [("Connection", "close")])
            return http.read_response()

    def test_each_event_comes_at_once(self):
        self.begin()
        stream = self.stream()
        for i in range(20):     # the next is sent when this one has come: nothing is held back
            self.daemon.notify(user="alice", data=i)
            self.assertEqual(stream.next().data, str(i))

    def test_many_streams_at_once(self):
        self.begin()
        streams = [self.stream(f"user{i % 5}") for i in range(50)]
        for i in range(5):
            self.assertEqual(self.daemon.notify(user=f"user{i}", data=i)["streams"], 10)
        for i, stream in enumerate(streams):
            self.assertEqual(stream.next().data, str(i % 5))

    def test_who_comes_back_gets_what_was_missed(self):
        self.begin()
        stream = self.stream()
        self.daemon.notify(user="alice", data="seen")
        last = stream.next().id
        stream.close()
        for i in range(3):
            self.daemon.notify(user="alice", data=i)
        stream = self.stream(last_event_id=last)
        self.assertEqual([stream.next().data for _ in range(3)], ["0", "1", "2"])
        self.daemon.notify(user="alice", data="new")
        self.assertEqual(stream.next().data, "new")

    def test_the_daemons_restart_ends_the_stream_which_resumes(self):
        self.begin()
        stream = self.stream()
        self.daemon.notify(user="alice", data="before")
        last = stream.next().id
        self.daemon.restart()
        with self.assertRaises(Closed):
            for _ in range(3):      # bye comes first
                stream.next()
        self.daemon.notify(user="alice", data="after")
        self.assertEqual(self.reopened(last).next().data, "after")

    def reopened(self, last):
        """As a browser does it: again and again, until the proxy knows that the daemon is back."""
        def attempt():
            try:
                return self.stream(last_event_id=last)
            except (AssertionError, OSError):
                return None

        return wait_for(attempt, "the stream to open again")

    def test_a_peer_that_goes_is_gone_in_the_daemon(self):
        self.begin()
        stream = self.stream()
        wait_for(lambda: self.daemon.stats()["streams_open"] == 1, "the stream in the daemon")
        stream.close()
        wait_for(lambda: self.daemon.stats()["streams_open"] == 0, "its end in the daemon")

    def test_the_daemon_sees_the_clients_address(self):
        self.begin()
        self.stream()
        presence = self.daemon.get("/users/alice").json()
        self.assertEqual(presence["streams"][0]["peer"].partition(":")[0], CLIENT)

    def test_it_is_called_by_the_name_that_browsers_know(self):
        self.begin()
        for host, status in (("push.example.com", 200), ("other.example.com", 421)):
            with Http(self.proxy.port, host=self.proxy.host) as http:
                http.send(f"GET /notifications/alice/history HTTP/1.1\r\nHost: {host}\r\n"
                          "Connection: close\r\n\r\n".encode())
                self.assertIn(f" {status} ".encode(), http.read_head())

    def test_heartbeats_keep_a_silent_stream_open(self):
        self.begin("streams.heartbeat=1s", changes=self.quick)
        stream = self.stream()
        for _ in range(4):
            self.assertEqual(stream.next_item()[0], "comment")
        self.daemon.notify(user="alice", data="still here")
        self.assertEqual(stream.next().data, "still here")

    def test_what_is_internal_is_not_offered(self):
        self.begin()
        for method, target in (("POST", "/notify"), ("GET", "/stats"), ("GET", "/metrics"),
                               ("GET", "/users/alice"), ("DELETE", "/users/alice/streams")):
            self.assertEqual(self.get(method, target).status, 404, target)
        self.assertEqual(self.get("GET", "/notifications/alice/history").status, 200)


class BehindNginx(Behind, OneDaemonATest):
    proxy_class = Nginx
    quick = (("proxy_read_timeout 60s;", "proxy_read_timeout 2s;"),)


class BehindHaproxy(Behind, OneDaemonATest):
    proxy_class = Haproxy
    quick = (("timeout client 60s", "timeout client 2s"),
             ("timeout server 60s", "timeout server 2s"))


class BehindCaddy(Behind, OneDaemonATest):
    proxy_class = Caddy     # which has no such time


if __name__ == "__main__":
    main()
