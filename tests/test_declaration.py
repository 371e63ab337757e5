"""What add_logic refuses, and the application object before it runs."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints import StubEndpoint
from gobroke_dist import (
    Broke,
    LogicAlreadyExists,
    LogicBase,
    LogicInvalid,
    LogicType,
    Message,
    NoEndpointProvided,
    NotRunning,
    Settings,
    Tick,
)


class Fine(LogicBase):
    def run_logic(self, message: Message) -> None:
        """Nothing."""


class Clock(LogicBase):
    logic_type = LogicType.PASSIVE

    def run_tick(self, tick: Tick) -> None:
        """Nothing."""


def changed(logic: LogicBase, **attributes: object) -> LogicBase:
    for name, value in attributes.items():
        setattr(logic, name, value)
    return logic


@pytest.mark.parametrize(
    ("logic", "text"),
    [
        (changed(Fine("no spaces")), "name may hold"),
        (changed(Fine("a.b")), "name may hold"),
        (changed(LogicBase("empty")), "needs run_logic"),
        (changed(LogicBase("tickless", LogicType.PASSIVE), every=1.0), "needs run_tick"),
        (changed(Fine("x"), logic_type="worker!"), "use a LogicType"),
        (changed(Fine("x"), concurrency=0), "concurrency"),
        (changed(Fine("x"), max_attempts=0), "max_attempts"),
        (changed(Fine("x"), order_by="sender"), "order_by"),
        (changed(Fine("x"), payload=dict), "pydantic"),
        (changed(Fine("x"), on_poison="stop"), "on_poison"),
        (changed(Fine("x"), logic_type=LogicType.WORKER, order_by=None, on_poison="halt_key"), "needs an ordering key"),
        (changed(Fine("x"), max_waiting=0), "max_waiting"),
        (changed(Fine("x"), on_full="drop"), "on_full"),
        (changed(Clock("x")), "every= and cron="),
        (changed(Clock("x"), every=1.0, cron="* * * * *"), "every= and cron="),
        (changed(Fine("x"), every=1.0), "PASSIVE"),
    ],
)
def test_a_logic_that_cannot_work_is_refused_when_it_is_added(logic: LogicBase, text: str) -> None:
    """The error says which attribute is wrong."""
    with pytest.raises(LogicInvalid, match=text):
        Broke(StubEndpoint()).add_logic(logic)


def test_a2_logics_are_added_and_removed_by_name() -> None:
    """A name is taken once; removing one that is not there is no error."""
    broke = Broke(StubEndpoint())
    broke.add_logic(Fine())
    assert list(broke.logics) == ["fine"]
    with pytest.raises(LogicAlreadyExists, match="'fine'"):
        broke.add_logic(Fine())
    broke.remove_logic("fine")
    broke.remove_logic("fine")
    assert list(broke.logics) == []


def test_a2_an_application_needs_an_endpoint() -> None:
    """The seed's error for a missing endpoint."""
    with pytest.raises(NoEndpointProvided):
        Broke()
    endpoint = StubEndpoint()
    assert Broke(endpoint).get_endpoint() is endpoint


def test_a2_a_call_before_the_application_runs_says_so() -> None:
    """Nothing is queued for later in silence."""
    broke = Broke(StubEndpoint())
    with pytest.raises(NotRunning, match="send_message"):
        broke.send_message(Message())
    logic = Fine()
    broke.add_logic(logic)
    with pytest.raises(NotRunning, match="'fine'"):
        logic.send_message(Message())


def test_a1_who_deploys_has_the_last_word_on_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins over the application's own code, which wins over the defaults."""
    declared: dict[str, Any] = {"redis": "redis://code.invalid", "channel_size": 9}
    broke = Broke(StubEndpoint(), **declared, settings=Settings(prefix="code", threads=3))
    assert (broke.settings.redis_url, broke.settings.channel_size) == ("redis://code.invalid", 9)
    assert (broke.settings.prefix, broke.settings.threads, broke.settings.processes) == ("code", 3, 1)
    monkeypatch.setenv("GOBROKE_REDIS_URL", "redis://deployed.invalid")
    monkeypatch.setenv("GOBROKE_PREFIX", "deployed")
    broke = Broke(StubEndpoint(), **declared, settings=Settings(threads=3))
    assert (broke.settings.redis_url, broke.settings.channel_size) == ("redis://deployed.invalid", 9)
    assert (broke.settings.prefix, broke.settings.threads) == ("deployed", 3)
