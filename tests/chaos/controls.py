"""Negative controls: with a guard taken out, the same run must fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from gobroke_dist.audit.load import Load
from gobroke_dist.audit.violations import Kind
from tests.chaos import judged
from tests.chaos.run import Scenario
from tests.chaos.schedule import Pace

_NONE = Pace(kill=0, term=0, stop=0, hold=0, freezes=(), redis=0, full=())


Control: TypeAlias = judged.Control[Scenario]


def controls(seed: int) -> Sequence[Control]:
    """The run with every guard in place, then with one guard after the other taken out."""
    base = Scenario(
        "every guard in place",
        seed,
        8.0,
        Load(keys=40, messages=20, work=60, seed=seed),
        pace=replace(_NONE, kill=4, stop=2.5),
        workers=2,
        threads=4,
        patience=8.0,
    )
    # A message has to be finished before it is sent again: so its first sending is held back, and then arrives.
    dedup = replace(base, name="dedup", seconds=12.0, dedup_window=0.0, pace=replace(_NONE, hold=2.0))
    dedup = replace(dedup, load=replace(base.load, work=0))
    return (
        Control("none: every guard in place", (), base),
        Control("fencing", (Kind.DOUBLED, Kind.UNFENCED, Kind.INVERSION, Kind.DUPLICATE), _without("fencing", base)),
        Control("dedup", (Kind.DUPLICATE, Kind.DOUBLED), dedup),
        Control("lease renewal", (Kind.LOST, Kind.TORN), _without("renewal", base)),
        Control("takeover", (Kind.LOST, Kind.TORN), _without("takeover", base)),
        Control("one head per key", (Kind.INVERSION, Kind.OVERLAP), _without("order", base)),
    )


def _without(guard: str, base: Scenario) -> Scenario:
    return replace(base, name=f"without {guard}", sabotage=guard)
