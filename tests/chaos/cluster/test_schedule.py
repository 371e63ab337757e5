"""Which fault comes when, and whom it hits."""

from __future__ import annotations

import pytest

from tests.chaos.cluster.cluster_path import EDGES, scenarios
from tests.chaos.cluster.schedule import FULL, KINDS, OF_EDGES, QUICK, Pace, Plan, plan
from tests.chaos.part import Options


def planned(seed: int = 1, seconds: float = 0.0, pace: Pace = FULL) -> Plan:
    return plan(seed, seconds, pace, edges=EDGES)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert planned(7) == planned(7)
    assert planned(7) != planned(8)


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_run_has_every_fault_whatever_the_seed(seed: int) -> None:
    kinds = {step.what for scenario in scenarios(Options(seed=seed)) for step in scenario.plan.steps}
    assert kinds == KINDS.keys()


@pytest.mark.parametrize("seed", range(5))
def test_a_round_has_each_of_its_faults_once_for_as_long_as_it_says(seed: int) -> None:
    steps = planned(seed).steps
    faults = sorted((step.what, step.seconds) for step in steps if step.what != "drop")
    assert faults == sorted(FULL.faults)
    assert {step.seconds for step in steps if step.what == "redis freeze"} == {10.0, 30.0}
    assert sum(step.what == "drop" for step in steps) == FULL.drops[0] + FULL.between


@pytest.mark.parametrize("seed", range(5))
def test_drops_come_first_one_after_another(seed: int) -> None:
    """By then every edge has had more than its share."""
    first = planned(seed).steps[: FULL.drops[0]]
    assert [step.what for step in first] == ["drop"] * FULL.drops[0]


def test_a_longer_run_has_more_rounds_and_ends_in_time() -> None:
    longer = planned(1, 900.0)
    assert longer.steps[: len(planned().steps)] == planned().steps
    assert 600 < longer.seconds <= 900


def test_the_full_run_takes_about_as_long_as_it_is_to() -> None:
    assert 150 < planned(1, 360.0).seconds <= 360
    assert planned(1, 0.0, QUICK).seconds < 110


def test_every_edge_has_its_turn() -> None:
    hit = {step.edge for seed in range(10) for step in planned(seed).steps if step.what in OF_EDGES}
    assert hit == set(range(EDGES))


def test_a_step_says_what_it_does() -> None:
    texts = [step.text for step in planned().steps]
    assert "redis freeze (30 s)" in texts
    assert any(text.startswith("kill ") and text.endswith(" (3 s)") for text in texts)
