"""The chart of the page: bars, drawn as SVG, in colours that suit a light and a dark page."""
import html

from streams import median

WIDTH, LABEL, BAR, GAP, PANEL_GAP = 760, 250, 14, 3, 16

SERVERS = (("bare loop", "bare"), ("sse-notify", "ours"), ("Nchan", "nchan"))

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .faint { fill: #57606a; }
  .bare { fill: #8c959f; } .ours { fill: #1a7f64; } .nchan { fill: #c9762b; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .faint { fill: #9198a1; }
    .bare { fill: #6e7681; } .ours { fill: #3fb68b; } .nchan { fill: #e3964a; }
  }
"""

PANELS = (
    ("connect, a stream", "µs", 1, ("bare_few", "connect_us"), ("publishes", "connect_us")),
    ("fan-out to 10,000, a delivery", "µs", 1, ("bare_few", "fanout_us"), ("few", "fanout_us")),
    ("the same, 4 in flight", "µs", 1, None, ("few", "merged_us")),
    ("publish to one, with its delivery", "µs", 1, None, ("publishes", "unicast_us")),
    ("coming back, 10 missed, a stream", "µs", 1, None, ("storm", "storm_us")),
    ("memory of a stream", "bytes", 0, None, ("storm", "memory")),
    ("p99 at 5000 publishes a second", "ms", 1, None, ("publishes", "at5000_p99")),
    ("p99 amid fan-outs to 19,000", "ms", 1, None, ("many", "honest_p99")),
)


def bars_of(rounds, bare, path):
    """(class, value) for each server that has one."""
    found = []
    for _, server in SERVERS:
        where = bare if server == "bare" else (f"{server}_{path[0]}", path[1])
        value = median(rounds, *where) if where else None
        if value is not None:
            found.append((server, value))
    return found


def panel(title, unit, digits, bars, top):
    """The lines of one panel, and where it ends. Its longest bar takes all the room there is."""
    most = max(value for _, value in bars) or 1
    room = WIDTH - LABEL - 90
    lines = [f'<text x="{LABEL - 12}" y="{top + 12}" text-anchor="end">{html.escape(title)}'
             "</text>"]
    for server, value in bars:
        width = max(value / most * room, 1)
        lines.append(f'<rect class="{server}" x="{LABEL}" y="{top}" width="{width:.1f}" '
                     f'height="{BAR}" rx="2"/>')
        lines.append(f'<text class="faint" x="{LABEL + width + 6:.1f}" y="{top + 11}">'
                     f"{value:,.{digits}f} {unit}</text>")
        top += BAR + GAP
    return lines, top + PANEL_GAP


def legend():
    lines, x = [], LABEL
    for name, server in SERVERS:
        lines.append(f'<rect class="{server}" x="{x}" y="8" width="12" height="12" rx="2"/>')
        lines.append(f'<text x="{x + 18}" y="18">{name}</text>')
        x += 110
    return lines


def draw(rounds):
    lines, top = legend(), 40
    for title, unit, digits, bare, path in PANELS:
        bars = bars_of(rounds, bare, path)
        if bars:
            more, top = panel(title, unit, digits, bars, top)
            lines += more
    lines.append(f'<text class="faint" x="{LABEL}" y="{top + 2}">Less is better. µs: processor '
                 "time of the server.</text>")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 14}" role="img" '
        'aria-label="Cost of streams and notifications: the bare loop, sse-notify and Nchan">',
        f"<style>{STYLE}</style>", *lines, "</svg>"]) + "\n"
