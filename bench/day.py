"""A day's traffic: notifications of random sizes for users, topics and all, with lives of their own,
collapse and idempotency keys, taken back and erased; more by day than by night.

The same seed makes the same traffic. It is sent in batches over a few connections, each answered
before the next. Used by bench/journal and by the integration tests."""
import http.client
import json
import math
import random

BATCH = 200


class Traffic:
    """Publishes to the daemon at `host`:`port`. `users` and `topics` are how many there are, of whom
    few are much busier than most; `max_size` bounds a payload, whose sizes spread over all
    magnitudes from 20 bytes on."""

    def __init__(self, host, port, seed=1, users=2000, topics=50, max_size=60000):
        self.random = random.Random(seed)
        self.users, self.topics, self.max_size = users, topics, max_size
        self.connection = http.client.HTTPConnection(host, port, timeout=60)
        self.filler = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz    ", k=max_size))
        self.recent = []        # (user, id) that may be taken back
        self.published = 0
        self.bytes = 0          # of their payloads
        self.keys = 0
        self.counts = {"expiring": 0, "collapsing": 0, "keyed": 0, "retracted": 0, "erased": 0}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 404):
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if answer.status == 200 else None

    def someone(self, count):
        return int(count * self.random.random() ** 3)

    def size(self):
        return int(math.exp(self.random.uniform(math.log(20), math.log(self.max_size))))

    def notification(self):
        r = self.random
        n = {"data": self.filler[:self.size()]}
        kind = r.random()
        if kind < 0.85:
            n["user"] = f"user-{self.someone(self.users)}"
        elif kind < 0.99:
            n["topic"] = f"topic-{self.someone(self.topics)}"
        else:
            n["broadcast"] = True
        if r.random() < 0.2:
            n["ttl"] = r.choice((1, 2, 5, 20))
            self.counts["expiring"] += 1
        if r.random() < 0.15:
            n["collapse_key"] = f"k{r.randrange(5)}"
            self.counts["collapsing"] += 1
        if r.random() < 0.1:
            self.keys += 1
            n["idempotency_key"] = f"key-{self.keys}"
            self.counts["keyed"] += 1
        return n

    def take_back(self):
        """Some of the newest are retracted, some users erased."""
        for user, id in self.random.sample(self.recent, min(3, len(self.recent))):
            self.ask("DELETE", f"/notifications/{user}/{id}")
            self.counts["retracted"] += 1
        if self.random.random() < 0.2:
            self.ask("DELETE", f"/users/user-{self.someone(self.users)}/history")
            self.counts["erased"] += 1

    def publish(self):
        """One batch. Returns the bytes of its payloads."""
        batch, size = [], 0
        while len(batch) < BATCH and size < 500000:
            batch.append(self.notification())
            size += len(batch[-1]["data"])
        results = self.ask("POST", "/notify", json.dumps(batch))["results"]
        if any("error" in r for r in results):
            raise RuntimeError(f"refused: {[r for r in results if 'error' in r][0]}")
        self.recent = [(n["user"], r["id"]) for n, r in zip(batch, results) if "user" in n]
        self.take_back()
        self.published += len(batch)
        self.bytes += size
        return size

    def close(self):
        self.connection.close()
