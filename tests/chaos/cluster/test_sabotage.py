"""A guard that was not taken out proves nothing, so each must still be there to be taken."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gobroke_dist.backends.redis import registry
from gobroke_dist.backends.redis.inbox import Inbox
from gobroke_dist.returning import Returns
from tests.chaos.cluster import sabotage
from tests.chaos.cluster.controls import controls


def test_every_guard_has_a_control_and_every_control_a_guard_that_is_there() -> None:
    assert {one.scenario.sabotage for one in controls(1)} - {""} == set(sabotage.GUARDS)


def test_without_a_name_nothing_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sabotage.VARIABLE, "")
    before = dict(vars(Returns)), dict(vars(Inbox)), registry._SWEEP
    sabotage.carry_out()
    assert (dict(vars(Returns)), dict(vars(Inbox)), registry._SWEEP) == before


@pytest.mark.parametrize("guard", sabotage.GUARDS)
def test_a_guard_can_be_taken_out_of_a_process(guard: str) -> None:
    """It fails where what it takes out is not there any more. In a process of its own, which it spoils."""
    code = "from tests.chaos.cluster.sabotage import carry_out; carry_out()"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), sabotage.VARIABLE: guard},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_a_guard_that_is_not_there_any_more_is_an_error() -> None:
    with pytest.raises(AssertionError, match="has no nothing any more"):
        sabotage._put(Returns, "nothing", None)
