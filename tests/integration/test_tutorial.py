"""docs/tutorial.md, as somebody follows it: its commands in their order, word for word but for the
ports, which may be taken."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

from harness import BIN, DEADLINE, ROOT, OneDaemonATest, main, wait_for

TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S)
            for line in block.splitlines()]
SERVERS = ("sse-notify serve", "examples/login.py")


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class Tutorial(OneDaemonATest):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.scratch())
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "sse-notify").symlink_to(BIN)
        shutil.copytree(ROOT / "examples", self.folder / "examples")
        self.daemon_port, self.login_port = free_ports(2)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith("SSE_NOTIFY_")}
        self.env |= {"PATH": f"{self.folder}/bin:{self.env['PATH']}",
                     "STATE_DIRECTORY": str(self.folder / "state")}
        (self.folder / "state").mkdir()

    def own_ports(self, text):
        text = text.replace("8080", str(self.daemon_port)).replace("8000", str(self.login_port))
        return text.replace("login.py --secret secret",
                            f"login.py --secret secret --listen localhost:{self.login_port} "
                            f"--daemon http://localhost:{self.daemon_port}")

    def begin(self, command):
        """A command that goes on, until it listens."""
        port = self.login_port if "login.py" in command else self.daemon_port
        process = subprocess.Popen(["sh", "-c", f"exec {self.own_ports(command)}"],
                                   cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.send_signal, signal.SIGTERM)
        wait_for(lambda: self.listens(port, process), command)

    def listens(self, port, process):
        self.assertIsNone(process.poll(), "it has ended")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def run_one(self, command):
        return subprocess.run(["sh", "-c", self.own_ports(command)], cwd=self.folder, env=self.env,
                              stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=3 * DEADLINE, check=False)

    def test_each_step_does_what_it_says(self):
        config = re.search(r"```ini\n(.*?)```", TEXT, re.S).group(1)
        (self.folder / "sse-notify.conf").write_text(self.own_ports(config))
        shown = {}
        for command in COMMANDS:
            with self.subTest(command):
                if command.startswith(SERVERS):
                    self.begin(command)
                    continue
                done = self.run_one(command)
                # 28: curl's own time is over, as the tutorial says of its stream
                self.assertIn(done.returncode, (28,) if " -m 2 " in command else (0,), done.stdout)
                shown[command] = done.stdout
        self.assertEqual(len(shown) + len(SERVERS), len(COMMANDS))
        tail = next(text for command, text in shown.items() if " tail " in command)
        self.assertIn("Your order has shipped", tail)
        self.assertIn('"streams":0', "".join(shown.values()))
        self.assertIn(": connected ", list(shown.values())[-1])


if __name__ == "__main__":
    main()
