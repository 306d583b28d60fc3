"""The commands of README.md, CONTRIBUTING.md and docs/, as a reader types them: word for word but
for ports and folders, which may be taken. What is not run is listed, with the reason, and its
words are still looked up: targets, suites, subcommands, options."""
import contextlib
import importlib.util
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import unittest

INTEGRATION = pathlib.Path(__file__).resolve().parents[1] / "integration"
sys.path.insert(0, str(INTEGRATION))
from harness import BIN, DEADLINE, ROOT, OneDaemonATest, main, run, wait_for  # noqa: E402

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
BLOCKS = [(page, block) for page, text in TEXTS.items()
          for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)]

# How a block begins that no test runs, and why.
NOT_RUN = {
    ("README.md", "make test"): "it is what runs this",
    ("CONTRIBUTING.md", "make"): "builds and all tests",
    ("docs/kubernetes.md", "docker build"): "needs a registry and a cluster",
    ("docs/kubernetes.md", "kubectl edit"): "needs a cluster",
    ("docs/operations.md", "systemd-sysusers"): "needs systemd as the first process; test_package "
                                                "installs, starts and purges",
    ("docs/operations.md", "ssh -L"): "needs another machine",
    ("docs/performance.md", "make bench "): "a quarter of an hour each",
    ("docs/performance.md", "make bench-guard"): "minutes; the suite guard runs the first",
    ("docs/testing.md", "make test"): "all tests",
    ("docs/testing.md", "make fuzz"): "six hours",
}
PAGE_MAKERS = ("--example", "--reference", "--manual")  # of check-config, not in its help
# Run by another file, which takes all of the page's blocks.
ELSEWHERE = {"docs/tutorial.md": "test_tutorial.py", "docs/webhooks.md": "test_webhooks.py"}
RUN = []  # (page, how the block begins), of those that the tests below run


def block_of(page, beginning):
    found = [block for name, block in BLOCKS if name == page and block.startswith(beginning)]
    assert len(found) == 1, f"{page}: {len(found)} blocks begin with {beginning!r}"
    return found[0]


