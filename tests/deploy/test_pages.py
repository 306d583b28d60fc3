"""The pages that are made from the program: up to date, right roff; completions that complete."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, ROOT, main  # noqa: E402


class Pages(unittest.TestCase):
    def test_they_are_what_the_program_says(self):
        done = subprocess.run([ROOT / "tools" / "make-pages", "--check", BIN], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_groff_has_no_warning(self):
        for page in (ROOT / "docs" / "man").iterdir():
            done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", page], text=True,
                                  capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page.name)


class Bash(unittest.TestCase):
    """What <Tab> offers behind the words; bash has cut them at each '='."""

    def offers(self, *words):
        script = (f"source {ROOT}/deploy/completions/sse-notify.bash; compopt() {{ :; }}\n"
                  'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sse_notify\n'
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", "sse-notify", *words],
                              text=True, capture_output=True, check=False, cwd=ROOT / "deploy")
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands_and_their_options(self):
        self.assertEqual(self.offers("s"), ["serve", "send", "status"])
        self.assertEqual(self.offers("send", "--u"), ["--user", "--url", "--unix"])
        self.assertEqual(self.offers("journal", "ex"), ["export"])
        self.assertIn("--plain", self.offers("journal", "export", "--"))
        self.assertIn("--config", self.offers("--"))

    def test_settings_and_their_words(self):
        self.assertEqual(self.offers("serve", "-o", "streams.ov"), ["streams.overflow="])
        self.assertEqual(self.offers("-o", "streams.overflow", "="),
                         ["catchup", "drop-oldest", "disconnect"])
        self.assertEqual(self.offers("-o", "log.format", "=", "j"), ["json"])

    def test_files(self):
        self.assertEqual(self.offers("serve", "-c", "graf"), ["grafana-dashboard.json"])


if __name__ == "__main__":
    main()
