"""Random publishers and subscribers coming and going, against a model of what each must receive.

One thread drives all, so a seed repeats its run: SEED=7 tests/integration/test_many.py. What is
checked: every subscriber gets what its channels were sent, in order, nothing lost, nothing twice,
over any number of reconnects; a gap comes exactly where what it missed is no longer kept."""
import json
import os
import random

from harness import TIMES, TestCase, main

USERS = [f"user{n}" for n in range(6)]
TOPICS = ["red", "green", "blue"]


class Subscriber:
    """One logical client: its channels, the cursor a browser would keep, what it got so far."""

    def __init__(self, daemon, user, topics):
        self.daemon = daemon
        self.user, self.topics = user, topics
        self.stream = None
        self.last_id = None
        self.expected = []  # ids of its channels not yet received, in order
        self.missed = 0     # of those, how many of its own user's while it was away
        query = "&".join(f"topic={t}" for t in topics)
        self.path = f"/notifications/{user}" + (f"?{query}" if query else "")

    def hears(self, target):
        return ("broadcast" in target or target.get("user") == self.user
                or self.user in target.get("users", ()) or target.get("topic") in self.topics)

    def connect(self, rng):
        resume = {}
        if self.last_id is not None:
            if rng.random() < 0.5:
                resume = {"last_event_id": self.last_id}
            else:
                path = self.path + ("&" if "?" in self.path else "?")
                self.stream = self.daemon.stream(f"{path}last_event_id={self.last_id}")
                return
        self.stream = self.daemon.stream(self.path, **resume)
        if self.last_id is None:
            self.last_id = self.stream.start_id

    def disconnect(self, rng):
        if rng.random() < 0.3:
            self.stream.http.reset()
        else:
            self.stream.close()
        self.stream = None

    def receive_one(self, test):
        """The next event is exactly the next expected."""
        event = self.stream.next()
        test.assertEqual(event.event, "notification", event)
        test.assertEqual(event.id, self.expected[0][0], f"{self.user} {self.topics}")
        test.assertEqual(event.data, self.expected[0][1])
        self.expected.pop(0)
        self.last_id = event.id


class Many(TestCase):
    options = ("journal.keep_per_user=100000", "streams.queue=8", "streams.max_streams=200")
    seeds = range(1, 4 if TIMES > 1 else 9)
    steps = 500

    def publish(self, rng, subscribers, number):
        kind = rng.choice(["user"] * 5 + ["users", "topic", "topic", "broadcast", "batch"])
        data = f"{number}:" + "d" * rng.choice([0, 10, 100, 5000])

        def target():
            if kind == "users":
                return {"users": rng.sample(USERS, rng.randint(2, 4))}
            if kind == "topic":
                return {"topic": rng.choice(TOPICS)}
            if kind == "broadcast":
                return {"broadcast": True}
            return {"user": rng.choice(USERS)}

        if kind == "batch":
            items = [target() | {"data": f"{data}.{n}"} for n in range(rng.randint(2, 20))]
            response = self.daemon.post(json.dumps(items).encode())
            self.assertEqual(response.status, 200, response)
            results = response.json()["results"]
        else:
            items = [target() | {"data": data}]
            results = [self.daemon.notify(**items[0])]
        for item, result in zip(items, results, strict=True):
            if "users" in item:
                # Each user's copy has an id of its own, of which the answer has the last.
                self.note_users(subscribers, item)
                continue
            for s in subscribers:
                if s.hears(item):
                    s.expected.append((result["id"], item["data"]))

    def note_users(self, subscribers, item):
        kept = {}
        for user in item["users"]:
            last = self.daemon.history(user, "?limit=1000")["notifications"][-1]
            self.assertEqual(last["data"], item["data"])
            kept[user] = last["id"]
        for s in subscribers:
            if s.user in kept:
                s.expected.append((kept[s.user], item["data"]))

    def run_seed(self, seed):
        rng = random.Random(seed)
        for user in USERS:
            self.daemon.request("DELETE", f"/users/{user}/history")
        subscribers = [Subscriber(self.daemon, rng.choice(USERS),
                                  rng.sample(TOPICS, rng.randint(0, 3))) for _ in range(12)]
        try:
            for s in subscribers:
                s.connect(rng)
            for number in range(self.steps):
                action = rng.random()
                s = rng.choice(subscribers)
                if action < 0.6:
                    self.publish(rng, subscribers, number)
                elif action < 0.75 and s.stream:
                    for _ in range(rng.randint(0, len(s.expected))):
                        s.receive_one(self)
                elif s.stream:
                    s.disconnect(rng)
                else:
                    s.connect(rng)
            for s in subscribers:
                if not s.stream:
                    s.connect(rng)
                while s.expected:
                    s.receive_one(self)
            sent = self.daemon.notify(broadcast=True, data="end", ttl=0)
            self.assertEqual(sent["streams"], self.daemon.stats()["streams_open"])
            for s in subscribers:
                self.assertEqual(s.stream.next().data, "end")  # and nothing before it
        finally:
            for s in subscribers:
                if s.stream:
                    s.stream.close()
        for user in USERS:
            self.daemon.wait_streams(user, 0)

    def test_nothing_is_lost_and_nothing_comes_twice(self):
        for seed in [int(os.environ["SEED"])] if "SEED" in os.environ else self.seeds:
            with self.subTest(seed=seed):
                self.run_seed(seed)


class Forgetful(TestCase):
    """Few notifications a user are kept: a gap is due exactly when more were missed."""
    keep = 5
    options = (f"journal.keep_per_user={keep}",)

    def test_a_gap_comes_exactly_where_more_was_missed_than_is_kept(self):
        for seed in range(1, 40 // TIMES + 1):
            rng = random.Random(seed)
            user = f"{self.user}{seed}"
            last = self.daemon.stream(user)
            cursor = last.start_id
            last.close()
            number = 0
            for _ in range(15):
                missed = [f"{number + n}" for n in range(rng.randint(0, 2 * self.keep))]
                number += len(missed)
                for data in missed:
                    self.daemon.notify(user=user, data=data)
                self.daemon.history(user)  # answered when the store has them, and no more than that
                with self.subTest(seed=seed, missed=len(missed)):
                    stream = self.daemon.stream(user, last_event_id=cursor)
                    if len(missed) > self.keep:
                        self.assert_gap(stream.next(), "expired")
                    self.assertEqual(stream.take(min(len(missed), self.keep)),
                                     missed[-self.keep:])
                    stream.expect_quiet(self.daemon, user)
                    cursor = stream.last_id
                    stream.close()


if __name__ == "__main__":
    main()
