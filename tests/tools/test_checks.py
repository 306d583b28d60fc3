"""The checks of `make lint`, fed with trees that are wrong in one way each."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"


class Checks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        for name in ("base/buf.h", "http/request.h", "notify/ring.h", "net/sock.h", "api/api.h",
                     "config/options.h"):
            self.write(f"include/{name}", "")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run_tool(self, tool):
        done = subprocess.run([sys.executable, TOOLS / tool, self.root], text=True,
                              capture_output=True, check=False, timeout=60)
        self.assertEqual(done.stderr, "")
        return done

    def refused(self, name, text, *expected, tool="check-includes"):
        self.write(name, text)
        done = self.run_tool(tool)
        self.assertEqual(done.returncode, 1, done.stdout)
        for part in expected:
            self.assertIn(part, done.stdout)

    def allowed(self, name, text, tool="check-includes"):
        self.write(name, text)
        done = self.run_tool(tool)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_downward_includes_pass(self):
        self.allowed("src/api/api.c", '#include "api/api.h"\n\n#include <string.h>\n'
                     '#include <sys/uio.h>\n#include "notify/ring.h"\n#include "http/request.h"\n')

    def test_an_include_up_is_named_with_file_and_line(self):
        self.refused("src/base/buf.c", '#include "base/buf.h"\n#include "notify/ring.h"\n',
                     "src/base/buf.c:2: base may not include notify")

    def test_an_include_sideways_is_refused(self):
        self.refused("src/notify/ring.c", '#include "http/request.h"\n', "src/notify/ring.c:1:")

    def test_a_face_is_checked_like_a_source(self):
        self.refused("include/http/server.h", '#include "api/api.h"\n', "include/http/server.h:1:")

    def test_api_knows_no_config(self):
        self.refused("src/api/api.c", '#include "config/options.h"\n', "api may not include config")

    def test_blanks_around_the_hash_hide_nothing(self):
        self.refused("src/base/buf.c", ' #  include   "api/api.h"\n', "src/base/buf.c:1:")

    def test_another_folders_private_header_is_refused(self):
        self.write("src/http/conn_priv.h", "")
        self.refused("src/api/api.c", '#include "http/conn_priv.h"\n', "private header")

    def test_a_private_header_beside_its_source_passes(self):
        self.write("src/http/conn_priv.h", "")
        self.allowed("src/http/conn.c", '#include "conn_priv.h"\n')

    def test_a_path_with_dots_is_refused(self):
        self.write("src/http/conn_priv.h", "")
        self.refused("src/api/api.c", '#include "../http/conn_priv.h"\n', "..")

    def test_an_outside_library_stays_in_its_room(self):
        for name, header in (("src/http/conn.c", "llhttp.h"), ("src/http/h1.c", "ev.h"),
                             ("src/notify/ring.c", "cjson/cJSON.h"),
                             ("src/api/a.c", "curl/curl.h"), ("src/api/a.c", "openssl/evp.h")):
            with self.subTest(header):
                self.refused(name, f"#include <{header}>\n", f"<{header}> belongs to")
                (self.root / name).unlink()

    def test_an_outside_library_in_its_room_passes(self):
        self.write("src/net/loop.c", "#include <ev.h>\n")
        self.write("src/cli/http_client.c", "#include <curl/curl.h>\n")
        self.write("src/auth/key.c", "#include <openssl/evp.h>\n")
        self.allowed("src/http/h1.c", "#include <llhttp.h>\n")

    def test_an_unknown_library_is_refused(self):
        self.refused("src/http/h2.c", "#include <nghttp2/nghttp2.h>\n", "no room")

    def test_an_unknown_folder_is_refused(self):
        self.refused("src/misc/x.c", "\n", "no rank")

    def test_style_names_tabs_ends_and_long_lines(self):
        self.refused("src/base/buf.c", "\tint a;\nint b; \n" + "x" * 101 + "\n",
                     "buf.c:1: a tab", "buf.c:2: blanks", "buf.c:3: 101 columns",
                     tool="check-style")

    def test_style_passes_a_line_of_a_hundred(self):
        self.allowed("src/base/buf.c", "x" * 100 + "\n", tool="check-style")

    def test_style_looks_at_the_tests_and_at_python(self):
        for name in ("tests/faults/faults.c", "tests/torture/torture.py", "tools/check"):
            with self.subTest(name):
                self.refused(name, "#!/usr/bin/env python3\n" + "x" * 101 + "\n",
                             f"{name}:2: 101 columns", tool="check-style")
                (self.root / name).unlink()

    def test_style_names_an_import_that_is_not_used(self):
        self.refused("tests/run", "#!/usr/bin/env python3\nimport os.path\nimport re as r\n"
                     "from a import b, c\nprint(r, c)\n", "tests/run:2: os is imported",
                     "tests/run:4: b is imported", tool="check-style")
        self.allowed("tests/run", "#!/usr/bin/env python3\nimport os.path\nos.path.join()\n",
                     tool="check-style")

    def test_style_names_python_that_is_none(self):
        self.refused("tests/a.py", "a = 1\nif a\n", "tests/a.py:2: ", tool="check-style")


if __name__ == "__main__":
    unittest.main()
