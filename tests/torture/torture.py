#!/usr/bin/env python3
"""Kills the daemon, or its power, again and again while everybody publishes and listens, and proves
from what they wrote down that nothing acknowledged was lost (checker.py).

    tests/torture/torture.py [MODE]...    always faulty evict interval redis cheat

    always    sync = always, and room for all: no gap is ever due
    faulty    the same on a disk that fails now and then: what is refused was not sent
    evict     the same with a small keep_per_user: gaps exactly where something was evicted unseen
    interval  sync = interval: a kill may lose the last moment, and that is told
    redis     several daemons share a Redis: those, it, and the links to it are killed (cluster.py)
    cheat     sync = interval, judged as if it were always: this must be found out

TORTURE_ROUNDS (100) is the number of kills of the first mode; the others have half as many, cheat a
tenth. TORTURE_SECONDS, if it is set, is the time for all modes together instead.
TORTURE_SEED repeats the choices of a run (not its timing). SSE_NOTIFY_BIN names the daemon. Exit
status 1 after a fault."""
import collections
import json
import os
import pathlib
import random
import re
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "faults")]
from checker import (EVERYONE, FOREVER, LAG, Checker, Erasure, Event, Gap, Item,  # noqa: E402
                     Retract, Rules, Session, Subscriber)
from cluster import Cluster  # noqa: E402
from disk import Disk  # noqa: E402

ROOT = HERE.parents[1]
BIN = os.environ.get("SSE_NOTIFY_BIN") or str(ROOT / "build" / "release" / "sse-notify")
WRAP = shlex.split(os.environ.get("SSE_NOTIFY_WRAP", ""))
TIMES = 10 if os.environ.get("TEST_IS_SLOW") else 1
DEADLINE = 20 * TIMES
USERS = [f"u{i}" for i in range(6)]
TOPICS = [f"t{i}" for i in range(4)]
MODES = {"always": 100, "faulty": 50, "evict": 50, "interval": 50, "redis": 50,
         "cheat": 10}  # their shares
EIO, ENOSPC = 5, 28
REFUSED = (503, 507)  # nothing was done
KEEP_FEW = 15         # keep_per_user where something is evicted
NUMBER = re.compile(r'^\{"n":(\d+)')

now = time.monotonic


class Failure(Exception):
    """The run cannot go on."""


# ---- connections ----