def runs(*blocks):
    """The test gets these blocks."""
    RUN.extend(blocks)

    def decorate(test):
        def wrapped(self):
            test(self, *(block_of(*each) for each in blocks))
        return wrapped
    return decorate


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Reader(OneDaemonATest):
    """A folder, a program in the path, and a port that stands for 8080."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.scratch())
        for name in ("bin", "build/release", "state"):
            (self.folder / name).mkdir(parents=True)
        for place in ("bin", "build/release"):
            (self.folder / place / "sse-notify").symlink_to(BIN)
        shutil.copy(ROOT / "sse-notify.conf.example", self.folder)
        self.port = str(free_port())
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("SSE_NOTIFY_", "MAKE", "MFLAGS"))}
        self.env |= {"PATH": f"{self.folder}/bin:{self.env['PATH']}",
                     "STATE_DIRECTORY": str(self.folder / "state"),
                     "SSE_NOTIFY_URL": f"http://127.0.0.1:{self.port}"}

    def own(self, text):
        return text.replace("8080", self.port)

    def shell(self, text, **env):
        """To its end; returns exit status and output."""
        done = subprocess.run(["sh", "-ec", self.own(text)], cwd=self.folder, env=self.env | env,
                              stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=3 * DEADLINE, check=False)
        return done.returncode, done.stdout

    def done(self, text, **env):
        status, output = self.shell(text, **env)
        self.assertEqual(status, 0, f"{text}\n{output}")
        return output

    def begin(self, text, cwd=None, **env):
        """Something that goes on; returns what reads its output so far, and ends it."""
        path = self.folder / f"output-{len(list(self.folder.glob('output-*')))}"
        with open(path, "wb") as out:
            process = subprocess.Popen(["sh", "-c", self.own(text)], cwd=cwd or self.folder,
                                       env=self.env | env, stdin=subprocess.DEVNULL, stdout=out,
                                       # curl shows its progress where there is no terminal
                                       stderr=subprocess.DEVNULL if text.startswith("curl")
                                       else subprocess.STDOUT, start_new_session=True)

        def end():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait(2 * DEADLINE)

        self.addCleanup(end)
        return lambda: path.read_text(encoding="utf-8"), end

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", int(self.port))) == 0

    def shows(self, output, text):
        wait_for(lambda: text in output(), f"{text!r} in what it shows")


class ReadMe(Reader):
    @runs(("README.md", "make run"), ("README.md", "curl -N http"), ("README.md", "curl -d"),
          ("README.md", "curl -N -H 'Last-Event-ID"),
          ("README.md", "build/release/sse-notify tail"),
          ("README.md", "build/release/sse-notify check-config"))
    def test_trying_it(self, make_run, stream, send, resume, client, check):
        arguments = f"ARGS='-o listener.default.address=127.0.0.1:{self.port}'"
        self.begin(f"{make_run.strip()} {arguments} BUILD={pathlib.Path(BIN).parent}", ROOT)
        wait_for(self.listens, "the daemon", 6 * DEADLINE)
        shown, end = self.begin(stream)
        self.shows(shown, "\nid: ")
        self.done(send)
        self.shows(shown, "Your order has shipped")
        text = re.search(r"The stream shows\n\n```\n(.*?)```", TEXTS["README.md"], re.S).group(1)
        epoch = re.search("id: (.*)-0\n", shown()).group(1)
        expected = re.escape(text.replace("k3v9wq2m", epoch)).replace("2f0d8c6a9b51e374", r"\w{16}")
        self.assertRegex(shown()[shown().index("retry: "):].rstrip() + "\n", rf"\A{expected}\Z")
        end()
        self.done(send)
        shown, end = self.begin(resume.replace("k3v9wq2m", epoch))
        self.shows(shown, f"id: {epoch}-2\nevent: notification\n")
        self.assertNotIn(f"id: {epoch}-1\nevent", shown())
        end()
        tail, send, watch = client.splitlines()
        shown, _ = self.begin(tail)
        wait_for(lambda: '"online":true' in self.done("curl -s http://localhost:8080/users/alice"),
                 "the stream")
        self.done(send)
        self.shows(shown, '{"state":"failed"}')
        shown, _ = self.begin(watch)
        self.shows(shown, "streams")
        self.done(check)


STEPS = block_of("README.md", "openssl rand")
SERVE = "sse-notify serve -c sse-notify.conf"
MISTAKES = [
    # (the step, what is written in place of what, what the answer must have)
    (1, ("base64 48", "base64 8"), ("secret", "openssl rand -base64 48")),
    (1, ("openssl rand", "true"), ("secret", "0 bytes", "openssl rand")),
    (1, ("> secret && chmod 600 secret", "> sceret"), ("jwt_key_file = secret", "No such file")),
    (2, ("sse-notify key add backend --file keys", "true"), ("keys", "sse-notify key add")),
    (3, ("subscribe = jwt\n", ""), ("auth.subscribe = jwt",)),
    (3, ("publish = key\n", ""), ("auth.publish = key",)),
    (3, ("jwt_key_file = secret\n", ""), ("set jwt_key_file",)),
    (3, ("publish_keys_file = keys\n", ""), ("publish_keys_file", "sse-notify key add")),
    (3, ("jwt_key_file", "jwt_keyfile"), ("sse-notify.conf:5", "jwt_key_file")),
    (3, ("subscribe = jwt", "subscribe = jtw"), ("sse-notify.conf:4", "none", "jwt")),
    (3, ("address = *:8080", "address = 8080"), ("sse-notify.conf:2", "*:PORT")),
    (3, ("[auth]\n", ""), ("sse-notify.conf:3", "subscribe")),
]


class FiveSteps(Reader):
    """From the laptop's daemon to one for everyone."""

    @runs(("README.md", "openssl rand"), ("README.md", 'curl -N -H "Authorization'),
          ("docs/security.md", "curl -N -H"))
    def test_they_lead_there(self, steps, use, app):
        self.assertEqual(re.findall(r"# (\d)\.", steps), list("12345"))
        before, serve, rest = steps.partition(SERVE)
        self.assertEqual((serve, rest.partition("#")[0].strip()), (SERVE, ""))
        key = self.done(before).split()[0]
        self.begin(serve)
        wait_for(self.listens, "the daemon")
        stream, send = use.splitlines()
        shown, _ = self.begin(stream)
        self.shows(shown, ": connected")
        self.assertIn('"streams":1', self.done(send, KEY=key))
        self.shows(shown, "data: hello")
        token = self.done("sse-notify token --user alice -c sse-notify.conf").strip()
        shown, _ = self.begin(app.replace("https://notify.example.com",
                                          f"http://localhost:{self.port}"), TOKEN=token)
        self.shows(shown, ": connected")

        def refused(text, status, *parts):
            output = self.done(text.replace("curl", "curl -s -w '%{http_code}'").replace(" -N", ""))
            self.assertEqual(output[-3:], str(status))
            for part in parts:
                self.assertIn(part, output)

        # What goes wrong behind the last step.
        streams = "http://localhost:8080/notifications/"
        refused(f"curl {streams}alice", 401, "Authorization: Bearer")
        refused(f"curl -H 'Authorization: Bearer {token}x' {streams}alice", 401, "signature")
        refused(f"curl -H 'Authorization: Bearer {token}' {streams}bob", 403, "another user")
        refused("curl -d '{\"user\":\"alice\",\"data\":1}' http://localhost:8080/notify", 401,
                "key")

    def test_a_mistake_in_any_says_what_to_do(self):
        before = STEPS.partition("sse-notify check-config")[0]
        for step, (old, new), parts in MISTAKES:
            with self.subTest(step=step, instead_of=old):
                self.assertIn(old, before)
                (self.folder / "keys").unlink(missing_ok=True)
                (self.folder / "secret").unlink(missing_ok=True)
                self.done(before.replace(old, new, 1))
                for command in ("sse-notify check-config -c sse-notify.conf", SERVE):
                    status, output = self.shell(command)
                    self.assertEqual(status, 2, output)
                    for part in parts:
                        self.assertIn(self.own(part), output, command)

    def test_a_secret_that_all_can_read_is_told(self):
        before = STEPS.partition("sse-notify check-config")[0]
        self.done(before.replace("chmod 600", "chmod 644"))
        shown, _ = self.begin(SERVE)
        self.shows(shown, "chmod o= ")

    def test_a_key_is_not_added_twice(self):
        self.done("sse-notify key add backend --file keys")
        status, output = self.shell("sse-notify key add backend --file keys")
        self.assertEqual(status, 1, output)
        self.assertIn("backend", output)

    def test_a_file_that_is_not_there_and_a_port_that_is_taken_are_named(self):
        for command in ("check-config", "serve"):
            status, output = self.shell(f"sse-notify {command} -c sse-notify.cnf")
            self.assertEqual(status, 2, output)
            self.assertIn("sse-notify.cnf", output)
        self.done(STEPS.partition("sse-notify check-config")[0])
        with socket.create_server(("", int(self.port))):
            status, output = self.shell(SERVE)
        self.assertEqual(status, 2, output)
        self.assertIn(f"*:{self.port}", output)
        self.assertIn("already in use: end the program", output)


