"""The drain rates as bars, in an SVG that follows the reader's light or dark."""

from __future__ import annotations

from html import escape

from tests.bench.field import FIELD
from tests.bench.figures import Book
from tests.bench.plan import OURS, Case, Plan

_WIDTH, _LABEL, _VALUE = 860, 250, 70
_BAR, _GAP, _HEAD = 18, 6, 44
_STYLE = """
    text { fill: #1f2328; font-size: 13px } .head { font-size: 15px; font-weight: 600 }
    .small { fill: #57606a } .bar { fill: #8c959f } .ours { fill: #b3261e } .axis { stroke: #d0d7de }
    .own { font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .small { fill: #9da7b1 } .bar { fill: #6e7681 } .ours { fill: #ff7b72 }
      .axis { stroke: #30363d }
    }
"""


def plot(book: Book, plan: Plan) -> str:
    """One panel for each case with a drain rate."""
    panels, top = [], 20
    for case in plan.cases:
        bars = [(name, rate) for name in case.contestants if (rate := book.median(case.name, name, "rate")) is not None]
        if case.kind == "drain" and bars:
            panels.append(_panel(case, bars, top))
            top += _HEAD + len(bars) * (_BAR + _GAP) + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" '
        'font-family="ui-sans-serif, system-ui, sans-serif" aria-labelledby="t">\n'
        '  <title id="t">Messages handled per second</title>\n'
        f"  <style>{_STYLE}  </style>\n" + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(case: Case, bars: list[tuple[str, float]], top: int) -> str:
    most = max(rate for _, rate in bars)
    first = top + _HEAD - 16
    lines = [f'  <text class="head" x="16" y="{top + 12}">{escape(case.title)}: messages per second</text>']
    for number, (name, rate) in enumerate(bars):
        lines.append(_bar(name, rate / most, rate, first + number * (_BAR + _GAP)))
    bottom = first + len(bars) * (_BAR + _GAP)
    lines.append(f'  <path class="axis" d="M{_LABEL} {first - 4}V{bottom}"/>')
    return "\n".join(lines)


def _bar(name: str, share: float, rate: float, top: int) -> str:
    width = max(2.0, share * (_WIDTH - _LABEL - _VALUE - 16))
    ours = name == OURS
    kind, own = ("bar ours", ' class="own"') if ours else ("bar", "")
    middle = top + _BAR - 5
    return (
        f'  <text{own} x="{_LABEL - 10}" y="{middle}" text-anchor="end">{escape(FIELD[name].label)}</text>'
        f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        f'<text class="small" x="{_LABEL + width + 8:.1f}" y="{middle}">{rate:,.0f}</text>'
    )
