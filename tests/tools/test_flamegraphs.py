"""bench/flamegraphs: what is read of the stacks of callgrind and perf, and that drawings add up."""
import re
import unittest
import xml.etree.ElementTree

from measuring import load

import flame
import sampled

flamegraphs = load("flamegraphs")

# As `perf script` prints: the innermost first; what was inlined has the address of what has it.
SCRIPT = """
sse-notify 77 100.000001:     666666 cpu-clock:
\tffffffff81eea81f tcp_sendmsg+0xdf ([kernel.kallsyms])
\t          10ab59 __libc_send+0x19 (inlined)
\t           4014e sock_write+0xce (inlined)
\t           4014e sock_writev+0xce (/build/sse-notify)
\t            90ea ev_run+0xa7a (/usr/lib/libev.so.4)
\tffffffffffffffff [unknown] ([unknown])

sse-notify 77 100.000002:     666666 cpu-clock:
\t            90ea ev_run+0xa7a (/usr/lib/libev.so.4)

"""


class Reading(unittest.TestCase):
    def test_samples_are_stacks_with_the_outermost_first(self):
        stacks, files = sampled.stacks_of(SCRIPT)
        self.assertEqual(stacks, {
            ("ev_run", "sock_writev", "sock_write", "__libc_send", "tcp_sendmsg"): 1,
            ("ev_run",): 1})
        self.assertEqual(files["sock_write"], "/build/sse-notify")
        self.assertEqual(files["tcp_sendmsg"], "[kernel.kallsyms]")
        self.assertNotIn("__libc_send", files)

    def test_names_with_their_callers_are_turned_round(self):
        self.assertEqual(
            flamegraphs.counted_frames("send'flush'2'flush'0x5ed0'ev_run'loop_run'main"),
            ("ev_run", "(libev)", "flush", "send"))


class Drawing(unittest.TestCase):
    def test_boxes_are_as_wide_as_their_cost_and_stand_on_their_caller(self):
        svg = flame.draw({("a",): 25, ("a", "b<c>"): 75, ("d",): 100}, "title", "pieces",
                         lambda name: "own")
        xml.etree.ElementTree.fromstring(svg)
        found = {name: (float(x), int(y), float(width)) for name, x, y, width in re.findall(
            r'<title>(.*?): .*?<rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"', svg)}
        whole = found["all"][2]
        self.assertEqual(whole, flame.WIDTH - 2 * flame.LEFT)
        self.assertEqual(found["a"][2], whole / 2)
        self.assertAlmostEqual(found["b&lt;c&gt;"][2], whole * 3 / 8, 1)
        self.assertEqual(found["b&lt;c&gt;"][0], found["a"][0])
        self.assertEqual(found["b&lt;c&gt;"][1], found["a"][1] - flame.ROW)
        self.assertIn("<title>a: 100 pieces, 50.0 %</title>", svg)


if __name__ == "__main__":
    unittest.main()
