"""The statistics: medians over rounds, and ratios that are taken within a round before their median is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

Series = dict[int, float]
"""Round -> figure."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a figure is of: a case, a contestant, and the figure's name."""

    case: str
    contestant: str
    figure: str


@dataclass(slots=True)
class Book:
    """All figures of a run.

    Attributes:
        series: each figure by round.
        ages: seconds from send to handler, of all rounds.
        takeovers: case -> what the workers were -> seconds from a worker's death to its message's next start.
        failures: (case, contestant) -> why there is no figure.
    """

    series: defaultdict[Subject, Series] = field(default_factory=lambda: defaultdict(dict))
    ages: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    takeovers: defaultdict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(dict))
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, round_: int, case: str, contestant: str, figures: dict[str, float]) -> None:
        """Write down what one measurement gave."""
        for name, value in figures.items():
            self.series[Subject(case, contestant, name)][round_] = value

    def median(self, case: str, contestant: str, figure: str) -> float | None:
        """Over all rounds; None: never measured."""
        found = self.series.get(Subject(case, contestant, figure))
        return median(found.values()) if found else None

    def worst(self, case: str, contestant: str, figure: str) -> float | None:
        """The largest of all rounds."""
        found = self.series.get(Subject(case, contestant, figure))
        return max(found.values()) if found else None

    def ratio(self, of: Subject, to: Subject) -> float | None:
        """How many times ``to`` is ``of``: the median of the ratios of each round that has both."""
        return paired_ratio(self.series.get(of, {}), self.series.get(to, {}))

    def age(self, contestant: str, share: float) -> float | None:
        """A quantile of the latency, in seconds."""
        ages = self.ages.get(contestant)
        return quantile(ages, share) if ages else None

    def longest_takeover(self, case: str) -> float | None:
        """Of all trials, in seconds."""
        return max((one for trials in self.takeovers.get(case, {}).values() for one in trials), default=None)


def paired_ratio(of: Series, to: Series) -> float | None:
    """The median, over the rounds that both have, of one by the other."""
    ratios = [of[number] / to[number] for number in of if to.get(number)]
    return median(ratios) if ratios else None


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed. Never between two values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
