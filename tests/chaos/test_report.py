"""The page about a run, and the sentence that it comes down to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from gobroke_dist.audit.verdict import Verdict
from gobroke_dist.audit.violations import Kind, Violation
from tests.chaos.controls import Control, controls
from tests.chaos.outcomes import LOST, outcome, verdict
from tests.chaos.proof import Proof
from tests.chaos.report import Report, page
from tests.chaos.run import Outcome

DOCS = Path(__file__).parents[2] / "docs"
BIT = Proof("SIGKILL of a worker", "kills: 5", bit=True)
MISSED = Proof("Redis frozen for 1 s", "no answer for never", bit=False)
CONTROLS = controls(1)


def report(
    found: Outcome | None = None, *, proofs: Sequence[Proof] = (BIT,), tried: Sequence[tuple[Control, Outcome]] = ()
) -> Report:
    return Report(found or outcome(), proofs, tried, "--seed 1")


def test_a_run_that_kept_its_promises_while_every_fault_bit_has_passed() -> None:
    assert report().good
    assert "**Passed.**" in page(report())
    assert "What went wrong" not in page(report())


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (outcome(verdict(LOST)), "- lost k00007: message 3 had no effect"),
        (outcome(residue={"chaos:queue:audit:heads": 2}), "- left over: `chaos:queue:audit:heads` holds 2"),
        (outcome(gave_up="Redis is away"), "- gave up: Redis is away"),
    ],
)
def test_a_broken_promise_has_failed_and_is_told(broken: Outcome, line: str) -> None:
    found = report(broken)
    assert not found.good
    assert found.sentence.startswith("FAILED")
    assert line in page(found)


def test_a_fault_that_did_not_bite_leaves_the_run_unproven() -> None:
    found = report(proofs=[BIT, MISSED])
    assert (found.kept, found.proven, found.good) == (True, False, False)
    assert found.sentence.startswith("NOT PROVEN")
    assert "| Redis frozen for 1 s | no answer for never | **no** |" in page(found)
    assert "| SIGKILL of a worker | kills: 5 | yes |" in page(found)


def test_a_guard_that_nobody_missed_leaves_the_run_unproven() -> None:
    found = report(tried=[(CONTROLS[1], outcome())])
    assert not found.proven
    assert "| fencing | nothing wrong | **no** |" in page(found)


def test_a_guard_that_was_missed_is_told_with_what_went_wrong_without_it() -> None:
    doubled = Violation(Kind.DOUBLED, "k", "2 runs of message 0 had effects")
    found = report(tried=[(CONTROLS[1], outcome(verdict(doubled, doubled)))])
    assert found.good
    assert "| fencing | doubled: 2 | yes |" in page(found)


def test_the_control_with_every_guard_in_place_must_go_well() -> None:
    whole = CONTROLS[0]
    assert whole.holds(outcome())
    assert not whole.holds(outcome(verdict(LOST)))
    assert not whole.holds(outcome(residue={"k": 1}))
    assert not whole.holds(outcome(gave_up="no end"))


@pytest.mark.parametrize("control", CONTROLS[1:], ids=lambda one: one.guard)
def test_a_control_holds_only_if_what_it_expects_went_wrong(control: Control) -> None:
    other = next(kind for kind in Kind if kind not in control.kinds)
    assert control.holds(outcome(found_of(control.kinds[0])))
    assert not control.holds(outcome(found_of(other)))


def found_of(kind: Kind) -> Verdict:
    return verdict(Violation(kind, "k", ""))


def test_the_page_counts_every_kind_of_violation() -> None:
    counts = {kind: number for number, kind in enumerate(Kind, 31)}
    many = [Violation(kind, "k", "") for kind, count in counts.items() for _ in range(count)]
    checked = page(report(outcome(verdict(*many)))).partition("## What was checked")[2].partition("##")[0]
    assert [int(number) for number in re.findall(r"\| (\d+) \|$", checked, re.M)][: len(counts)] == list(
        counts.values()
    )


def test_takeovers_that_were_disturbed_again_have_times_of_their_own() -> None:
    times = page(report()).partition("## Times")[2].partition("##")[0]
    assert "| takeover that nothing else disturbed | 1 | 2100 |" in times
    assert "all others" not in times


def test_the_page_says_how_to_run_it_again() -> None:
    text = page(report())
    for words in ("`python -m tests.chaos --seed 1`", "10 keys x 10 messages in 60 s", "Redis 7.0", "lease 2 s"):
        assert words in text


def test_the_tables_of_the_page_have_a_cell_for_each_column() -> None:
    text = page(report(proofs=[BIT, MISSED], tried=[(one, outcome()) for one in CONTROLS]))
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    assert len(tables) == 5
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_schedule_names_who_was_hit_and_for_how_long() -> None:
    schedule = page(report()).partition("## Schedule")[2]
    assert re.search(r"\d+\.\d kill [0-3];", schedule)
    assert re.search(r"\d+\.\d stop [0-3] \(\d\.\d s\)", schedule)
    assert re.search(r"\d+\.\d freeze \(3\.0 s\)", schedule)


def test_the_links_of_the_page_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", page(report()))
    assert targets
    assert [target for target in targets if not (DOCS / target).exists()] == []