class Others(Reader):
    @runs(("docs/journal.md", "sse-notify journal backup"))
    def test_a_backup(self, backup):
        self.begin(f"sse-notify serve -o listener.default.address=127.0.0.1:{self.port}")
        wait_for(self.listens, "the daemon")
        (self.folder / "backup").mkdir()
        self.done(backup.replace("/backup/", f"{self.folder}/backup/"))
        copies = list((self.folder / "backup").iterdir())
        self.done(f"sse-notify journal check {copies[0]}")

    @runs(("docs/kubernetes.md", 'curl -N -H "Authorization'))
    def test_kubernetes_from_a_pod(self, use):
        made = block_of("docs/kubernetes.md", "docker build")
        self.done("\n".join(line for line in made.splitlines()
                            if line.startswith(("openssl", "sse-notify"))))
        other = free_port()
        manifest = (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
        config = re.search(r"sse-notify.conf: \|\n(.*?)^---", manifest, re.S | re.M).group(1)
        config = config.replace("/keys/", "").replace("8081", str(other)).replace(
            "/var/lib/sse-notify/journal", str(self.folder / "journal"))
        (self.folder / "sse-notify.conf").write_text(self.own(config))
        self.begin("exec sse-notify serve -c sse-notify.conf")
        wait_for(self.listens, "the daemon")
        stream, send = use.replace("8081", str(other)).splitlines()
        shown, _ = self.begin(stream)
        self.shows(shown, ": connected")
        self.assertIn('"streams":1', self.done(send))
        self.shows(shown, "data: hello")


# ---- what is not run ----

def commands(block):
    """Its commands as words, without comments."""
    for line in block.replace("\\\n", " ").splitlines():
        with contextlib.suppress(ValueError):  # a heredoc's text
            yield shlex.split(line, comments=True)


def help_of(*words):
    done = run(*words, "--help")
    return done.stdout if done.returncode == 0 else ""


class Words(unittest.TestCase):
    """That nothing is called by a name that it has not got."""

    def test_every_block_is_run_or_listed(self):
        for page, block in BLOCKS:
            first = block.splitlines()[0]
            if page in ELSEWHERE:
                text = (INTEGRATION / ELSEWHERE[page]).read_text(encoding="utf-8")
                self.assertIn(page.rpartition("/")[2], text)
                continue
            taken = [each for each in [*RUN, *NOT_RUN]
                     if each[0] == page and block.startswith(each[1])]
            longest = max((len(each[1]) for each in taken), default=0)
            self.assertEqual(len([each for each in taken if len(each[1]) == longest]), 1,
                             f"{page}: `{first}` is neither run nor listed, or both")
        for page, beginning in NOT_RUN:
            self.assertTrue(any(name == page and block.startswith(beginning)
                                for name, block in BLOCKS), f"{page}: no block `{beginning}`")

    def test_make_has_the_targets(self):
        targets = set(re.findall(r"^([a-z][a-z-]*):", subprocess.run(
            ["make", "-C", ROOT, "-npq", "help"], text=True, capture_output=True, check=False,
            env=os.environ | {"MAKEFLAGS": ""}).stdout, re.M))
        named = {word for _, block in BLOCKS for words in commands(block) if "make" in words
                 for word in words[words.index("make") + 1:] if "=" not in word}
        named |= {word for text in TEXTS.values()
                  for word in re.findall(r"`make ([a-z][a-z-]*)", text)}
        self.assertGreater(len(named), 10)
        self.assertEqual(named - targets, set())

    def test_links_lead_somewhere(self):
        def anchor(heading):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
            return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")

        for name, text in TEXTS.items():
            text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
            for link in re.findall(r'\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"', text):
                link = "".join(link)
                if link.startswith(("http:", "https:")):
                    continue
                file, _, part = link.partition("#")
                path = (ROOT / name).parent / file if file else ROOT / name
                self.assertTrue(path.exists(), f"{name}: {link}")
                if part:
                    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
                    self.assertIn(part, [anchor(each) for each in headings], f"{name}: {link}")

    def test_the_tour_of_the_source_passes_by_every_file(self):
        tour = TEXTS["docs/architecture.md"]
        files = [*ROOT.glob("src/*/*.[cS]"), *ROOT.glob("include/*/*.*")]
        self.assertGreater(len(files), 100)
        missed = [str(path.relative_to(ROOT)) for path in files
                  if not re.search(rf"\b{path.stem}\b", tour)]
        self.assertEqual(missed, [])

    def test_suites_and_tests_are_there(self):
        spec = importlib.util.spec_from_loader("suites", loader=None)
        suites = importlib.util.module_from_spec(spec)
        suites.__file__ = str(ROOT / "tests" / "run")
        exec(compile((ROOT / "tests" / "run").read_text(encoding="utf-8"),  # it has no .py
                     suites.__file__, "exec"), suites.__dict__)
        for _, block in BLOCKS:
            for words in commands(block):
                if "tests/run" in words:
                    self.assertLessEqual(set(words[words.index("tests/run") + 1:]),
                                         set(suites.SUITES))
                if words[:1] == ["python3"]:
                    text = (ROOT / words[1]).read_text(encoding="utf-8")
                    for name in words[2:]:
                        self.assertIn(f"class {name}(", text)

    def test_subcommands_and_options_are_there(self):
        spans = [(page, words) for page, text in TEXTS.items()
                 for span in re.findall(r"`((?:build/release/)?sse-notify [^`]+)`", text)
                 for words in commands(span)]
        spans += [(page, words) for page, block in BLOCKS for words in commands(block)]
        seen = 0
        for page, words in spans:
            for at, word in enumerate(words):
                if word.rpartition("/")[2] == "sse-notify" and words[at + 1:]:
                    self.look_up(page, words[at + 1:])
                    seen += 1
        self.assertGreater(seen, 30)

    def look_up(self, page, words):
        """`words` follow the program's name; they may end in another command's."""
        command = words[0]
        if command.startswith("-") or not re.fullmatch("[a-z][a-z-]*", command):
            return
        text = help_of(command)
        self.assertNotEqual(text, "", f"{page}: sse-notify {command}")
        if command in ("journal", "key") and words[1:] and words[1].isalpha():
            self.assertIn(words[1], text, f"{page}: sse-notify {command} {words[1]}")
            text += help_of(command, words[1])
        for word in words[1:]:
            if word in ("|", "&&", ";", ">"):
                return
            option = re.match(r"--?[a-z][a-z-]*", word)
            if option and option.group() not in PAGE_MAKERS:
                self.assertIn(option.group(), re.findall(r"--?[a-z][a-z-]*", text),
                              f"{page}: sse-notify {' '.join(words)}")


if __name__ == "__main__":
    main()
