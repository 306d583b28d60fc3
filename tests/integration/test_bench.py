"""sse-notify bench: what it tells of a real daemon, and whether it sees what a bad server does."""
import asyncio
import contextlib
import json
import os
import pathlib
import pty
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from harness import BIN, DEADLINE, ROOT, TIMES, Daemon, TestCase, main, run
from tokens import SECRET, grants, token

QUICK = ("--settle", "0", "-n", "40")


def bench(*arguments, status=0, env=None):
    done = run("bench", *arguments, env=env, seconds=60 * TIMES)
    if done.returncode != status:
        raise AssertionError(f"exit status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def figures(*arguments, status=0):
    """The phases of --json, by what was asked."""
    report = json.loads(bench("--json", *arguments, status=status).stdout)
    return {phase["asked"]: phase for phase in report["phases"]}


class Case(TestCase):
    def url(self):
        return ("--url", f"http://127.0.0.1:{self.daemon.port}")


class Figures(Case):
    """Against the daemon: what it counted itself is what is told."""

    def test_all_phases_come_out_clean_and_as_the_daemon_counted(self):
        before = self.daemon.stats()
        phases = figures(*self.url(), *QUICK, "unicast:count=200", "latency:count=50,rate=500",
                         "fanout:count=5", "mixed:count=40,rate=200,publishers=999", "storm:each=3",
                         "idle:seconds=1")
        after = self.daemon.stats()
        for asked, phase in phases.items():
            with self.subTest(asked):
                for wrong in ("lost", "doubled", "reordered", "misrouted", "refused", "closed"):
                    self.assertEqual(phase.get(wrong, 0), 0, wrong)
                self.assertEqual(phase["open"], 40)
        self.assertEqual(after["streams_opened"] - before["streams_opened"], 80)  # the storm's too
        published = [phases[asked]["sent"] for asked in phases if "sent" in phases[asked]]
        # A storm publishes once before it and once behind it, which its own figures leave out.
        self.assertGreaterEqual(after["notifications_accepted"] - before["notifications_accepted"],
                                sum(published))
        self.assertGreaterEqual(phases["unicast:count=200"]["sent"], 200)
        self.assertEqual(phases["unicast:count=200"]["delivered"],
                         phases["unicast:count=200"]["sent"])
        self.assertEqual(phases["fanout:count=5"]["delivered"], 5 * 40)
        self.assertEqual(phases["storm:each=3"]["wanted"], 120)
        self.assertEqual(phases["storm:each=3"]["replayed"], 120)
        self.assertEqual(phases["storm:each=3"]["heard"], 40)

    def test_the_daemon_on_this_machine_is_found_and_its_cost_told(self):
        phases = figures(*self.url(), *QUICK, "unicast:count=500")
        self.assertGreater(phases["unicast:count=500"]["server_us_per_publish"], 0)
        self.assertGreater(phases["memory"]["rss"], 100_000)
        self.assertGreater(phases["open"]["server_us_per_stream"], 0)

    def test_a_batch_is_one_request(self):
        before = self.daemon.stats()
        asked = "unicast:batch=20,count=400"
        phase = figures(*self.url(), *QUICK, asked)[asked]
        after = self.daemon.stats()
        self.assertEqual(phase["answered"] * 20, phase["sent"])
        self.assertEqual(after["notifications_accepted"] - before["notifications_accepted"],
                         phase["sent"])
        # Besides the publishes: the streams, and this test's own look at the counters.
        self.assertEqual(after["requests"] - before["requests"], phase["answered"] + 40 + 1)

    def test_several_streams_of_a_user_each_get_what_is_published_to_it(self):
        asked = "unicast:count=100"
        phase = figures(*self.url(), *QUICK, "--users", "10", asked)[asked]
        self.assertEqual(phase["delivered"], 4 * phase["sent"])

    def test_only_the_crowd_gets_the_fanouts(self):
        phases = figures(*self.url(), *QUICK, "--crowd", "30", "fanout:count=3", "unicast:count=20")
        unicast = phases["unicast:count=20"]
        self.assertEqual(phases["fanout:count=3"]["delivered"], 90)
        self.assertEqual(unicast["delivered"], unicast["sent"])

    def test_more_than_one_process_can_hold_the_streams(self):
        phases = figures(*self.url(), *QUICK, "--processes", "3", "unicast:count=100", "storm")
        self.assertEqual(phases["unicast:count=100"]["lost"], 0)
        self.assertEqual(phases["storm"]["heard"], 40)

    def test_a_rate_is_kept_and_the_time_as_well(self):
        asked = "latency:rate=200,seconds=1"
        phase = figures(*self.url(), *QUICK, asked)[asked]
        self.assertGreaterEqual(phase["sent"], 150)
        self.assertLessEqual(phase["sent"], 201)
        self.assertEqual(phase["unicast_us"]["n"], phase["sent"])

    def test_publish_waits_for_answers_alone_and_users_need_no_stream(self):
        asked = "publish:count=300,publishers=8"
        before = self.daemon.stats()
        phase = figures(*self.url(), *QUICK, "--users", "400", asked)[asked]
        after = self.daemon.stats()
        self.assertEqual(phase["answered"], phase["sent"])
        self.assertGreaterEqual(phase["sent"], 300)
        self.assertEqual(phase["delivered"], phase["expected"])
        self.assertLess(phase["delivered"], phase["sent"])  # most users have no stream
        self.assertEqual(after["notifications_accepted"] - before["notifications_accepted"],
                         phase["sent"])

    def test_streams_that_catch_up_begin_anew_and_slow_ones_come_through_less_often(self):
        daemon = Daemon("journal.type=memory")
        self.addCleanup(daemon.stop)
        url = ("--url", f"http://127.0.0.1:{daemon.port}", *QUICK)
        figures(*url, "storm:each=20")
        path = ("--stream-path", "/notifications/bench-{user}?last_event_id=earliest")
        asked = "catchup:each=20,seconds=1"
        fast = figures(*url, *path, asked)[asked]
        slow = figures(*url, *path, "--slow", "40", "--slow-rate", "4000", asked)[asked]
        for phase in (fast, slow):
            self.assertEqual((phase["gaps"], phase["doubled"], phase["reordered"],
                              phase["misrouted"], phase["failed"]), (0, 0, 0, 0, 0))
        self.assertGreater(fast["reread"], 40)
        self.assertLessEqual(slow["bytes"], 40 * 4000 * 2)
        self.assertGreater(slow["bytes"], 0)

    def test_addresses_of_the_sources(self):
        streams = figures(*self.url(), *QUICK, "--sources", "5", "unicast:count=20")
        self.assertEqual(streams["open"]["open"], 40)


class Words(Case):
    """What a person sees."""

    def test_it_is_readable_and_a_pipe_gets_no_progress(self):
        done = bench(*self.url(), *QUICK, "-t", "200ms")
        self.assertEqual(done.stderr, "")
        self.assertNotIn("\x1b", done.stdout)
        for line in ("open ", "memory ", "unicast ", "latency ", "fanout ", "storm "):
            self.assertRegex(done.stdout, rf"(?m)^{line}")
        self.assertRegex(done.stdout,
                         r"40 streams in [\d.]+ s, \d+ a second; [\d.]+ us of the server")
        self.assertRegex(done.stdout, r"delivered after [\d.]+ (us|ms) \(median\)")
        self.assertRegex(done.stdout, r"400 of 400 missed came")
        for line in done.stdout.splitlines():
            self.assertLessEqual(len(line), 120, line)

    def test_a_terminal_gets_progress_which_is_gone_in_the_end(self):
        control, terminal = pty.openpty()
        with subprocess.Popen([BIN, "bench", *self.url(), *QUICK, "idle:seconds=1"],
                              stdout=subprocess.PIPE, stderr=terminal) as process:
            os.close(terminal)
            seen = b""
            with contextlib.suppress(OSError):  # the terminal's other end is closed
                while piece := os.read(control, 4096):
                    seen += piece
            out = process.stdout.read()
        os.close(control)
        self.assertEqual(process.returncode, 0)
        self.assertRegex(seen, rb"idle:seconds=1 \d+ %")
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen)
        self.assertNotIn(b"%\n", out)

    def test_an_interrupt_ends_it_with_what_was_measured(self):
        with subprocess.Popen([BIN, "bench", *self.url(), *QUICK, "--json", "idle:seconds=600"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self.daemon.wait_streams("bench-39", 1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"interrupted", err)
        report = json.loads(out)
        self.assertFalse(report["complete"])
        # All are open in the daemon; the answers of some may not have been read yet.
        self.assertIn(report["phases"][0]["open"], range(1, 41))

    def test_a_process_of_its_own_that_is_killed_is_told(self):
        with subprocess.Popen([BIN, "bench", *self.url(), *QUICK, "idle:seconds=600"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self.daemon.wait_streams("bench-39", 1)
            children = f"/proc/{process.pid}/task/{process.pid}/children"
            with open(children, encoding="ascii") as found:
                os.kill(int(found.read().split()[0]), signal.SIGKILL)
            _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 2)
        self.assertIn(b"a process that holds streams has ended", err)

    def test_no_stream_is_left_behind(self):
        bench(*self.url(), *QUICK, "unicast:count=10")
        self.daemon.wait_streams("bench-0", 0)
        self.daemon.wait_streams("bench-39", 0)


class Credentials(Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        key = pathlib.Path(folder.name, "key")
        key.write_bytes(SECRET)
        cls.options = ("auth.subscribe=jwt", "auth.publish=jwt", f"auth.jwt_key_file={key}")
        super().setUpClass()

    def test_one_token_opens_all_streams_and_publishes(self):
        rights = token(None, **grants(["user:*", "topic:*"], ["user:*", "topic:*"]))
        for given in ({"arguments": ("--token", rights)}, {"env": {"SSE_NOTIFY_TOKEN": rights}}):
            done = bench(*self.url(), *QUICK, *given.get("arguments", ()), "unicast:count=50",
                         "fanout:count=2", env=given.get("env"))
            self.assertNotIn(rights, done.stdout + done.stderr)

    def test_without_it_the_server_s_reason_is_told(self):
        done = bench(*self.url(), *QUICK, "unicast:count=50", status=1)
        self.assertRegex(done.stdout, r"first failure: status 401: .+")
        self.assertIn("40 failed", done.stdout)

    def test_streams_that_open_but_may_not_be_published_to(self):
        rights = token(None, **grants(["user:*", "topic:*"]))
        done = bench(*self.url(), *QUICK, "--token", rights, "unicast:count=50", status=1)
        self.assertRegex(done.stdout, r"wrong: \d+ publishes failed")
        self.assertRegex(done.stdout, r"first failure: status 403: .+")


class Mistakes(unittest.TestCase):
    def test_the_page_has_the_help_as_it_is_printed(self):
        page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
        self.assertIn(f"```\n{bench('--help').stdout}```\n", page)

    def test_wrong_usage_names_what_is_wrong(self):
        for arguments, part in ((["flood"], "there is no phase flood"),
                                (["unicast:speed=3"], "there is no setting speed"),
                                (["latency:rate=0"], "rate=0: must be a whole number from 1"),
                                (["unicast:window"], "a setting is NAME=VALUE"),
                                (["--crowd", "9", "-n", "5"], "there are 5 streams in all"),
                                (["--crowd", "5", "-n", "5", "unicast"], "there is no user"),
                                (["--url", "https://localhost"], "https is not measured"),
                                (["--header", "nothing"], "--header"),
                                (["--slow-rate", "30000000"], "--slow-rate"),
                                (["--pid", "4194305"], "there is no such process")):
            with self.subTest(arguments):
                done = bench(*arguments, status=2)
                self.assertIn(part, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_nobody_listens(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            done = bench("--url", f"http://127.0.0.1:{port}", status=3)
        self.assertIn(f"cannot connect to 127.0.0.1:{port}: Connection refused", done.stderr)

    def test_too_few_descriptors_tells_the_limit_and_the_cure(self):
        daemon = Daemon()
        self.addCleanup(daemon.stop)
        command = [BIN, "bench", "--url", f"http://127.0.0.1:{daemon.port}", "-n", "500",
                   "--processes", "1", "idle"]
        done = subprocess.run(
            command, text=True, capture_output=True, timeout=DEADLINE, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, r"may have 300: raise that \(ulimit .* --processes 2")

    def test_a_server_with_too_few_descriptors_is_named_with_its_limit(self):
        daemon = Daemon(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)))
        self.addCleanup(daemon.stop)
        done = bench("--url", f"http://127.0.0.1:{daemon.port}", "-n", "200", "--open-limit", "1",
                     "idle", status=1)
        self.assertIn("the server may have 100 descriptors", done.stderr)
        self.assertIn("were not open when the time was over", done.stdout)


class Liar:
    """A server of event streams with a fault of its own. Streams are GET .../NAME, publishes POST
    {"user":NAME,"data":...}; NAME all is everyone."""

    def __init__(self, fault="", chunked=False, split=0, status=200):
        self.fault, self.chunked, self.split, self.status = fault, chunked, split, status
        self.streams = {}
        self.published = 0
        self.injected = 0
        self.held = {}
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE)
        self.server.close()
        self.loop.close()

    def url(self):
        return ("--url", f"http://127.0.0.1:{self.port}/base", "--stream-path", "/s/{user}",
                "--crowd-path", "/s/all", "--fanout-body", '{"user":"all","data":"{payload}"}',
                "--publish-body", '{"user":"{user}","data":"{payload}"}')

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = head.decode().split(" ", 2)[:2]
                assert path.startswith("/base/"), path
                if method == "GET":
                    await self.stream(path.rsplit("/", 1)[1], reader, writer)
                    return
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                message = json.loads(await reader.readexactly(length))
                await self.publish(message["user"], message["data"].encode())
                writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for streams in self.streams.values():
                if writer in streams:
                    streams.remove(writer)
            writer.close()

    async def stream(self, name, reader, writer):
        if self.status != 200:
            detail = b'{"title":"Unauthorized","detail":"The token has expired."}'
            writer.write(b"HTTP/1.1 %d No\r\nContent-Type: application/problem+json\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (self.status, len(detail), detail))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" +
                         (b"Transfer-Encoding: chunked\r\n" if self.chunked else b"") + b"\r\n")
            self.streams.setdefault(name, []).append(writer)
        await reader.read()

    async def send(self, writer, data):
        event = b"id: %d\r\ndata: %s\n\n" % (self.published, data)
        if self.chunked:  # two chunks, cut in the middle of the mark
            half = len(event) // 2
            event = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece)
                             for piece in (event[:half], event[half:]))
        for at in range(0, len(event), self.split or len(event)):
            writer.write(event[at:at + (self.split or len(event))])
            if self.split:
                await writer.drain()
                await asyncio.sleep(0)

    async def publish(self, user, data):
        self.published += 1
        errs = self.published % 50 == 0
        if self.fault == "stall" and self.published == 50:
            await asyncio.sleep(0.3)
        for writer in list(self.streams.get(user, [])):
            if errs and self.fault in ("lose", "swap"):
                self.injected += 1
                if self.fault == "swap":  # it comes behind the next one
                    self.held[writer] = data
                continue
            await self.send(writer, data)
            if writer in self.held:
                await self.send(writer, self.held.pop(writer))
            if errs and self.fault == "double":
                self.injected += 1
                await self.send(writer, data)
        if errs and self.fault == "misroute":
            other = next(streams for name, streams in self.streams.items() if name != user)
            self.injected += 1
            await self.send(other[0], data)


class Liars(unittest.TestCase):
    """Every kind of error is counted as that, exactly."""
    WRONGS = ("lost", "gaps", "doubled", "reordered", "misrouted")

    def against(self, server, phase, *arguments, status=1):
        with server:
            found = figures(*server.url(), "--settle", "0", "-n", "20", "--users", "5", *arguments,
                            phase, status=status)[phase]
        return found, {wrong: found[wrong] for wrong in self.WRONGS if found[wrong] != 0}

    def test_no_error_is_seen_where_there_is_none_however_the_bytes_come(self):
        for chunked in (False, True):
            for split in (0, 1, 7):
                with self.subTest(chunked=chunked, split=split):
                    found, wrongs = self.against(Liar(chunked=chunked, split=split),
                                                 "unicast:count=60", status=0)
                    self.assertEqual(wrongs, {})
                    self.assertEqual(found["delivered"], 4 * found["sent"])

    def test_lost(self):
        server = Liar("lose")
        found, wrongs = self.against(server, "unicast:count=260,publishers=1,window=4")
        self.assertEqual(wrongs.pop("lost"), server.injected)
        self.assertLessEqual(wrongs.pop("gaps"), server.injected)
        self.assertEqual(wrongs, {})
        self.assertEqual(found["delivered"], 4 * found["sent"] - server.injected)

    def test_doubled(self):
        server = Liar("double")
        _, wrongs = self.against(server, "unicast:count=260")
        self.assertEqual(wrongs, {"doubled": server.injected})
        self.assertGreater(server.injected, 0)

    def test_out_of_order(self):
        server = Liar("swap")  # two are held back, and none in the end
        _, wrongs = self.against(server, "fanout:count=120,window=4", "--crowd", "15")
        self.assertEqual(wrongs, {"reordered": 30, "gaps": 30})

    def test_to_the_wrong_stream(self):
        server = Liar("misroute", chunked=True)
        _, wrongs = self.against(server, "unicast:count=260")
        self.assertEqual(wrongs, {"misrouted": server.injected})
        self.assertGreater(server.injected, 0)

    def test_a_stall_shows_in_all_that_was_due_meanwhile(self):
        phase = "latency:rate=300,seconds=1,publishers=1"
        found, wrongs = self.against(Liar("stall"), phase, "--users", "20", status=0)
        self.assertEqual(wrongs, {})
        self.assertGreater(found["unicast_us"]["max"], 290_000)
        self.assertGreater(found["unicast_us"]["p90"], 100_000)

    def test_a_refusal_is_told_as_the_server_said_it(self):
        with Liar(status=401) as server:
            done = bench(*server.url(), "-n", "5", "idle", status=1)
        self.assertIn("first failure: status 401: The token has expired.", done.stdout)
        self.assertIn("5 failed", done.stdout)
        self.assertIn("not all streams opened", done.stderr)


if __name__ == "__main__":
    main()