class Peer:
    """One connection to the daemon, opened again whenever it is gone."""

    def __init__(self, run):
        self.run = run
        self.sock = None
        self.out = b""
        self.buffer = b""
        self.due = 0.0        # when it connects again
        self.is_wanted = True

    def tick(self, at):
        if self.sock is None and self.is_wanted and at >= self.due:
            self.connect()

    def connect(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.set_up()
        self.buffer = b""
        self.out = self.greeting()
        self.sock.connect_ex(("127.0.0.1", self.run.port_for_peer()))
        self.run.selector.register(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def set_up(self):
        pass

    def want(self):
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)
        if self.run.selector.get_key(self.sock).events != events:
            self.run.selector.modify(self.sock, events, self)

    def send(self, data):
        self.out += data
        if self.sock is not None:
            self.want()

    def on_event(self, events):
        try:
            if events & selectors.EVENT_WRITE and self.out:
                self.out = self.out[self.sock.send(self.out):]
            if events & selectors.EVENT_READ:
                piece = self.sock.recv(self.most())
                if not piece:
                    self.close()
                    return
                self.buffer += piece
                self.on_bytes()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        if self.sock is not None:
            self.want()

    def most(self):
        return 65536

    def close(self, pause=0.02):
        if self.sock is None:
            return
        self.run.selector.unregister(self.sock)
        self.sock.close()
        self.sock = None
        self.due = now() + pause
        self.on_closed()

    def on_closed(self):
        pass

    def take_head(self):
        """The next response's status and headers once it is there, else None."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, self.buffer = self.buffer[:end].decode("latin-1"), self.buffer[end + 4:]
        lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        return int(lines[0].split(" ")[1]), headers


class Request:
    """`units` is a list of lists of items: one unit an element of a batch, or the only one."""

    def __init__(self, head, body, units, is_batch, has_key):
        self.head, self.body = head, body
        self.units, self.is_batch, self.has_key = units, is_batch, has_key
        self.sent = None
        self.start_count = None

    def items(self):
        return (item for unit in self.units for item in unit)


class Publisher(Peer):
    def __init__(self, run, depth):
        super().__init__(run)
        self.depth = depth                      # requests under way at a time
        self.todo = collections.deque()         # to be sent (again)
        self.under_way = collections.deque()
        self.length = None
        self.next = 0.0

    def greeting(self):
        return b""

    def tick(self, at):
        super().tick(at)
        if self.sock is None or at < self.next:
            return
        while len(self.under_way) < self.depth:
            if not self.todo:
                if not self.run.is_publishing:
                    return
                self.todo.append(self.run.next_request())
            self.start(self.todo.popleft())
            if self.run.rng.random() < 0.3:
                self.next = at + self.run.rng.random() * 0.02
                return

    def start(self, request):
        if request.sent is None:
            request.sent = now()
            for item in request.items():
                item.sent = request.sent
                self.run.items.append(item)
        elif request.start_count != self.run.start_count:
            for item in request.items():
                item.spans_restart |= self.run.may_be_forgotten(item)
        request.start_count = self.run.start_count
        self.under_way.append(request)
        self.send(request.head + b"Host: localhost\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(request.body) + request.body)

    def on_bytes(self):
        while self.under_way:
            if self.length is None:
                head = self.take_head()
                if head is None:
                    return
                self.status, headers = head
                self.length = int(headers["content-length"])
            if len(self.buffer) < self.length:
                return
            body, self.buffer = self.buffer[:self.length], self.buffer[self.length:]
            self.length = None
            self.on_answer(self.under_way.popleft(), self.status, body)

    def on_answer(self, request, status, body):
        if status in REFUSED:
            self.run.counts["refused"] += 1
            self.on_refused(request, request.units)
        elif status != 200:
            raise Failure(f"POST /notify: {status} {body!r}")
        elif request.is_batch:
            results = json.loads(body)["results"]
            again = []
            for unit, result in zip(request.units, results, strict=True):
                if "error" in result:
                    again.append(unit)
                else:
                    self.run.on_acked(unit, result)
            if again:
                self.on_refused(request, again)
        else:
            self.run.on_acked(request.units[0], json.loads(body))
        if status == 200:
            self.run.on_answered(request)

    def on_refused(self, request, units):
        """Repeated as it was if it has a key: then what was taken is known as such."""
        if request.has_key:
            self.todo.append(request)
            self.next = now() + 0.05
            return
        for unit in units:
            for item in unit:  # of several, some may have been taken
                item.is_refused = len(unit) == 1 and not self.run.has_doubts

    def on_closed(self):
        self.length = None
        for request in reversed(self.under_way):
            if request.has_key:
                self.run.counts["repeated"] += 1
                self.todo.appendleft(request)
            else:
                self.run.counts["unknown"] += len(request.units)
        self.under_way.clear()

    def is_idle(self):
        return not self.under_way and not self.todo


class Remover(Peer):
    """Takes some notifications back, and now and then all of a user's: one request a time, never
    repeated."""

    def __init__(self, run):
        super().__init__(run)
        self.item = None      # that is being retracted
        self.erasure = None   # that is under way
        self.length = None
        self.next = 0.0

    def greeting(self):
        return b""

    def tick(self, at):
        super().tick(at)
        if self.sock is None or self.item is not None or self.erasure is not None or \
                at < self.next or not self.run.is_publishing or not self.run.recent:
            return
        self.next = at + self.run.rng.random() * 0.1
        if self.run.rng.random() < 0.06:
            self.erasure = Erasure(self.run.rng.choice(USERS), at, None, False)
            self.delete(f"/users/{self.erasure.user}/history")
            return
        self.item, self.seq = self.run.rng.choice(self.run.recent)
        self.run.recent.remove((self.item, self.seq))
        self.item.retract_sent = at
        self.delete(f"/notifications/{self.item.channel[1]}/{self.run.epoch}-{self.seq}")

    def delete(self, target):
        self.send(f"DELETE {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def on_bytes(self):
        if self.length is None:
            head = self.take_head()
            if head is None:
                return
            self.status, headers = head
            self.length = int(headers["content-length"])
        if len(self.buffer) < self.length:
            return
        self.buffer, self.length = self.buffer[self.length:], None
        if self.status not in (200, *REFUSED) and (self.status != 404 or self.item is None):
            raise Failure(f"DELETE: {self.status}")
        if self.erasure is not None:
            self.end_erasure(self.status == 200)
        elif self.status in (200, 404):  # 404: it had gone by itself
            self.item.retract_acked = now()
            if self.status == 200:
                self.item.retracted_seq = self.seq
                self.run.counts["retracted"] += 1
        self.item = None

    def end_erasure(self, was_done):
        late = 0 if was_done else self.run.lag
        self.run.erasures.append(self.erasure._replace(over=now() + late, was_done=was_done))
        self.run.counts["erased"] += was_done
        self.erasure = None

    def on_closed(self):
        if self.erasure is not None:
            self.end_erasure(False)
        self.item = self.length = None


class Listener(Peer):
    def __init__(self, run, name, user, topics=(), kind="fast", is_from_earliest=False):
        super().__init__(run)
        self.kind = kind                # fast, slow, restless
        self.user, self.topics = user, topics
        self.life = Subscriber(name, user, topics)
        self.last_id = "earliest" if is_from_earliest else None
        self.restless_at = 0.0
        self.next_read = 0.0
        self.is_paused = False
        self.highest = 0                # number of a notification that came

    def set_up(self):
        if self.kind == "slow":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def most(self):
        return 700 if self.kind == "slow" else 65536

    def greeting(self):
        self.has_head = self.is_open = False
        self.is_chunked = self.run.rng.random() < 0.3
        self.chunk_left = 0
        self.text = ""
        self.asked = now()
        self.resumed_from = self.last_id
        query = [f"topic={t}" for t in self.topics]
        header = ""
        if self.last_id == "earliest" or (self.last_id and self.run.rng.random() < 0.3):
            query.append(f"last_event_id={self.last_id}")
        elif self.last_id:
            header = f"Last-Event-ID: {self.last_id}\r\n"
        if self.kind == "restless":
            self.restless_at = now() + self.run.rng.random() * 1.5
        return (f"GET /notifications/{self.user}{'?' if query else ''}{'&'.join(query)} "
                f"HTTP/1.{int(self.is_chunked)}\r\nHost: localhost\r\n{header}\r\n").encode()

    def tick(self, at):
        super().tick(at)
        if self.sock is None:
            return
        if self.kind == "restless" and at > self.restless_at:
            self.close(pause=self.run.rng.random() * 1.5)
        elif self.is_paused and at > self.next_read:
            self.is_paused = False
            self.run.selector.register(self.sock, selectors.EVENT_READ, self)

    def want(self):
        if not self.is_paused:
            super().want()

    def close(self, pause=0.02):
        if self.is_paused:
            self.is_paused = False
            self.run.selector.register(self.sock, selectors.EVENT_READ, self)
        super().close(pause)

    def on_bytes(self):
        if not self.has_head:
            head = self.take_head()
            if head is None:
                return
            if head[0] != 200:
                if head[0] != 503:
                    raise Failure(f"{self.life.name}: a stream was refused with {head[0]}")
                self.close(pause=0.05)
                return
            self.has_head = True
        if self.is_chunked:
            self.take_chunks()
        else:
            self.text += self.buffer.decode()
            self.buffer = b""
        *blocks, self.text = self.text.split("\n\n")
        for block in blocks:
            self.take_block(block)
        if self.kind == "slow" and self.sock is not None:
            self.run.selector.unregister(self.sock)
            self.is_paused = True
            self.next_read = now() + 0.01

    def take_chunks(self):
        body = b""
        while True:
            if self.chunk_left == 0:
                line, mark, rest = self.buffer.partition(b"\r\n")
                if not mark:
                    break
                self.chunk_left = int(line, 16) + 2
                if self.chunk_left == 2:
                    break  # the last
                self.buffer = rest
            if len(self.buffer) < self.chunk_left:
                break
            body += self.buffer[:self.chunk_left - 2]
            self.buffer = self.buffer[self.chunk_left:]
            self.chunk_left = 0
        self.text += body.decode()

    def seq(self, text):
        epoch, _, number = text.partition("-")
        if self.run.epoch is None:
            self.run.epoch = epoch
        if epoch != self.run.epoch:
            raise Failure(f"{self.life.name}: an id of another epoch, {text}, not {self.run.epoch}")
        return int(number)

    def take_block(self, block):
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name in fields:
                raise Failure(f"{self.life.name}: {name} twice in {block!r}")
            if name:
                fields[name] = value.removeprefix(" ")
        if "id" in fields:
            self.last_id = fields["id"]
        if not self.is_open and "id" in fields:
            start = self.seq(fields["id"])
            resumed = self.resumed_from
            self.life.log.append(Session(self.asked, now(), start, None if resumed is None else
                                         0 if resumed == "earliest" else self.seq(resumed)))
            self.is_open = True
            return
        if "data" not in fields:
            return  # a comment
        kind = fields["event"]
        if kind == "notification":
            n = int(NUMBER.match(fields["data"]).group(1))
            seq = self.seq(fields["id"])
            self.life.log.append(Event(now(), seq, n))
            self.run.counts["delivered"] += 1
            self.highest = max(self.highest, seq)
            if seq > self.run.highest:
                self.run.highest = seq
        elif kind == "gap":
            gap = json.loads(fields["data"])
            after = 0 if gap["reason"] == "unknown-id" else self.seq(gap["after"])
            self.life.log.append(Gap(now(), self.seq(gap["resumed_at"]), gap["reason"], after))
            self.run.counts["gaps"] += 1
        elif kind == "retract":
            self.life.log.append(Retract(now(), self.seq(json.loads(fields["data"])["id"])))
        elif kind != "bye":
            raise Failure(f"{self.life.name}: an event {kind}")

    def where(self):
        """For a sentence on what did not come."""
        state = "connecting" if self.sock is None or not self.is_open else "open"
        return (f"{self.life.name} ({state}, resumed from {self.resumed_from}, at {self.last_id}): "
                f"{self.life.log[-4:]}")


# ---- a run ----

class Run:
    has_doubts = False  # whether what is refused may come all the same
    lag = 0             # seconds by which a node may be behind another, or a removal come late

    def __init__(self, mode, seed):
        self.mode = mode
        self.rng = random.Random(f"{seed} {mode}")
        self.selector = selectors.DefaultSelector()
        self.home = tempfile.mkdtemp(prefix="sse-notify-torture-")
        self.disk = Disk(self.home, has_power_cuts=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = None
        self.start_count = 0
        self.log = tempfile.TemporaryFile(prefix="sse-notify-torture-")
        self.epoch = None
        self.items = []
        self.recent = collections.deque(maxlen=50)   # (item, number), to be retracted
        self.answered = collections.deque(maxlen=100)  # requests, to be repeated
        self.erasures = []
        self.kills = []       # when
        self.n = 0
        self.highest = 0
        self.is_publishing = True
        self.counts = collections.Counter()
        self.restarts = []
        self.rounds = []      # what was done in each, for who looks for the cause of a fault
        self.publishers = [Publisher(self, depth) for depth in (1, 1, 2, 8, 16)]
        self.remover = Remover(self)
        self.listeners = []
        for i, user in enumerate(USERS):
            self.add_listener(user, "fast")
            self.add_listener(user, "restless")
            self.add_listener(user, "slow" if i % 2 else "restless")

    def add_listener(self, user, kind, is_from_earliest=False, topics=None):
        if topics is None:
            topics = self.rng.sample(TOPICS, self.rng.randint(0, 3))
        name = f"{kind} {len(self.listeners)} of {user}"
        self.listeners.append(Listener(self, name, user, topics, kind, is_from_earliest))
        return self.listeners[-1]

    # ---- the daemon ----

    def port_for_peer(self):
        return self.port

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure(f"the daemon ended by itself\n{self.log_text()}")

    def options(self):
        keep = KEEP_FEW if self.mode == "evict" else 1000000
        sync = "interval" if self.mode in ("interval", "cheat") else "always"
        return [f"listener.default.address=127.0.0.1:{self.port}", f"journal.path={self.home}",
                f"journal.sync={sync}", f"journal.keep_per_user={keep}", "journal.window=64KiB",
                "journal.keep_bytes=256MiB", "streams.queue=16", "streams.heartbeat=1s",
                "server.drain_time=300ms", "log.level=warning", "log.format=text"]

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SSE_NOTIFY_")}
        command = [*WRAP, BIN, "serve"] + [x for o in self.options() for x in ("-o", o)]
        self.start_count += 1
        self.process = subprocess.Popen(command, env=env | self.disk.env(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.log)

    def log_text(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")

    def end(self, is_expected_to_end=False):
        """kill -9, wherever it is; it should have been alive, unless it was told to end."""
        status = self.process.poll()
        if status is not None and (not is_expected_to_end or status != 0):
            raise Failure(f"the daemon ended by itself with status {status}\n{self.log_text()}")
        self.process.kill()
        self.process.wait()
        self.process = None

    def is_ready(self):
        return self.is_ready_at(self.port)

    def is_ready_at(self, port):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.settimeout(DEADLINE)
                s.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                return s.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    # ---- what is published ----

    def make_item(self, channel, ttl, collapse):
        return Item(self.n, channel, None, ttl, collapse)

    def make_unit(self):
        """A notification's fields, and the items that it becomes."""
        rng = self.rng
        self.n += 1
        payload = {"n": self.n, "p": "x" * rng.choice((0, 20, 20, 100, 100, 400, 3000))}
        fields = {"data": payload}
        kind = rng.random()
        if kind < 0.55:
            channels = [("user", rng.choice(USERS))]
            fields["user"] = channels[0][1]
        elif kind < 0.7:
            users = rng.sample(USERS, rng.randint(1, 4))
            channels = [("user", u) for u in users]
            fields["users"] = users
        elif kind < 0.9:
            channels = [("topic", rng.choice(TOPICS))]
            fields["topic"] = channels[0][1]
        else:
            channels = [EVERYONE]
            fields["broadcast"] = True
        ttl = collapse = None
        if rng.random() < 0.15:
            ttl = fields["ttl"] = rng.choice((0, 0.5, 1, 3, 30))
        if rng.random() < 0.1:
            collapse = fields["collapse_key"] = rng.choice("abc")
        return fields, [self.make_item(c, ttl, collapse) for c in channels]

    def make_request(self):
        rng = self.rng
        has_key = rng.random() < 0.75
        head = b"POST /notify HTTP/1.1\r\n"
        if rng.random() < 0.2:
            units = [self.make_unit() for _ in range(rng.randint(1, 12))]
            if has_key:
                head += f"Idempotency-Key: batch {self.n}\r\n".encode()
            if rng.random() < 0.5:
                body = json.dumps([f for f, _ in units], separators=(",", ":"))
            else:
                head += b"Content-Type: application/x-ndjson\r\n"
                body = "\n".join(json.dumps(f, separators=(",", ":")) for f, _ in units)
            return Request(head, body.encode(), [i for _, i in units], True, has_key)
        fields, items = self.make_unit()
        if has_key:
            fields["idempotency_key"] = f"key {self.n}"
        body = json.dumps(fields, separators=(",", ":"))
        return Request(head, body.encode(), [items], False, has_key)

    def next_request(self):
        if self.answered and self.rng.random() < 0.03:
            self.counts["repeated though answered"] += 1
            return self.rng.choice(self.answered)
        return self.make_request()

    def may_be_forgotten(self, item):
        """Whether a kill may have taken its key: where the disk may be behind, the last moment."""
        return item.acked is None or any(0 <= kill - item.acked < LAG for kill in self.kills)

    def on_answered(self, request):
        """All of it was taken. Now and then a publisher asks again all the same."""
        if request.has_key and self.rng.random() < 0.02 and \
                all(item.acked is not None for item in request.items()):
            self.answered.append(request)

    def on_acked(self, unit, result):
        epoch, _, number = result["id"].partition("-")
        if self.epoch is None:
            self.epoch = epoch
        if epoch != self.epoch:
            raise Failure(f"an answer of another epoch, {epoch}, not {self.epoch}")
        at = now()
        self.counts["acknowledged"] += len(unit)
        self.counts["duplicates"] += result.get("duplicate", False)
        self.highest = max(self.highest, int(number))
        for item in unit:
            if item.acked is None:
                item.acked = at
        # Of several users' entries the last one's number is told.
        unit[-1].answers.append((int(number), result.get("duplicate", False)))
        if len(unit) == 1 and unit[0].channel[0] == "user" and len(unit[0].answers) == 1 and \
                self.rng.random() < 0.1:
            self.recent.append((unit[0], int(number)))

    # ---- time ----

    def peers(self):
        yield from self.publishers
        yield self.remover
        yield from self.listeners

    def turn(self, most=0.005):
        at = now()
        for peer in self.peers():
            peer.tick(at)
        for key, events in self.selector.select(most):
            if key.data.sock is key.fileobj:
                key.data.on_event(events)

    def spin(self, seconds):
        end = now() + seconds
        while now() < end:
            self.turn()

    def spin_until(self, condition, what):
        end = now() + DEADLINE
        while not condition():
            if now() > end:
                raise Failure(f"{what}: not within {DEADLINE} s\n{self.log_text()}")
            self.check_alive()
            self.turn()

    def wait_ready(self):
        self.spin_until(self.is_ready, "readiness")

    # ---- one round ----

    def make_faults(self):
        """The disk is sound, or one of its calls fails, some times or from now on."""
        rng = self.rng
        if self.mode != "faulty" or rng.random() < 0.3:
            self.disk.rules()
            return
        op = rng.choice(("write", "sync", "meta", "log"))
        first = rng.randint(1, 8)
        last = rng.choice((first, first, first + rng.randint(1, 5), 0))
        error = rng.choice((EIO, ENOSPC))
        action = rng.choice((f"error {error}", f"lie {error}", f"delay {rng.randint(1, 200)}",
                             "short 0"))
        rules = [f"{op} {first} {last} {action}"]
        if op == "meta" and rng.random() < 0.5:
            rules.append(f"undo 1 {rng.choice((0, 1, 2))} error {error}")
        if op == "meta" and rng.random() < 0.3:
            rules.append(f"sync {first + 1} {rng.choice((first + 1, first + 3, 0))} error {error}")
        self.disk.rules(*rules)
        self.rounds.append(f"{now():.3f} rules: {'; '.join(rules)}")

    def one_round(self):
        """Starts it, lets it run, and ends it in one way or another."""
        rng = self.rng
        way = rng.random()
        is_ending = False
        before = self.highest
        self.start()
        if way < 0.12:      # while it starts
            self.spin(rng.random() * 0.06)
            self.counts["kills during a start"] += 1
        else:
            self.wait_ready()
            if self.mode == "interval":
                self.note_restart(before)
            self.make_faults()
            self.spin(rng.random() * (0.1 if way < 0.25 else 1.2))
            if way > 0.8:   # while it ends
                is_ending = True
                self.process.send_signal(signal.SIGTERM)
                self.spin(rng.random() * 0.5)
                self.counts["kills during an end"] += 1
        killed = now()
        self.kills.append(killed)
        self.end(is_ending)
        self.counts["kills"] += 1
        self.rounds.append(f"{killed:.3f} #{self.highest} " + (
            "while it starts" if way < 0.12 else "while it ends" if is_ending else "at work"))
        self.counts["calls that failed"] += self.disk.hits()
        self.disk.rules()
        if rng.random() < 0.4:
            self.counts["power cuts"] += 1
            sectors = self.disk.cut_power(rng)
            self.counts["sectors left to chance"] += sectors
            self.rounds[-1] += f", power cut, {sectors} sectors open"
        if self.mode == "interval":
            self.restarts.append([killed, None])
        if rng.random() < 0.4:
            self.add_listener(rng.choice(USERS), rng.choice(("fast", "restless")),
                              is_from_earliest=rng.random() < 0.5)
        while len([l for l in self.listeners if l.is_wanted]) > 34:
            old = rng.choice([l for l in self.listeners if l.is_wanted])
            old.is_wanted = False
            old.close()

    def note_restart(self, before):
        """What is given out now is over all that was: whoever was before that is told."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as s:
            body = b'{"user":"nobody","data":1}'
            s.sendall(b"POST /notify HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        number = int(json.loads(answer.partition(b"\r\n\r\n")[2])["id"].partition("-")[2])
        if number <= before:
            raise Failure(f"#{number} is given out, and #{before} was")
        for restart in self.restarts:
            if restart[1] is None:
                restart[1] = number

    def finish(self):
        """One more start, to the end: everybody reads all there is."""
        before = self.highest
        self.start()
        self.wait_ready()
        if self.mode == "interval":
            self.note_restart(before)
        self.is_publishing = False
        self.spin_until(lambda: all(p.is_idle() for p in self.publishers), "the last answers")
        for user in USERS:  # reads what is kept, so that all numbers are known
            self.add_listener(user, "fast", is_from_earliest=True, topics=TOPICS)
        last = [l for l in self.listeners if l.is_wanted]
        for l in last:
            l.kind = "fast"
        self.n += 1
        request = Request(b"POST /notify HTTP/1.1\r\n",
                          json.dumps({"broadcast": True, "idempotency_key": "fence",
                                      "data": {"n": self.n}}, separators=(",", ":")).encode(),
                          [[self.make_item(EVERYONE, None, None)]], False, True)
        self.publishers[0].todo.append(request)
        item = request.units[0][0]
        self.spin_until(lambda: item.acked is not None, "the last notification")
        fence = item.answers[0][0]
        try:
            self.spin_until(lambda: all(l.highest >= fence for l in last),
                            "everybody's last notification")
        except Failure as failure:
            missing = "\n".join(l.where() for l in last if l.highest < fence)
            raise Failure(f"#{fence} did not come to\n{missing}\n{failure}") from None
        for l in last:
            l.life.is_caught_up = True
        self.end()

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for peer in self.peers():
            peer.is_wanted = False
            peer.close()
        self.selector.close()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.disk.folder, ignore_errors=True)


class ClusterRun(Cluster, Run):
    Failure = Failure
    command = [*WRAP, BIN, "serve"]


# ---- all of it ----

ALARMS = ("ERROR: ", "Sanitizer", "ssertion", "damaged")  # in the daemon's log ...
ALARMS_OF_A_SOUND_DISK = ("cannot", "fails")            # ... and in this case
MOST_SHOWN = 40
LOST = re.compile("never came|is missing before|came to nobody")


def rules_of(run):
    return Rules(is_always=run.mode != "interval", erasures=run.erasures, lag=run.lag,
                 keep_per_user=KEEP_FEW if run.mode == "evict" else FOREVER,
                 restarts=[(time, first) for time, first in run.restarts if first is not None])


def list_of(counts):
    return ", ".join(f"{v} {k}" for k, v in sorted(counts.items())) or "none"


def torture(mode, rounds, seconds, seed):
    """Returns the faults."""
    run = (ClusterRun if mode == "redis" else Run)(mode, seed)
    end = FOREVER if seconds is None else now() + seconds
    try:
        while now() < end and (seconds is not None or run.counts["kills"] < rounds):
            run.one_round()
        run.finish()
        text = run.log_text()
    except Failure as why:
        return [str(why), "rounds:\n    " + "\n    ".join(run.rounds),
                f"the daemon's log ends so:\n{run.log_text()[-4000:]}"]
    finally:
        run.close()
    checker = Checker(run.items, [l.life for l in run.listeners], rules_of(run))
    faults = list(checker.run())
    print(f"{mode}: {list_of(run.counts)}; {checker.owed} deliveries owed and made to "
          f"{len(run.listeners)} subscribers, {checker.told} retractions told; missing with a "
          f"reason: {list_of(checker.excused)}", flush=True)
    alarms = ALARMS + (() if mode in ("faulty", "redis") else ALARMS_OF_A_SOUND_DISK)
    if any(word in text for word in alarms):
        faults.append(f"the log has something to say:\n{text[-4000:]}")
    if checker.owed < 100 or run.counts["kills"] < 1:
        faults.append("there was next to nothing to check")
    if faults:
        faults.append(f"{len(faults)} faults; rounds:\n    " + "\n    ".join(run.rounds))
    return faults


def convict(faults):
    """Of the cheat it must be seen that something acknowledged was lost."""
    lost = [fault for fault in faults if LOST.search(fault)]
    print(f"cheat: {len(lost)} faults of those that are looked for, such as: {lost[:1]}")
    return [] if lost else ["that acknowledged notifications got lost was not seen"]


def main():
    modes = sys.argv[1:] or list(MODES)
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        print(f"no mode {', '.join(unknown)}; there are: {' '.join(MODES)}", file=sys.stderr)
        return 2
    rounds = int(os.environ.get("TORTURE_ROUNDS") or 100)
    seconds = os.environ.get("TORTURE_SECONDS")
    seed = os.environ.get("TORTURE_SEED") or str(random.randrange(1 << 30))
    bad = 0
    print(f"TORTURE_SEED={seed}", flush=True)
    for mode in modes:
        share = MODES[mode] / sum(MODES[m] for m in modes)
        faults = torture(mode, -(-rounds * MODES[mode] // 100),
                         float(seconds) * share if seconds else None, seed)
        if mode == "cheat":
            faults = convict(faults)
        for fault in (*faults[:MOST_SHOWN], *faults[max(MOST_SHOWN, len(faults) - 1):]):
            print(f"  {mode}: {fault}")  # the last: what was done in each round
        bad += bool(faults)
    print(f"{len(modes) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
