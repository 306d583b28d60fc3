"""Medians with their spread, rows that judge, and the page that has them."""
import statistics

from lib.machine import ROOT

PAGE = ROOT / "docs" / "performance.md"


def spread(values, digits):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def row(what, figure, values, digits, limit, unit, judge=statistics.median):
    met = "yes" if judge(values) <= limit else "**no**"
    return f"| {what} | {figure} | {spread(values, digits)}{unit} | {limit}{unit} | {met} |"


def write_page(text, section="table"):
    """Puts `text` between the page's markers of that section."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    page = PAGE.read_text()
    head, rest = page.split(begin)
    tail = rest.split(end)[1]
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")
