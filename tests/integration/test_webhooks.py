"""Webhooks: what a back end is told of who is online, by a receiver that verifies every request."""
import base64
import collections
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness import BIN, DEADLINE, ROOT, OneDaemonATest, main, quote, run, wait_for

SECRETS = [f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2)]
CURE = "`(printf whsec_; openssl rand -base64 32) >FILE` makes one"
FAILING = "webhooks are not delivered"

Event = collections.namedtuple("Event", "id at type user body signatures headers")


def signature(secret, event_id, at, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{event_id}.{at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


class Receiver:
    """Takes what is posted, and answers as `behave` says: a function of the event that returns a
    status, or a status with headers. Everything that comes must be well-formed and signed."""

    def __init__(self, port=0, behave=None):
        self.behave = behave or (lambda _: 204)
        self.events = []
        self.faults = []
        self.news = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.take(self, body)
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64

            def handle_error(self, *_):  # the daemon has given up the request
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?key=k"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self, request, body):
        try:
            event = self.parse(request, body)
        except Exception as why:  # pylint: disable=broad-except
            self.faults.append(f"{why!r} in {body!r} {request.headers}")
            return 400
        with self.news:
            self.events.append(event)
            self.news.notify_all()
        return self.behave(event)

    @staticmethod
    def parse(request, body):
        headers = request.headers
        assert request.path == "/hook?key=k", request.path
        assert headers["Content-Type"] == "application/json"
        assert headers["User-Agent"].startswith("sse-notify/")
        assert re.fullmatch("msg_[0-9a-f]{16}_[0-9]+", headers["webhook-id"])
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        event = json.loads(body)
        assert set(event) == {"type", "timestamp", "data"}, event
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
        return Event(headers["webhook-id"], event["timestamp"], event["type"],
                     event["data"].get("user"), body, headers["webhook-signature"].split(), headers)

    def wait(self, count, seconds=DEADLINE):
        """The first `count` events, which must have come in time."""
        end = time.monotonic() + seconds
        with self.news:
            while len(self.events) < count:
                if not self.news.wait(max(end - time.monotonic(), 0)):
                    raise AssertionError(f"{len(self.events)} of {count} events: {self.told()}")
            return self.events[:count]

    def told(self):
        return [(e.type, e.user) for e in self.events]


class Case(OneDaemonATest):
    def receiver(self, **options):
        receiver = Receiver(**options)
        self.addCleanup(receiver.close)
        self.addCleanup(lambda: self.assertEqual(receiver.faults, []))
        return receiver

    def start_told(self, receiver_url, *options, secrets=SECRETS[:1], **more):
        self.secret = pathlib.Path(self.scratch()) / "secret"
        self.secret.write_text("\n".join(secrets) + "\n")
        self.secret.chmod(0o600)
        return self.start(f"webhooks.url={receiver_url}", f"webhooks.secret_file={self.secret}",
                          *options, **more)

    def assert_signed(self, event, *secrets):
        at = event.headers["webhook-timestamp"]
        self.assertEqual(event.signatures,
                         [signature(s, event.id, at, event.body) for s in secrets])

    def wait_stat(self, daemon, name, value):
        wait_for(lambda: daemon.stats()[name] == value, f"{name} {value}")

    def metric(self, daemon, **labels):
        label = ",".join(f'{k}="{v}"' for k, v in labels.items())
        page = daemon.get("/metrics").body.decode()
        found = re.search(rf"^sse_notify_webhook_events_total\{{{label}\}} (\d+)$", page, re.M)
        return int(found.group(1))


class Told(Case):
    def test_who_comes_and_who_goes_signed_and_in_order(self):
        receiver = self.receiver()
        daemon = self.start_told(receiver.url, "webhooks.grace=0")
        first, second = self.open(quote("älice"), daemon), self.open(quote("älice"), daemon)
        receiver.wait(2)
        first.close()
        daemon.wait_streams("älice", 1)
        second.close()
        events = receiver.wait(3)
        self.open(quote("älice"), daemon)
        events = receiver.wait(4)
        self.assertEqual(receiver.told(), [
            ("presence.reset", None), ("user.online", "älice"), ("user.offline", "älice"),
            ("user.online", "älice")])
        self.assertEqual(len({e.id for e in events}), 4)
        self.assertEqual([e.at for e in events], sorted(e.at for e in events))
        for event in events:
            self.assert_signed(event, SECRETS[0])
        self.wait_stat(daemon, "webhook_events_delivered", 4)
        self.assertEqual(self.metric(daemon, result="delivered"), 4)
        self.assertEqual(daemon.stats()["webhook_users_waiting"], 0)
        self.assertNotIn("key=k", daemon.log_text())
        self.assertNotIn("whsec_", daemon.log_text())

    def test_a_page_that_is_loaded_again_is_no_news(self):
        receiver = self.receiver()
        daemon = self.start_told(receiver.url, "webhooks.grace=1s")
        stream = self.open("u", daemon)
        receiver.wait(2)
        for n in range(3):
            stream.close()
            daemon.wait_streams("u", 0)
            stream = self.open("u", daemon)
            self.wait_stat(daemon, "webhook_events_cancelled", n + 1)
        stream.close()
        receiver.wait(3)
        self.assertEqual(receiver.told()[1:], [("user.online", "u"), ("user.offline", "u")])

    def test_of_one_user_in_order_and_of_many_side_by_side(self):
        under_way, lock = collections.Counter(), threading.Lock()
        is_full, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        most, twice = [0], []

        def behave(event):
            with lock:
                under_way[event.user] += 1
                most[0] = max(most[0], under_way.total())
                if under_way[event.user] > 1:
                    twice.append(event.user)
                if most[0] == 16:
                    is_full.set()
            if event.user:
                go_on.wait(DEADLINE)
            with lock:
                under_way[event.user] -= 1
            return 200

        receiver = self.receiver(behave=behave)
        daemon = self.start_told(receiver.url, "webhooks.grace=0")
        streams = [self.open(f"u{n}", daemon) for n in range(24)]
        self.assertTrue(is_full.wait(DEADLINE))
        self.wait_stat(daemon, "webhook_requests_in_flight", 16)
        for stream in streams[1:]:
            stream.close()
        self.wait_stat(daemon, "users_online", 1)
        go_on.set()
        self.wait_stat(daemon, "webhook_users_waiting", 0)
        self.assertEqual((most, twice), ([16], []))
        told = collections.defaultdict(list)
        for event in receiver.events[1:]:
            told[event.user].append(event)
        self.assertEqual(len(told), 16)  # the news of others had turned back before it was told
        self.assertEqual([e.type for e in told.pop("u0")], ["user.online"])
        for events in told.values():
            self.assertEqual([e.type for e in events], ["user.online", "user.offline"])
            self.assertLessEqual(events[0].at, events[1].at)

    def test_streams_that_end_with_the_daemon_are_no_news(self):
        receiver = self.receiver()
        daemon = self.start_told(receiver.url, "webhooks.grace=0")
        self.open("u", daemon)
        receiver.wait(2)
        daemon.restart()
        self.open("u", daemon)
        receiver.wait(4)
        self.assertEqual(receiver.told(), [("presence.reset", None), ("user.online", "u")] * 2)

    def test_a_request_that_is_under_way_may_end_in_a_shutdown(self):
        begun, go_on = threading.Event(), threading.Event()

        def behave(event):
            if event.user:
                begun.set()
                go_on.wait(DEADLINE)
            return 200

        receiver = self.receiver(behave=behave)
        daemon = self.start_told(receiver.url, "server.drain_time=20s")
        self.open("u", daemon)
        self.assertTrue(begun.wait(DEADLINE))
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in daemon.log_text(), "the drain")
        go_on.set()
        daemon.stop()
        self.assertEqual(receiver.told()[1:], [("user.online", "u")])


class Trouble(Case):
    def test_an_answer_500_is_tried_again_as_the_same_event(self):
        answers = {"u": [500]}
        receiver = self.receiver(behave=lambda e: (answers.get(e.user) or [204]).pop())
        daemon = self.start_told(receiver.url)
        self.open("u", daemon)
        daemon.wait_log(FAILING, reason="the answer is 500")
        self.open("v", daemon)  # is not held up
        events = wait_for(lambda: len([e for e in receiver.events if e.user == "u"]) == 2
                          and receiver.events, "two attempts")
        attempts = [e for e in events if e.user == "u"]
        self.assertEqual({(e.id, e.body) for e in attempts}, {(attempts[0].id, attempts[0].body)})
        self.assertLess(receiver.told().index(("user.online", "v")),
                        events.index(attempts[-1]))
        for event in attempts:
            self.assert_signed(event, SECRETS[0])
        self.wait_stat(daemon, "webhook_attempts_failed", 1)

    def test_a_receiver_that_comes_later(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            daemon = self.start_told(f"http://127.0.0.1:{port}/hook?key=k")
            self.open("u", daemon)
            daemon.wait_log(FAILING)
        receiver = self.receiver(port=port)
        receiver.wait(2)
        self.assertEqual(receiver.told(), [("presence.reset", None), ("user.online", "u")])
        daemon.wait_log("webhooks are delivered again")

    def test_a_receiver_that_hangs(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        receiver = self.receiver(
            behave=lambda e: go_on.wait(DEADLINE) and 204 if len(receiver.events) == 2 else 204)
        daemon = self.start_told(receiver.url, "webhooks.timeout=300ms")
        self.open("u", daemon)
        events = receiver.wait(3)
        self.assertEqual(events[1].id, events[2].id)
        self.assertIn("timed out", daemon.wait_log(FAILING)["reason"])
        self.wait_stat(daemon, "webhook_events_delivered", 2)

    def test_redirects_are_not_followed(self):
        receiver = self.receiver(behave=lambda _: (307, {"Location": "/elsewhere"}))
        daemon = self.start_told(receiver.url)
        daemon.wait_log(FAILING, reason="the answer is 307, and redirects are not followed")

    def test_what_waits_has_a_bound(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        receiver = self.receiver(behave=lambda _: go_on.wait(DEADLINE) and 204)
        daemon = self.start_told(receiver.url, "webhooks.queue=2")
        for n in range(5):
            self.open(f"u{n}", daemon)
        self.assertEqual(daemon.stats()["webhook_users_waiting"], 2)
        self.assertEqual(self.metric(daemon, result="queue-full"), 3)
        daemon.wait_log("webhooks dropped", reason="the queue is full")
        go_on.set()
        receiver.wait(3)
        self.wait_stat(daemon, "webhook_users_waiting", 0)
        self.assertEqual(sorted(receiver.told()[1:]),
                         [("user.online", "u0"), ("user.online", "u1")])
        self.assertEqual(len(daemon.log("webhooks dropped")), 1)

    def test_what_cannot_be_told_is_dropped_after_a_while(self):
        receiver = self.receiver(behave=lambda e: 400 if e.user == "u" else 204)
        daemon = self.start_told(receiver.url, "webhooks.keep_trying=1s")
        self.open("u", daemon)
        daemon.wait_log("webhooks dropped", reason="keep_trying is over")
        self.assertEqual(self.metric(daemon, result="expired"), 1)

    def test_a_receiver_that_is_gone_gets_nothing_more(self):
        receiver = self.receiver(behave=lambda e: 410 if e.user == "u" else 204)
        daemon = self.start_told(receiver.url)
        self.open("u", daemon)
        daemon.wait_log("webhooks are over until the next start: the receiver has answered 410 "
                        "(Gone)")
        self.open("v", daemon)
        self.wait_stat(daemon, "webhook_events_gone", 2)
        self.assertEqual(len(receiver.events), 2)


class Settings(Case):
    def serve(self, text, *options):
        """What the daemon and check-config say of a secret file."""
        path = pathlib.Path(self.scratch()) / "secret"
        if text is not None:
            path.write_text(text)
        given = ["-o", "webhooks.url=http://127.0.0.1:9/", "-o", f"webhooks.secret_file={path}",
                 "-o", "listener.default.address=127.0.0.1:0", *options]
        started, checked = run("serve", *given), run("check-config", *given)
        self.assertEqual((started.returncode, checked.returncode), (2, 2), started.stderr)
        sentence = checked.stderr.strip()
        self.assertIn(sentence, started.stderr)
        return sentence.removeprefix(f"webhooks.secret_file = {path}: ")

    def test_a_secret_that_is_none_is_told_with_its_cure(self):
        self.assertEqual(self.serve(None),
                         f"cannot be read: No such file or directory; {CURE}")
        self.assertEqual(self.serve("\n"), f"has no secret in it; {CURE}")
        self.assertEqual(self.serve("# mine\nhunter2\n"),
                         f"line 2: does not begin with whsec_; {CURE}")
        self.assertEqual(self.serve("whsec_aHVudGVyMg==\n"),
                         f"line 1: must be whsec_ and then 24 to 64 bytes in base64; {CURE}")

    def test_a_url_needs_a_secret(self):
        path = pathlib.Path(self.scratch()) / "a.conf"
        path.write_text("[webhooks]\nurl = https://app.example.com/hook?key=k\n")
        done = run("check-config", "-c", path)
        self.assertEqual((done.returncode, done.stderr), (2, (
            f"{path}:2: [webhooks] url: needs secret_file, by which the receiver knows who has "
            f"sent; {CURE}\n")))

    def test_a_secret_that_all_can_read_is_warned_of(self):
        receiver = self.receiver()
        secret = pathlib.Path(self.scratch()) / "secret"
        secret.write_text(SECRETS[0])
        secret.chmod(0o644)
        daemon = self.start(f"webhooks.url={receiver.url}", f"webhooks.secret_file={secret}")
        wait_for(lambda: any(e["message"].startswith(f"webhooks.secret_file = {secret}: every user")
                             for e in daemon.log()), "a warning")

    def test_a_secret_is_replaced_while_both_are_good(self):
        receiver = self.receiver()
        daemon = self.start_told(receiver.url)
        for count, secrets in enumerate((SECRETS[::-1], SECRETS[1:]), 1):
            self.secret.write_text("\n".join(secrets))
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_log("configuration reloaded", count)
            self.open(f"u{count}", daemon)
            self.assert_signed(receiver.wait(1 + count)[-1], *secrets)
        self.secret.write_text("whsec_\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("SIGHUP: the configuration is refused; what was in force stays in force")
        self.open("u3", daemon)
        self.assert_signed(receiver.wait(4)[-1], SECRETS[1])

    def test_a_reload_changes_the_grace(self):
        receiver = self.receiver()
        path = pathlib.Path(self.scratch()) / "a.conf"
        path.write_text("[webhooks]\ngrace = 1h\n")
        daemon = self.start_told(receiver.url, arguments=["-c", str(path)])
        self.open("u", daemon)
        receiver.wait(2)
        path.write_text("[webhooks]\ngrace = 0\n")
        daemon.process.send_signal(signal.SIGHUP)
        self.assertEqual(daemon.wait_log("configuration reloaded")["changed"], "webhooks.grace")
        daemon.request("DELETE", "/users/u/streams")
        receiver.wait(3)
        self.assertEqual(receiver.told()[2], ("user.offline", "u"))


class Page(Case):
    """docs/webhooks.md, as somebody follows it, but for the ports."""

    def test_its_receiver_knows_who_is_online(self):
        text = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
        config = re.search(r"```ini\n(.*?)```", text, re.S).group(1)
        commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S)
                    for line in block.splitlines()]
        make, receive, check, serve, listen, ask = commands
        folder = pathlib.Path(self.scratch())
        shutil.copytree(ROOT / "examples", folder / "examples")
        (folder / "sse-notify").symlink_to(pathlib.Path(BIN).resolve())
        env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
        subprocess.run(["sh", "-ec", make], cwd=folder, env=env, check=True, timeout=DEADLINE)
        receiver = subprocess.Popen(["sh", "-c", f"exec {receive} --listen localhost:0"],
                                    cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
        self.addCleanup(receiver.stdout.close)
        self.addCleanup(receiver.wait, DEADLINE)
        self.addCleanup(receiver.kill)
        port = receiver.stdout.readline().rstrip("/\n").rpartition(":")[2]
        (folder / "sse-notify.conf").write_text(config.replace("8001", port))
        subprocess.run(["sh", "-ec", check], cwd=folder, env=env, check=True, timeout=DEADLINE,
                       stdout=subprocess.DEVNULL)
        self.assertTrue(serve.endswith("serve -c sse-notify.conf"), serve)
        self.assertIn("alice", listen)
        daemon = self.start("webhooks.grace=0", cwd=folder, arguments=serve.split()[2:])

        def online():
            command = ask.replace("8001", port)
            done = subprocess.run(["sh", "-c", command], cwd=folder, env=env, check=True,
                                  timeout=DEADLINE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
            return json.loads(done.stdout)

        self.open("bob", daemon)
        stream = self.open("alice", daemon)
        wait_for(lambda: online() == ["alice", "bob"], "both")
        stream.close()
        wait_for(lambda: online() == ["bob"], "bob alone")
        self.assert_refuses_forged(int(port), (folder / "secret").read_text().strip())
        self.assertEqual(online(), ["bob"])
        self.wait_stat(daemon, "webhook_attempts_failed", 0)

    def assert_refuses_forged(self, port, secret):
        """What is signed with another secret, and what is old."""
        body = json.dumps({"type": "user.online", "timestamp": "2030-01-01T00:00:00.000Z",
                           "data": {"user": "eve"}}).encode()
        now = int(time.time())
        for at, signer in ((now, SECRETS[0]), (now - 3600, secret)):
            head = "\r\n".join([
                "POST /webhooks HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}",
                "webhook-id: msg_1", f"webhook-timestamp: {at}",
                f"webhook-signature: {signature(signer, 'msg_1', at, body)}", "", ""])
            with socket.create_connection(("localhost", port), DEADLINE) as s:
                s.sendall(head.encode() + body)
                self.assertIn(b" 401 ", s.recv(1000))


if __name__ == "__main__":
    main()
