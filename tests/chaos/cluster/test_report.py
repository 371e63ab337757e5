"""The page about a run, and the sentence that it comes down to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.cluster.cluster_path import PAGE
from tests.chaos.cluster.controls import Control, controls
from tests.chaos.cluster.ledger import Kind, Violation
from tests.chaos.cluster.outcomes import LOST, outcome
from tests.chaos.cluster.report import Report, page
from tests.chaos.cluster.run import Memory, Outcome
from tests.chaos.proof import Proof

DOCS = Path(__file__).parents[3] / "docs"
BIT = Proof("SIGKILL of an edge", "kills: 5", bit=True)
MISSED = Proof("Redis frozen", "kept a command waiting: 0", bit=False)
CONTROLS = controls(1)


def report(*found: Outcome, proofs: Sequence[Proof] = (BIT,), tried: Sequence[tuple[Control, Outcome]] = ()) -> Report:
    outcomes = found or (outcome(),)
    return Report(outcomes, [proofs] * len(outcomes), tried, "--seed 1")


def test_a_run_that_kept_its_promises_while_every_fault_bit_has_passed() -> None:
    assert report().good
    assert "**Passed.**" in page(report())
    assert "What went wrong" not in page(report())


def test_a_broken_promise_has_failed_and_is_told_in_whichever_run_it_was() -> None:
    for found in (report(outcome(LOST)), report(outcome(), outcome(LOST))):
        assert not found.good
        assert found.sentence.startswith("FAILED")
        assert "- one server: lost c0007: c0001's message 3" in page(found)


def test_a_fault_that_did_not_bite_leaves_the_run_unproven() -> None:
    found = report(proofs=[BIT, MISSED])
    assert (found.kept, found.proven, found.good) == (True, False, False)
    assert found.sentence.startswith("NOT PROVEN")
    assert "| one server | Redis frozen | kept a command waiting: 0 | **no** |" in page(found)
    assert "- it did not bite: Redis frozen" in page(found)


def test_a_guard_that_nobody_missed_leaves_the_run_unproven() -> None:
    found = report(tried=[(CONTROLS[1], outcome())])
    assert not found.proven
    assert "| replay | nothing wrong | **no** |" in page(found)


def test_a_guard_that_was_missed_is_told_with_what_went_wrong_without_it() -> None:
    found = report(tried=[(CONTROLS[1], outcome(LOST, LOST))])
    assert found.good
    assert "| replay | lost: 2 | yes |" in page(found)


def test_the_control_with_every_guard_in_place_must_go_well() -> None:
    assert CONTROLS[0].holds(outcome())
    assert not CONTROLS[0].holds(outcome(LOST))


@pytest.mark.parametrize("control", CONTROLS[1:], ids=lambda one: one.guard)
def test_a_control_holds_only_if_what_it_expects_went_wrong(control: Control) -> None:
    other = next(kind for kind in Kind if kind not in control.kinds)
    assert control.holds(outcome(Violation(control.kinds[0], "c", "")))
    assert not control.holds(outcome(Violation(other, "c", "")))


def test_the_page_counts_every_kind_of_violation() -> None:
    counts = {kind: number for number, kind in enumerate(Kind, 31)}
    many = [Violation(kind, "c", "") for kind, count in counts.items() for _ in range(count)]
    checked = page(report(outcome(*many))).partition("## What was checked")[2].partition("##")[0]
    assert [int(number) for number in re.findall(r"\| (\d+) \|$", checked, re.M)][: len(counts)] == [*counts.values()]


def test_of_many_that_are_alike_some_are_shown() -> None:
    wrong = page(report(outcome(*[LOST] * 70))).partition("## What went wrong")[2]
    assert wrong.count("- one server: lost") == 50
    assert "- one server: 20 more" in wrong


@pytest.mark.parametrize(("held", "bounded"), [((), True), ((80_000, 110_000), True), ((80_000, 120_000), False)])
def test_what_an_edge_holds_may_grow_by_a_quarter_and_a_little(held: tuple[int, ...], bounded: bool) -> None:
    assert Memory("edge 0", held).bounded is bounded


def test_the_page_says_how_to_run_it_again() -> None:
    text = page(report())
    for words in ("`python -m tests.chaos --seed 1`", "30 over websocket and tcp; 10 of them send", "Redis 7.0"):
        assert words in text


def test_the_tables_of_the_page_have_a_cell_for_each_column() -> None:
    text = page(report(outcome(), outcome(), proofs=[BIT, MISSED], tried=[(one, outcome()) for one in CONTROLS]))
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    assert len(tables) == 6
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_links_of_the_page_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", page(report()))
    assert targets
    assert [target for target in targets if not (DOCS / target).exists()] == []
    assert PAGE.suffix == ".md"
