"""bench/guard: what is counted in callgrind's files, and what it says of it."""
import contextlib
import io
import tempfile
import unittest

from measuring import load

import callgrind

guard = load("guard")

# outer of a.c has code of its own, some of b.h that was inlined, and calls send of libc, whose file
# is named for the first time as the called one's.
PART = f"""# callgrind format
version: 1
positions: line
events: Ir
summary: 151

ob=(1) /usr/bin/daemon
fl=(1) {callgrind.ROOT}/src/net/a.c
fn=(1) outer
10 20
+2 5
fi=(2) {callgrind.ROOT}/include/base/b.h
* 7
fe=(1)
-3 4
cob=(2) /usr/lib/libc.so.6
cfi=(3) send.c
cfn=(2) send
calls=3 0
12 100

ob=(2)
fl=(3)
fn=(2)
0 100

ob=(1)
fl=(4) /usr/share/llhttp/llhttp.c
fn=(3) parse
7 15
"""

HERE = {"compiler": "gcc 12, x86_64", "libc": "glibc 2.36"}


def agreed(**instructions):
    """Of libraries there were 500 each."""
    return HERE | {"own, libraries": {name: (own, 500) for name, own in instructions.items()}}


class Costs(unittest.TestCase):
    def setUp(self):
        file = tempfile.NamedTemporaryFile("w", suffix=".out")
        self.addCleanup(file.close)
        file.write(PART)
        file.flush()
        self.path = file.name

    def test_each_instruction_is_where_it_was_written_and_a_call_is_not_counted_twice(self):
        self.assertEqual([(file.rpartition("/")[2], function, count)
                          for _, file, function, count in callgrind.costs(self.path)],
                         [("a.c", "outer", 20), ("a.c", "outer", 5), ("b.h", "outer", 7),
                          ("a.c", "outer", 4), ("send.c", "send", 100), ("llhttp.c", "parse", 15)])

    def test_own_code_is_apart_from_libraries_and_llhttp(self):
        self.assertEqual(guard.instructions(self.path, 1), (36, 115))
        self.assertEqual(guard.instructions(self.path, 4), (9, 29))


class Judging(unittest.TestCase):
    def judge(self, counts, before, here=None):
        """(how many are over, what was printed)"""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            bad = guard.judge(counts, before, here or HERE)
        return bad, said.getvalue()

    def test_three_percent_more_is_as_agreed_and_over_that_is_not(self):
        bad, said = self.judge({"a": (1030, 5), "b": (1031, 5)}, agreed(a=1000, b=1000))
        self.assertEqual(bad, 1)
        self.assertRegex(said, r"1031 +\+3\.1 % +5 +-99\.0 %  b   <-- MORE THAN AGREED\n")
        self.assertTrue(said.endswith("1 as agreed, 1 not\n"), said)
        self.assertNotIn("NOTE", said)

    def test_more_than_three_percent_less_asks_for_an_update(self):
        bad, said = self.judge({"a": (960, 5)}, agreed(a=1000))
        self.assertEqual(bad, 0)
        self.assertIn("BETTER: 1 ", said)
        self.assertNotIn("BETTER", self.judge({"a": (980, 5)}, agreed(a=1000))[1])

    def test_another_compiler_is_compared_loosely_and_that_is_said(self):
        other = HERE | {"compiler": "gcc 14, x86_64"}
        bad, said = self.judge({"a": (1190, 5), "b": (1210, 5)}, agreed(a=1000, b=1000), other)
        self.assertEqual(bad, 1)
        self.assertIn("NOTE: compared loosely, at 20 %", said)

    def test_a_fifth_more_of_libraries_is_as_agreed_and_over_that_is_not(self):
        bad, said = self.judge({"a": (1000, 650), "b": (1000, 651)}, agreed(a=1000, b=1000))
        self.assertEqual(bad, 1)
        self.assertRegex(said, "b   <-- MORE THAN AGREED\n")

    def test_another_libc_is_not_compared_and_that_is_said(self):
        bad, said = self.judge({"a": (1000, 5000)}, agreed(a=1000),
                               HERE | {"libc": "glibc 2.41"})
        self.assertEqual(bad, 0)
        self.assertIn("NOTE: libraries are not compared: glibc 2.41 here", said)

    def test_work_that_is_new_or_not_counted_any_more_is_not_passed_over(self):
        self.assertEqual(self.judge({"a": (1000, 5)}, agreed())[0], 1)
        bad, said = self.judge({"a": (1000, 5)}, agreed(a=1000, b=1000))
        self.assertEqual(bad, 1)
        self.assertIn('"b", which is not counted any more', said)


if __name__ == "__main__":
    unittest.main()
