"""Two nodes that share a record in Redis, behind Debian's nginx or HAProxy by the files in
deploy/proxies, of which nothing but the addresses are changed."""
import pathlib
import subprocess
import sys

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, ROOT, Closed, Stream, main, wait_for  # noqa: E402
from redis_server import Case  # noqa: E402
from test_proxies import Haproxy, Nginx  # noqa: E402


class Pair:
    def daemon_address(self, nodes):
        return [(f"10.0.0.1{i}:8080", f"127.0.0.1:{node.port}")
                for i, node in enumerate(nodes, 1)]


class NginxPair(Pair, Nginx):
    file = "nginx-cluster.conf"


class HaproxyPair(Pair, Haproxy):
    file = "haproxy-cluster.cfg"


class Behind:
    proxy_class = None

    def setUp(self):
        super().setUp()
        self.nodes = [self.node("http.trusted_proxies=127.0.0.1",
                                "http.server_names=push.example.com") for _ in range(2)]
        self.proxy = self.proxy_class(self.scratch(), self.nodes)
        self.addCleanup(self.proxy.stop)
        wait_for(self.proxy.is_up, f"{self.proxy.program} to listen")

    def stream(self, **options):
        """As a browser does it: again and again, until somebody lets it in."""
        def attempt():
            try:
                return Stream(self.proxy.port, "/notifications/u", host=self.proxy.host, **options)
            except (AssertionError, OSError):
                return None

        stream = wait_for(attempt, "a stream")
        self.addCleanup(stream.close)
        return stream

    def counts(self):
        return [node.stats()["streams_open"] for node in self.nodes]

    def test_streams_are_at_both_nodes_and_hear_both(self):
        streams = [self.stream() for _ in range(4)]
        wait_for(lambda: self.counts() == [2, 2], "two streams at each node")
        for i, node in enumerate(self.nodes):
            node.notify(user="u", data=i)
        for stream in streams:
            self.assertEqual(stream.take(2), ["0", "1"])

    def test_a_node_that_dies_takes_nothing_along(self):
        streams = [self.stream() for _ in range(4)]
        wait_for(lambda: self.counts() == [2, 2], "two streams at each node")
        self.nodes[0].notify(user="u", data="before")
        lasts = [stream.next().id for stream in streams]
        dead, alive = self.nodes
        dead.process.kill()
        dead.process.wait()
        dead.process = None
        alive.notify(user="u", data="meanwhile")
        goes_on = []
        for stream, last in zip(streams, lasts):
            try:
                self.assertEqual(stream.next().data, "meanwhile")
            except (Closed, OSError):
                stream = self.stream(last_event_id=last)
                self.assertEqual(stream.next().data, "meanwhile")
            goes_on.append(stream)
        wait_for(lambda: alive.stats()["streams_open"] == 4, "all streams at the one that lives")
        alive.notify(user="u", data="after")
        for stream in goes_on:
            self.assertEqual(stream.next().data, "after")

    def test_streams_are_opened_while_redis_is_away(self):
        self.redis.kill()
        self.wait_down(*self.nodes)
        stream = self.stream()
        self.redis.start()
        self.wait_ready(*self.nodes)
        self.assert_gap(stream.next(), "expired")  # it came back empty
        self.nodes[0].notify(user="u", data="1")
        self.assertEqual(stream.next().data, "1")


class BehindNginx(Behind, Case):
    proxy_class = NginxPair


class BehindHaproxy(Behind, Case):
    proxy_class = HaproxyPair


class Compose(Case):
    """There are no containers here: its parts are tried by themselves."""

    def setUp(self):
        super().setUp()
        text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
        self.file = yaml.safe_load(text)

    def test_the_nodes_settings_are_good(self):
        for name in ("one", "two"):
            options = [o.replace("redis:6379", "127.0.0.1:6379")
                       for o in self.file["services"][name]["command"]]
            done = subprocess.run([BIN, "check-config", *options], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_haproxys_file_is_good(self):
        file = pathlib.Path(self.scratch()) / "haproxy.cfg"
        text = self.file["configs"]["proxy"]["content"]
        for name in ("one", "two"):
            text = text.replace(f"{name}:8080", "127.0.0.1:8080")
        file.write_text(text)
        done = subprocess.run([Haproxy.binary(), "-c", "-f", file], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    main()
