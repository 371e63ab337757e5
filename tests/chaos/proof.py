"""Did each fault bite? A run that nothing disturbed proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.run import CLOCK_AHEAD, Outcome
from tests.chaos.workers import find_faketime


@dataclass(frozen=True, slots=True)
class Proof:
    """One fault, and what shows that it bit."""

    fault: str
    evidence: str
    bit: bool


def proofs(outcome: Outcome) -> list[Proof]:
    """For every fault of the scenario."""
    return [*_of_network(outcome), *_of_workers(outcome), *_of_redis(outcome), *_of_clock(outcome)]


def _of_network(outcome: Outcome) -> Iterator[Proof]:
    facts, scenario = outcome.facts, outcome.scenario
    if scenario.cut:
        share = f"{scenario.cut:.0%}"
        yield _proof(f"{share} of the requests cut", {"cut": facts["requests_cut"]})
        yield _proof(f"{share} of the replies cut", {"cut": facts["replies_cut"]})
        yield _proof("messages sent twice", {"refused as duplicates": facts["duplicates refused"]})
    if facts["holds"]:
        yield _proof("requests held back for 3 s", {"arrived late": facts["held"]})


def _of_workers(outcome: Outcome) -> Iterator[Proof]:
    facts, verdict = outcome.facts, outcome.verdict
    if facts["kill"]:
        yield _proof("SIGKILL of a worker", {"kills": facts["kill"], "messages taken over": verdict.recovered})
        calm = verdict.takeover_times(calm=True)
        yield _proof("takeover", {"timed": calm.count if calm else 0})
    if facts["term"]:
        yield _proof("SIGTERM of a worker", {"times": facts["term"], "ended well": facts["ended when asked"]})
    if facts["stop"]:
        times = {"times": facts["stop"], "went on while another had the message": verdict.fenced}
        yield _proof("SIGSTOP beyond the lease, SIGCONT", {**times, "commits refused": verdict.refused})
    yield _proof("handlers that raise", {"raised": verdict.raised, "runs after the first": verdict.again})


def _of_redis(outcome: Outcome) -> Iterator[Proof]:
    facts, pace = outcome.facts, outcome.scenario.pace
    if pace.freezes:
        wanted, found = sorted(pace.freezes), sorted(outcome.froze)
        bit = len(wanted) == len(found) and all(was >= 0.9 * want for was, want in zip(found, wanted, strict=True))
        text = ", ".join(f"{one:g} s" for one in found) or "never"
        yield Proof("Redis frozen for " + ", ".join(f"{one:g} s" for one in wanted), f"no answer for {text}", bit)
    if pace.redis:
        count = facts["Redis came back with its data"]
        yield Proof(f"Redis killed {pace.redis} times", f"came back {count} times with its data", count == pace.redis)
    if pace.full:
        refused = {"commands refused": facts["commands refused for memory"]}
        yield _proof("Redis at its memory limit", {**refused, "runs ended": facts["runs ended while memory was full"]})


def _of_clock(outcome: Outcome) -> Iterator[Proof]:
    if outcome.scenario.skewed is None:
        return
    if find_faketime() is None:
        yield Proof(
            "a worker's clock an hour off", "SKIPPED: libfaketime is not there (apt-get install faketime)", False
        )
        return
    ahead = sum(one > CLOCK_AHEAD * 900 for one in outcome.verdict.workers.values())
    yield _proof("a worker's clock an hour off", {"processes an hour ahead": ahead})


def _proof(fault: str, evidence: dict[str, int]) -> Proof:
    return Proof(fault, ", ".join(f"{name}: {count}" for name, count in evidence.items()), all(evidence.values()))
