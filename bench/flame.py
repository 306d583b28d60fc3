"""Draws stacks with their costs as a flame graph: an SVG that needs nothing else to be read. Each
box is a function, as wide as what it and all that it called took; it stands on its caller. A box's
title, which a browser shows under the pointer, has the figures."""
from html import escape

WIDTH, ROW, LEFT, TOP, LETTER = 1200, 17, 10, 46, 6.6
LEAST = 0.4  # pixels: what is narrower is left out
COLOURS = {"own": "#f4a261", "llhttp": "#e9c46a", "library": "#8ecae6", "kernel": "#b7b7d7",
           "other": "#d9d9d9"}


class Frame:
    def __init__(self, name):
        self.name = name
        self.cost = 0
        self.above = {}

    def add(self, stack, cost):
        """The stack's frames stand on this one, the outermost first."""
        self.cost += cost
        if stack:
            name, *rest = stack
            self.above.setdefault(name, Frame(name)).add(rest, cost)

    def height(self):
        return 1 + max((frame.height() for frame in self.above.values()), default=0)


def figure(cost):
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.2f}"


def fitting(name, width):
    letters = int((width - 6) / LETTER)
    if letters >= len(name):
        return name
    return name[:letters - 1] + "…" if letters > 3 else ""


def boxes(frame, x, level, scale, root, kind_of, unit):
    """Yields the SVG of the frame and of all that stands on it. `level` is its top edge."""
    width = frame.cost * scale
    if width < LEAST:
        return
    share = 100 * frame.cost / root.cost
    kind = "other" if frame is root else kind_of(frame.name)
    yield (f'<g><title>{escape(frame.name)}: {figure(frame.cost)} {unit}, {share:.1f} %</title>'
           f'<rect x="{x:.1f}" y="{level}" width="{width:.1f}" height="{ROW - 1}" '
           f'fill="{COLOURS[kind]}"/>')
    text = fitting(frame.name, width)
    if text:
        yield f'<text x="{x + 3:.1f}" y="{level + 12}">{escape(text)}</text>'
    yield "</g>"
    for above in sorted(frame.above.values(), key=lambda f: (-f.cost, f.name)):
        yield from boxes(above, x, level - ROW, scale, root, kind_of, unit)
        x += above.cost * scale


def draw(stacks, title, unit, kind_of):
    """The SVG of {(outermost function, ..., innermost): cost}. `unit` is what costs are counted in,
    kind_of(function) one of COLOURS."""
    root = Frame("all")
    for stack, cost in stacks.items():
        root.add(stack, cost)
    height = TOP + root.height() * ROW + 10
    scale = (WIDTH - 2 * LEFT) / root.cost
    used = {kind_of(name) for stack in stacks for name in stack}
    legend = "".join(
        f'<rect x="{LEFT + 90 * i}" y="26" width="11" height="11" fill="{COLOURS[kind]}"/>'
        f'<text x="{LEFT + 90 * i + 15}" y="36">{kind}</text>'
        for i, kind in enumerate(kind for kind in COLOURS if kind in used))
    drawn = "\n".join(boxes(root, LEFT, height - ROW - 6, scale, root, kind_of, unit))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="monospace" font-size="11">\n'
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
            f'<text x="{LEFT}" y="17" font-size="14">{escape(title)}</text>\n{legend}\n{drawn}\n'
            "</svg>\n")
