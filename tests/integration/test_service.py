"""What a service manager hands over and is told: readiness, signs of life, sockets."""
import os
import signal
import socket
import subprocess
import sys

from harness import BIN, DEADLINE, TIMES, Daemon, OneDaemonATest, main, wait_for

# Runs argv[3:] with the descriptors of argv[1] as 3, 4, ... and their names in argv[2], as
# sd_listen_fds(3) has it.
HAND_OVER = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in sys.argv[1].split(",")]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds))}
if sys.argv[2]:
    os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.execvp(sys.argv[3], sys.argv[3:])
"""


def given(daemon, sockets, names=""):
    """The daemon will be started with these sockets."""
    command = daemon.command
    daemon.popen = {"pass_fds": [s.fileno() for s in sockets]}
    daemon.command = lambda: [sys.executable, "-c", HAND_OVER,
                              ",".join(str(s.fileno()) for s in sockets), names, *command()]
    return daemon


class Notify(OneDaemonATest):
    def listen(self, path):
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(path)
        self.manager.settimeout(DEADLINE)

    def told(self, wanted):
        """The next message with such a line, as a dictionary."""
        while True:
            lines = self.manager.recv(4096).decode().split("\n")
            if wanted in lines:
                return dict(line.split("=", 1) for line in lines)

    def test_ready_reloading_and_stopping(self):
        path = f"{self.scratch()}/notify"
        self.listen(path)
        daemon = self.start("server.drain_time=3s", env={"NOTIFY_SOCKET": path})
        self.told("READY=1")
        daemon.process.send_signal(signal.SIGHUP)
        self.assertGreater(int(self.told("RELOADING=1")["MONOTONIC_USEC"]), 0)
        self.told("READY=1")
        self.open("u", daemon)
        daemon.process.send_signal(signal.SIGTERM)
        more = int(self.told("STOPPING=1")["EXTEND_TIMEOUT_USEC"])
        self.assertGreaterEqual(more, 3000000)

    def test_an_abstract_socket_and_signs_of_life_while_the_loop_turns(self):
        name = f"sse-notify-test-{os.getpid()}"
        self.listen(f"\0{name}")
        daemon = self.start("journal.type=memory", env={
            "NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": str(400000 * TIMES)})
        self.open("u", daemon)
        wait_for(lambda: self.told("WATCHDOG=1")["STATUS"] == "1 streams of 1 users", "the status")
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            self.manager.settimeout(1)
            with self.assertRaises(TimeoutError):
                while True:  # what was sent before it stood still
                    self.manager.recv(4096)
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)
        self.manager.settimeout(DEADLINE)
        self.told("WATCHDOG=1")

    def test_a_watchdog_of_another_process_is_none_of_its_business(self):
        path = f"{self.scratch()}/notify"
        self.listen(path)
        daemon = self.start("journal.type=memory", env={
            "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
        self.told("READY=1")
        daemon.stop()
        self.manager.setblocking(False)
        self.assertNotIn(b"WATCHDOG", self.manager.recv(4096))

    def test_nobody_listens_there(self):
        daemon = self.start("journal.type=memory", env={"NOTIFY_SOCKET": "/nonexistent/socket"})
        self.assertEqual(daemon.get("/healthz").status, 200)


class Sockets(OneDaemonATest):
    def bound(self):
        sock = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(sock.close)
        return sock, sock.getsockname()[1]

    def launch(self, sockets, names="", *options):
        daemon = given(Daemon(*options, start=False), sockets, names)
        self.addCleanup(lambda: daemon.process and daemon.stop())
        return daemon.start()

    def test_a_restart_refuses_nobody(self):
        sock, port = self.bound()
        daemon = self.launch([sock], "", f"listener.default.address=127.0.0.1:{port}")
        self.assertEqual(daemon.get("/healthz").status, 200)
        daemon.stop()
        waiting = self.connect(daemon)  # while there is no process
        waiting.send_request("GET", "/healthz")
        daemon.start()
        self.assertEqual(waiting.read_response().status, 200)

    def test_they_are_found_by_their_names_where_their_addresses_are_others(self):
        (first, first_port), (second, second_port) = self.bound(), self.bound()
        daemon = self.launch([first, second], "internal:public",
                             "listener.public.address=127.0.0.1:1", "listener.public.role=public",
                             "listener.internal.address=127.0.0.1:2",
                             "listener.internal.role=internal")
        for name, port in (("internal", first_port), ("public", second_port)):
            self.assertEqual(daemon.wait_log("listening", listener=name)["address"],
                             f"127.0.0.1:{port}")
        daemon.port = second_port
        self.assertEqual(daemon.get("/stats").status, 404)
        daemon.port = first_port
        self.assertEqual(daemon.get("/stats").status, 200)

    def test_an_address_counts_before_the_name_of_another(self):
        sock, port = self.bound()
        daemon = self.launch([sock], "default", f"listener.public.address=127.0.0.1:{port}")
        self.assertEqual(daemon.wait_log("listening", listener="public")["address"],
                         f"127.0.0.1:{port}")
        self.assertNotEqual(daemon.wait_log("listening", listener="default")["address"],
                            f"127.0.0.1:{port}")

    def test_a_unix_socket_and_its_file_stay_the_managers(self):
        path = f"{self.scratch()}/socket"
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(path)
        sock.listen()
        daemon = self.launch([sock], "", f"listener.unix.address=unix:{path}")
        self.assertEqual(daemon.wait_log("listening", listener="unix")["address"], f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(path)
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 "))
        daemon.stop()
        self.assertTrue(os.path.exists(path))

    def refused(self, sockets, names, *options):
        daemon = given(Daemon(*options, start=False), sockets, names)
        done = subprocess.run(daemon.command(), env=daemon.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False,
                              **daemon.popen)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_one_that_nobody_serves_is_a_mistake(self):
        sock, _ = self.bound()
        self.assertIn('socket \\"lost\\", which was handed over', self.refused([sock], "lost"))

    def test_one_that_others_can_reach_needs_the_same_word_as_an_address(self):
        with socket.create_server(("0.0.0.0", 0)) as sock:
            self.assertIn("allow_anonymous", self.refused([sock], "default"))

    def test_one_that_does_not_listen_is_refused(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.assertIn("no listening socket", self.refused([sock], "default"))

    def test_those_of_another_process_are_left_alone(self):
        done = subprocess.run([BIN, "serve", "-o", "listener.default.address=192.0.2.1:1"],
                              env={"LISTEN_FDS": "7", "LISTEN_PID": "1", "HOME": self.scratch()},
                              stderr=subprocess.PIPE, text=True, check=False, timeout=DEADLINE)
        self.assertNotIn("handed over", done.stderr)


if __name__ == "__main__":
    main()
