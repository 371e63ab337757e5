"""What a part of the benchmark is asked for, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.bench.page import Page
from tests.bench.sheets import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of the command line, as far as they are for every part.

    Attributes:
        quick: one round of what matters most.
        only: names of cases; none: all of them.
        rounds: 0: as many as the part has.
    """

    quick: bool
    only: tuple[str, ...]
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one part, for people, for programs and for the documentation."""

    sheets: list[Sheet]
    plain: dict[str, Any]
    page: Page
