"""Which fault comes when."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.chaos.part import Options
from tests.chaos.queue_path import scenario
from tests.chaos.run import LEASE
from tests.chaos.schedule import Fault, Pace, plan

KINDS = {"kill", "term", "stop", "hold", "freeze", "redis", "full"}
OF_REDIS = {"freeze", "redis", "full"}


def planned(seed: int = 1, seconds: float = 360.0, **changes: Any) -> tuple[Fault, ...]:
    return plan(seed, seconds, **{"workers": 4, "lease": 2.0, "pace": Pace(), **changes})


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert planned(7) == planned(7)
    assert planned(7) != planned(8)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("seed", range(1, 21))
def test_a_run_has_faults_of_every_kind_whatever_the_seed(seed: int, quick: bool) -> None:
    schedule = scenario(Options(seed=seed, quick=quick)).schedule
    assert {fault.what for fault in schedule} == KINDS


@pytest.mark.parametrize("seed", range(5))
def test_faults_come_in_order_and_while_messages_are_sent(seed: int) -> None:
    times = [fault.at for fault in planned(seed)]
    assert times == sorted(times)
    assert min(times) > 0
    assert max(times) < 360


@pytest.mark.parametrize("seed", range(5))
def test_faults_of_redis_come_one_after_another(seed: int) -> None:
    faults = [fault for fault in planned(seed) if fault.what in OF_REDIS]
    assert all(before.at + before.seconds < after.at for before, after in pairwise(faults))
    assert sorted(one.seconds for one in faults if one.what == "freeze") == sorted(Pace().freezes)
    assert [one.seconds for one in faults if one.what == "full"] == list(Pace().full)
    assert sum(one.what == "redis" for one in faults) == Pace().redis


@pytest.mark.parametrize("seed", range(5))
def test_a_worker_is_stopped_for_longer_than_its_lease(seed: int) -> None:
    stops = [fault for fault in planned(seed, lease=LEASE) if fault.what == "stop"]
    assert len(stops) == int(360 / Pace().stop)
    assert all(LEASE < fault.seconds <= LEASE + 2 for fault in stops)


def test_every_worker_has_its_turn() -> None:
    kills = {fault.slot for fault in planned() if fault.what == "kill"}
    assert kills == {0, 1, 2, 3}


def test_a_pace_of_zero_is_never() -> None:
    calm = Pace(kill=0, term=0, stop=0, hold=0, freezes=(), redis=0, full=())
    assert planned(pace=calm) == ()
