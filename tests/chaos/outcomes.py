"""Outcomes of runs that never were, for tests of what is said about them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gobroke_dist.audit.load import Load
from gobroke_dist.audit.takeover import Takeover
from gobroke_dist.audit.verdict import Percentiles, Verdict
from gobroke_dist.audit.violations import Kind, Violation
from tests.chaos.run import CLOCK_AHEAD, Outcome, Scenario
from tests.chaos.schedule import Pace

LOST = Violation(Kind.LOST, "k00007", "message 3 had no effect; it was run 0 times")
FACTS = {
    **{"requests_cut": 9, "replies_cut": 8, "duplicates refused": 7, "holds": 2, "held": 6},
    **{"kill": 5, "term": 4, "ended when asked": 3, "stop": 2, "Redis came back with its data": 2},
    **{"commands refused for memory": 11, "runs ended while memory was full": 12},
}
SCENARIO = Scenario("test", 1, 60.0, Load(keys=10, messages=10), pace=Pace(freezes=(1.0, 3.0)), skewed=3)


def verdict(*violations: Violation, **changes: Any) -> Verdict:
    """Of a run in which every fault bit."""
    times = Percentiles(3, 1, 2, 3, 4)
    numbers = {
        **{"keys": 10, "sent": 100, "runs": 120, "again": 20, "raised": 10, "recovered": 9, "fenced": 8, "refused": 7},
        **{"violations": violations, "latency": times, "effect_latency": times},
        "takeovers": (Takeover("k", 0, "h:1", "h:2", 1_000_000, 2100, calm=True),),
        "workers": {"h:1": 0, "h:2": CLOCK_AHEAD * 1000},
        "disturbances": {"kill": 5},
    }
    return Verdict(**{**numbers, **changes})


def outcome(found: Verdict | None = None, *, scenario: Scenario = SCENARIO, **changes: Any) -> Outcome:
    """Of a run in which every fault bit, but for the changes. ``facts`` changes single ones."""
    facts = Counter({**FACTS, **changes.pop("facts", {})})
    given = {"froze": [3.0, 1.0], "refusals": Counter(), "residue": {}, "gave_up": "", "redis_version": "7.0"}
    return Outcome(scenario=scenario, verdict=found or verdict(), facts=facts, **{**given, **changes})
