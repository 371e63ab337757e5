"""A fault that did not bite is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import proof
from tests.chaos.outcomes import SCENARIO, outcome, verdict
from tests.chaos.proof import proofs
from tests.chaos.run import Outcome
from tests.chaos.schedule import Pace


@pytest.fixture(autouse=True)
def _faketime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "find_faketime", lambda: "/lib/libfaketime.so.1")


def in_vain(found: Outcome) -> list[str]:
    return [one.fault for one in proofs(found) if not one.bit]


def test_a_run_in_which_every_fault_bit_is_proven() -> None:
    assert in_vain(outcome()) == []
    assert len(proofs(outcome())) == 13


@pytest.mark.parametrize(
    ("missing", "fault"),
    [
        ("requests_cut", "5% of the requests cut"),
        ("replies_cut", "5% of the replies cut"),
        ("duplicates refused", "messages sent twice"),
        ("held", "requests held back for 3 s"),
        ("ended when asked", "SIGTERM of a worker"),
        ("Redis came back with its data", "Redis killed 2 times"),
        ("commands refused for memory", "Redis at its memory limit"),
        ("runs ended while memory was full", "Redis at its memory limit"),
    ],
)
def test_a_fault_without_its_mark_did_not_bite(missing: str, fault: str) -> None:
    assert in_vain(outcome(facts={missing: 0})) == [fault]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"recovered": 0}, "SIGKILL of a worker"),
        ({"takeovers": ()}, "takeover"),
        ({"fenced": 0}, "SIGSTOP beyond the lease, SIGCONT"),
        ({"refused": 0}, "SIGSTOP beyond the lease, SIGCONT"),
        ({"raised": 0}, "handlers that raise"),
        ({"again": 0}, "handlers that raise"),
        ({"workers": {"h:1": 0}}, "a worker's clock an hour off"),
    ],
)
def test_a_fault_that_no_handler_felt_did_not_bite(changes: dict[str, Any], fault: str) -> None:
    assert in_vain(outcome(verdict(**changes))) == [fault]


@pytest.mark.parametrize("froze", [[], [3.0], [3.0, 0.5], [1.0, 1.0], [1.0, 3.0, 9.0]])
def test_each_freeze_must_have_kept_a_command_waiting_for_its_time(froze: list[float]) -> None:
    assert in_vain(outcome(froze=froze)) == ["Redis frozen for 1 s, 3 s"]


def test_a_freeze_that_nobody_felt_is_told_as_such() -> None:
    (one,) = [one for one in proofs(outcome(froze=[])) if not one.bit]
    assert one.evidence == "no answer for never"


def test_a_redis_that_came_back_empty_did_not_come_back() -> None:
    assert in_vain(outcome(facts={"Redis came back with its data": 1})) == ["Redis killed 2 times"]


def test_a_clock_that_could_not_be_set_is_told_and_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "find_faketime", lambda: None)
    (one,) = [one for one in proofs(outcome()) if "clock" in one.fault]
    assert not one.bit
    assert one.evidence.startswith("SKIPPED: libfaketime is not there")


def test_a_fault_that_was_not_to_be_needs_no_proof() -> None:
    calm = Pace(kill=0, term=0, stop=0, hold=0, freezes=(), redis=0, full=())
    nothing = outcome(scenario=replace(SCENARIO, pace=calm, cut=0.0, skewed=None))
    nothing.facts.clear()
    assert [one.fault for one in proofs(nothing)] == ["handlers that raise"]
