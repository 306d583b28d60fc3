#!/usr/bin/env python3
"""A receiver of sse-notify's webhooks, with nothing but Python's standard library.

    examples/webhook.py --secret FILE [--listen HOST:PORT]

It stands for the back end that wants to know who is online: it keeps that in memory, where yours has a
database. What it shows is what a receiver must do: check the signature over the very bytes that came,
refuse what is old, take each event once, and answer at once.

    POST /webhooks   the daemon's events (webhooks.url)
    GET /online      who is online, as JSON"""
import argparse
import base64
import collections
import hashlib
import hmac
import http.server
import json
import pathlib
import threading
import time

TOLERANCE = 300      # seconds that the clocks may differ, and that a request may take
REMEMBERED = 10000   # ids of events that were taken: a repeat comes soon, or not at all


def is_signed(secrets, headers, body):
    """Whether one of the signatures is of one of the secrets (Standard Webhooks: there are several of
    either while a secret is replaced)."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = [b"v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
                for secret in secrets]
    given = headers["webhook-signature"].encode().split()
    return any(hmac.compare_digest(e, g) for e in expected for g in given)


def is_recent(headers):
    stamp = headers["webhook-timestamp"]
    return stamp.isdecimal() and abs(time.time() - int(stamp)) <= TOLERANCE


class Presence:
    """Who is online, as told. One lock: events of different users come side by side."""

    def __init__(self):
        self.online = set()
        self.since = {}                             # user: time of the event that was taken last
        self.reset_at = ""
        self.taken = collections.OrderedDict()      # ids of events
        self.lock = threading.Lock()

    def take(self, event_id, event):
        with self.lock:
            if event_id in self.taken:
                return                              # a repeat: its answer was lost
            self.taken[event_id] = True
            if len(self.taken) > REMEMBERED:
                self.taken.popitem(last=False)
            if event["type"] == "presence.reset":   # the daemon has started: nobody is, unless told
                self.online.clear()
                self.since.clear()
                self.reset_at = event["timestamp"]
                return
            user = event["data"].get("user")
            if self.since.get(user, self.reset_at) > event["timestamp"]:
                return                              # one that was slow, and is not true any more
            self.since[user] = event["timestamp"]
            if event["type"] == "user.online":
                self.online.add(user)
            elif event["type"] == "user.offline":
                self.online.discard(user)
            # Other types may be added: they are answered with 204, too.


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"    # so that the daemon can keep its connections
    secrets = ()
    presence = Presence()

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        if self.path != "/webhooks" or size > 65536:
            self.close_connection = True
            self.answer(404)
            return
        body = self.rfile.read(size)
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        if not all(self.headers.get(name) for name in names):
            self.answer(400)
        elif not is_signed(self.secrets, self.headers, body) or not is_recent(self.headers):
            self.answer(401)
        else:
            self.presence.take(self.headers["webhook-id"], json.loads(body))
            self.answer(204)

    def do_GET(self):
        if self.path != "/online":
            self.answer(404)
            return
        with self.presence.lock:
            self.answer(200, json.dumps(sorted(self.presence.online)).encode())

    def log_message(self, *_):
        pass


def read_secrets(path):
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [base64.b64decode(line.removeprefix("whsec_")) for line in lines
            if line and not line.startswith("#")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secret", type=pathlib.Path, required=True)
    parser.add_argument("--listen", default="localhost:8001")
    options = parser.parse_args()
    Receiver.secrets = read_secrets(options.secret)
    host, _, port = options.listen.rpartition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Receiver)
    print(f"http://{host}:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
