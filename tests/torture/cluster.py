"""Several daemons that share a record in Redis: what is killed, held and cut, and how."""
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from redis_server import Link, Redis, free_port  # noqa: E402

NODES = 3
TIMEOUT = "300ms"
LONGEST = 1.5   # that anything is away


class Node:
    def __init__(self, redis):
        self.link = Link(redis.path)
        self.port = free_port()
        self.process = None

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.link.close()


class Cluster:
    """In the place of the one daemon of a Run. Redis has its data after a kill: no gap is due."""
    has_doubts = True
    lag = 2 * LONGEST + 2

    def __init__(self, mode, seed):
        super().__init__(mode, seed)
        self.redis = Redis(is_kept=True)
        self.nodes = [Node(self.redis) for _ in range(NODES)]

    def port_for_peer(self):
        return self.rng.choice(self.nodes).port

    def node_command(self, node):
        options = [f"listener.default.address=127.0.0.1:{node.port}", "journal.type=redis",
                   f"journal.redis_url={node.link.url}", f"journal.redis_timeout={TIMEOUT}",
                   "journal.keep_per_user=1000000", "journal.window=64KiB",
                   "journal.keep_bytes=256MiB", "streams.queue=16", "streams.heartbeat=1s",
                   "server.drain_time=300ms", "log.level=warning", "log.format=text"]
        return [*self.command, *(x for o in options for x in ("-o", o))]

    def start_node(self, node):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SSE_NOTIFY_")}
        node.process = subprocess.Popen(self.node_command(node), env=env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.log)

    def start(self):
        """Those that are not there."""
        self.start_count += 1
        for node in self.nodes:
            if node.process is None:
                self.start_node(node)

    def check_alive(self):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is not None:
                raise self.Failure(f"a node ended by itself\n{self.log_text()}")

    def is_ready(self):
        return all(self.is_ready_at(node.port) for node in self.nodes)

    def end(self, is_expected_to_end=False):
        self.check_alive()
        for node in self.nodes:
            node.process.kill()
            node.process.wait()
            node.process = None

    # ---- what is done to it ----

    def kill_node(self):
        node = self.rng.choice(self.nodes)
        if self.rng.random() < 0.5:
            node.process.send_signal(signal.SIGTERM)
            self.spin(self.rng.random() * 0.4)
        node.process.kill()
        node.process.wait()
        node.process = None
        return lambda: self.start_node(node)

    def hold_node(self):
        node = self.rng.choice(self.nodes)
        node.process.send_signal(signal.SIGSTOP)
        return lambda: node.process.send_signal(signal.SIGCONT)

    def kill_redis(self):
        self.redis.kill()
        return self.redis.start

    def hold_redis(self):
        self.redis.pause()
        return self.redis.go_on

    def hold_link(self):
        node = self.rng.choice(self.nodes)
        node.link.hold()
        return node.link.heal

    def cut_link(self):
        self.rng.choice(self.nodes).link.cut()
        return lambda: None

    def forget_script(self):
        self.redis.call("SCRIPT", "FLUSH")
        return lambda: None

    def one_round(self):
        """Something is away for a while, and comes back."""
        ways = (self.kill_node, self.hold_node, self.kill_redis, self.hold_redis, self.hold_link,
                self.cut_link, self.forget_script)
        rng = self.rng
        self.start()
        self.wait_ready()
        self.spin(rng.random() * 0.5)
        way = rng.choice(ways)
        began = time.monotonic()
        heal = way()
        self.kills.append(began)
        self.counts["kills"] += 1
        self.counts[way.__name__] += 1
        self.spin(rng.random() * LONGEST)
        heal()
        self.rounds.append(f"{began:.3f} #{self.highest} {way.__name__}, healed at "
                           f"{time.monotonic():.3f}")
        if rng.random() < 0.4:
            self.add_listener(rng.choice([l.user for l in self.listeners]),
                              rng.choice(("fast", "restless")), is_from_earliest=rng.random() < 0.5)
        while len([l for l in self.listeners if l.is_wanted]) > 34:
            old = rng.choice([l for l in self.listeners if l.is_wanted])
            old.is_wanted = False
            old.close()

    def close(self):
        for node in self.nodes:
            node.close()
        self.redis.kill()
        super().close()
