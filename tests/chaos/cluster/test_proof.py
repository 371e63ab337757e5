"""A fault that did not bite is told."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.cluster.ledger import Span
from tests.chaos.cluster.outcomes import PLAN, SCENARIO, outcome
from tests.chaos.cluster.proof import proofs
from tests.chaos.cluster.run import Done, Outcome, Scenario
from tests.chaos.cluster.schedule import KINDS, Plan, Step


def in_vain(found: Outcome) -> list[str]:
    return [one.fault for one in proofs(found) if not one.bit]


def title(what: str) -> str:
    return f"{KINDS[what]} (2 s)"


def test_a_run_in_which_every_fault_bit_is_proven() -> None:
    assert in_vain(outcome()) == []
    assert len(proofs(outcome())) == len(PLAN.steps) + 2


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("connections dropped", "drop"),
        ("drop: recovered", "drop"),
        ("kill", "kill"),
        ("kill: recovered", "kill"),
        ("freeze: lease_lost", "freeze"),
        ("freeze: recovered", "freeze"),
        ("cut both: bytes swallowed", "cut both"),
        ("cut requests: bytes swallowed", "cut requests"),
        ("cut requests: lease_lost", "cut requests"),
        ("cut both: bus_caught_up", "cut both"),
        ("cut replies: bus_caught_up", "cut replies"),
        ("redis frozen for 2 s", "redis freeze"),
        ("redis freeze: lease_lost", "redis freeze"),
        ("redis came back with its data", "redis kill"),
        ("redis kill: bus_reconnects", "redis kill"),
        ("redis came back empty", "redis empty"),
        ("redis empty: bus_epochs", "redis empty"),
        ("came back, told of a loss", "redis empty"),
    ],
)
def test_a_fault_without_its_mark_did_not_bite(missing: str, what: str) -> None:
    assert in_vain(outcome(facts={missing: 0})) == [title(what)]


@pytest.mark.parametrize("missing", ["failovers", "failover: bus_reconnects"])
def test_a_failover_must_have_been_one(missing: str) -> None:
    behind = Scenario("Sentinel", 1, Plan((Step("failover", 2.0),)), sentinels=True)
    assert in_vain(outcome(scenario=behind)) == []
    assert in_vain(outcome(scenario=behind, facts={missing: 0})) == [title("failover")]


def test_a_kill_that_no_client_felt_did_not_bite() -> None:
    steps = [Done(step, Span(1.0, 4.0), 0.5, Counter(), Counter()) for step in SCENARIO.plan.steps]
    assert in_vain(outcome(steps=steps)) == [title("kill")]


def test_a_freeze_of_redis_must_have_kept_messages_from_being_accepted() -> None:
    assert in_vain(outcome(outcomes=Counter(accepted=300))) == [title("redis freeze")]


def test_somebody_must_have_come_back_to_what_was_kept() -> None:
    assert len(in_vain(outcome(facts={"delivered on coming back": 0}))) == 1


def test_ghosts_must_have_been_seen_before_they_were_gone() -> None:
    assert in_vain(outcome(facts={"ghosts seen": 0})) == ["clients of an edge that is gone"]
    assert in_vain(outcome(gone_after=[])) == ["clients of an edge that is gone"]


def test_a_fault_that_was_not_to_be_needs_no_proof() -> None:
    calm = Scenario("calm", 1, Plan((Step("drop", 2.0),)))
    drop, always = proofs(outcome(scenario=calm))
    assert (drop.fault, always.fault.startswith("single clients")) == (title("drop"), True)
