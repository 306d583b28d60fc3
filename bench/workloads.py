"""What is counted: fixed requests in a fixed order, each sent when all that the one before it does
has been seen, so that the daemon's loop takes the same turns every time.

A scenario yields ("what a unit is", units) after each piece of work; None is not for the
counting."""
import json

from callgrind import answer

PAYLOAD = "x" * 64
USERS, FANS, READERS, MISSED = 1000, 500, 200, 10


class Stream:
    """An open stream, its preamble read."""

    EVENT_END = b"\n\n\r\n"  # and its chunk's

    def __init__(self, daemon, user, last_id=None):
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.s = daemon.connect(f"GET /notifications/{user} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                f"Accept: text/event-stream\r\n{resume}\r\n".encode())
        self.data = b""
        self.take(1)

    def take(self, count):
        """Waits for so many events."""
        while self.data.count(self.EVENT_END) < count:
            more = self.s.recv(65536)
            if not more:
                raise SystemExit("the daemon has closed a stream that it should not have")
            self.data += more
        self.data = self.data.split(self.EVENT_END, count)[-1]

    def close(self):
        """Ends our side, and waits until the daemon has ended its own."""
        self.s.shutdown(1)
        while self.s.recv(65536):
            pass
        self.s.close()


class Publisher:
    def __init__(self, daemon):
        self.s = daemon.connect()

    def begin(self, body):
        self.s.sendall(b"POST /notify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                       b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                       % (len(body), body.encode()))

    def send(self, user):
        """Sends one notification and returns its id."""
        self.begin(item(user))
        return json.loads(answer(self.s))["id"]

    def send_batch(self, users):
        self.begin(f"[{','.join(map(item, users))}]")
        answer(self.s)


def item(user):
    return f'{{"user":"{user}","data":"{PAYLOAD}"}}'


def memory(daemon):
    """With the journal in memory: a stream for each of many users, then many for one."""
    publisher = Publisher(daemon)
    for i in range(50):  # what is made on first use
        stream = Stream(daemon, f"warm{i}")
        publisher.send(f"warm{i}")
        stream.take(1)
    yield None
    streams = [Stream(daemon, f"user{i}") for i in range(USERS)]
    yield "opening a stream", USERS
    for i in range(2 * USERS):
        publisher.send(f"user{i * 7 % USERS}")
        streams[i * 7 % USERS].take(1)
    yield "a unicast publish with its delivery", 2 * USERS
    for i in range(0, USERS, 100):
        users = [(i * 3 + k * 7) % USERS for k in range(100)]
        publisher.send_batch([f"user{user}" for user in users])
        for user in users:
            streams[user].take(1)
    yield "the same in a batch of 100", USERS
    last = []
    for i in range(READERS):
        sent = [publisher.send(f"user{i}") for _ in range(1 + MISSED)]
        streams[i].take(len(sent))
        last.append(sent[0])
    yield None
    for stream in streams[:READERS]:
        stream.close()
    yield "closing a stream", READERS
    for i in range(READERS):
        streams[i] = Stream(daemon, f"user{i}", last[i])
        streams[i].take(MISSED)
    yield f"resuming with {MISSED} missed, from memory", READERS
    fans = [Stream(daemon, "fan") for _ in range(FANS)]
    yield None
    for _ in range(10):
        publisher.send("fan")
        for fan in fans:
            fan.take(1)
    yield f"a delivery of a fan-out to {FANS}", 10 * FANS
    for _ in range(10):
        publisher.send_batch(["fan"] * 4)
        for fan in fans:
            fan.take(4)
    yield "the same, four at once", 40 * FANS


def disk(daemon):
    """With the journal on disk, and a window in memory that holds next to nothing."""
    publisher = Publisher(daemon)
    for i in range(100):
        publisher.send(f"warm{i}")
    yield None
    sent = [[publisher.send(f"user{i}") for i in range(READERS)] for _ in range(1 + MISSED)]
    yield "a publish into the journal on disk", READERS * (1 + MISSED)
    streams = []
    for i in range(READERS):
        streams.append(Stream(daemon, f"user{i}", sent[0][i]))
        streams[-1].take(MISSED)
    yield f"resuming with {MISSED} missed, from disk", READERS


def logged(daemon):
    """What the default log, of a line for each request and stream, adds."""
    publisher = Publisher(daemon)
    for i in range(50):
        Stream(daemon, f"warm{i}")
        publisher.send(f"warm{i}")
    yield None
    streams = [Stream(daemon, f"user{i}") for i in range(READERS)]
    yield "opening a stream, with the default log", READERS
    for i in range(5 * READERS):
        publisher.send(f"user{i * 7 % READERS}")
        streams[i * 7 % READERS].take(1)
    yield "a unicast publish with its delivery, with the default log", 5 * READERS


# Plain sends, which every system has.
MEMORY_OPTIONS = ["journal.type=memory", "log.level=error", "server.io_uring=off"]
LOGGED_OPTIONS = ["journal.type=memory", "log.level=info", "server.io_uring=off"]
DISK_OPTIONS = ["log.level=error", "journal.type=disk", "journal.sync=never",
                "journal.window=4KiB", "server.io_uring=off"]

# Work of a thread: (what a unit is, the thread's number, units) over the scenario's whole life.
DISK_THREADS = [
    ("its part of the writing thread", 2, 100 + READERS * (1 + MISSED)),
    (f"reading {MISSED} from disk, in the reading thread", 3, READERS),
]

# How many share a commit, and so what each takes, depends on the time.
TIMED = {"its part of the writing thread"}
