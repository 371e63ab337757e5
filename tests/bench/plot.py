"""Panels of bars, in an SVG that follows the reader's light or dark."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

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


@dataclass(frozen=True, slots=True)
class Bar:
    """One contestant's: its label, how long, and whether it is the product's."""

    label: str
    value: float
    ours: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars on one scale. ``form``: how their values are written."""

    title: str
    bars: tuple[Bar, ...]
    form: str = ",.0f"


def plot(title: str, panels: Iterable[Panel]) -> str:
    """All panels that have bars, one below another."""
    drawn, top = [], 20
    for panel in panels:
        if panel.bars:
            drawn.append(_panel(panel, top))
            top += _HEAD + len(panel.bars) * (_BAR + _GAP) + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" '
        'font-family="ui-sans-serif, system-ui, sans-serif" aria-labelledby="t">\n'
        f'  <title id="t">{escape(title)}</title>\n'
        f"  <style>{_STYLE}  </style>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def _panel(panel: Panel, top: int) -> str:
    most = max(bar.value for bar in panel.bars) or 1.0
    first = top + _HEAD - 16
    lines = [f'  <text class="head" x="16" y="{top + 12}">{escape(panel.title)}</text>']
    for number, bar in enumerate(panel.bars):
        lines.append(_bar(bar, bar.value / most, panel.form, first + number * (_BAR + _GAP)))
    bottom = first + len(panel.bars) * (_BAR + _GAP)
    lines.append(f'  <path class="axis" d="M{_LABEL} {first - 4}V{bottom}"/>')
    return "\n".join(lines)


def _bar(bar: Bar, share: float, form: str, top: int) -> str:
    width = max(2.0, share * (_WIDTH - _LABEL - _VALUE - 16))
    kind, own = ("bar ours", ' class="own"') if bar.ours else ("bar", "")
    middle = top + _BAR - 5
    return (
        f'  <text{own} x="{_LABEL - 10}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        f'<text class="small" x="{_LABEL + width + 8:.1f}" y="{middle}">{format(bar.value, form)}</text>'
    )
