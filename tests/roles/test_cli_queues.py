"""``gobroke dead`` and ``gobroke keys``, in this process: what they print, and how they end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gobroke_dist.cli import app
from gobroke_dist.keys import QueueKeys
from gobroke_dist.message import Message
from gobroke_dist.outlet import Task
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker

APP = "tests.roles.sample:broke"

Gobroke = Callable[..., Result]


@pytest.fixture
def gobroke(redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Gobroke:
    """Runs a command; its words, then the place where the test's keys are."""
    # A command sets these for its process; they are taken back after the test.
    monkeypatch.setenv("GOBROKE_REDIS_URL", redis_url)
    monkeypatch.setenv("GOBROKE_PREFIX", prefix)

    def run(*words: str, at: str = redis_url) -> Result:
        monkeypatch.delitem(sys.modules, "tests.roles.sample", raising=False)  # a new process would load it anew
        return CliRunner().invoke(app, [*words, "--redis-url", at, "--prefix", prefix])

    return run


@pytest.fixture
def keys(prefix: str) -> QueueKeys:
    return QueueKeys(prefix, "note")


@pytest.fixture
def queue(redis_url: str, prefix: str) -> Any:
    """A queue with three messages of one key, and one dead letter."""
    broker = OrderedBroker(Settings(redis_url=redis_url, prefix=prefix))
    for n in range(3):
        broker.enqueue(to_dramatiq(Task("note", "room", Message(message_raw=b"secret", uuid=f"m{n}"))))
    letter = to_dramatiq(Task("note", "room", Message(message_raw=b"secret", uuid="d")))
    letter = letter.copy(options={"dead_reason": "attempts", "error": "ValueError: secret", "attempts": 5})
    broker.client.zadd(broker.keys("note").dead, {"d": time.time() * 1000})
    broker.client.hset(broker.keys("note").dead_messages, "d", letter.encode())
    yield broker
    broker.close()


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_w11_dead_list_tells_everything_but_the_payload(gobroke: Gobroke, queue: OrderedBroker) -> None:
    """For people and for programs; only ``show`` prints what was sent."""
    found = answer(gobroke("dead", "list", APP, "--json"))
    assert found["total"] == 1
    [letter] = found["dead"]
    assert (letter["queue"], letter["id"], letter["key"], letter["error"]) == ("note", "d", "room", "ValueError")
    shown = gobroke("dead", "list", APP, "--queue", "note")
    assert "attempts" in shown.stdout
    assert "secret" not in shown.stdout + json.dumps(found)
    assert answer(gobroke("dead", "show", APP, "--id", "d"))["message"]["kwargs"]["message"]["text"] == "secret"


def test_w11_dead_requeue_and_discard_take_ids_or_all(gobroke: Gobroke, queue: OrderedBroker) -> None:
    """What was not there is named, and makes the command fail."""
    assert gobroke("dead", "requeue", APP).exit_code == 2
    assert gobroke("dead", "discard", APP, "--id", "d", "--all").exit_code == 2
    ended = gobroke("dead", "requeue", APP, "--id", "d", "--id", "nobody")
    assert ended.exit_code == 1
    assert "1 requeued." in ended.output
    assert "nobody" in ended.output
    assert queue.do_qsize("note") == 4
    assert answer(gobroke("dead", "discard", APP, "--all", "--json")) == {"discarded": 0, "failed": []}
    assert gobroke("dead", "show", APP, "--id", "d").exit_code == 1
    assert "There are no dead letters." in gobroke("dead", "list", APP).stdout


def test_keys_pause_list_skip_and_resume(gobroke: Gobroke, queue: OrderedBroker, keys: QueueKeys) -> None:
    """A held key keeps what it has and takes more; its first message can be skipped."""
    [state] = answer(gobroke("keys", "list", APP, "--json"))["keys"]
    assert (state["key"], state["state"], state["depth"], state["head"]) == ("room", "waiting", 3, "m0")
    assert state["age"] < 60
    at = ("--queue", "note", "--key", "room")
    assert "is paused." in gobroke("keys", "pause", APP, *at).stdout
    assert queue.client.llen(keys.ready) == 0
    assert "paused" in gobroke("keys", "list", APP).stdout
    assert "dead letter now" in gobroke("keys", "skip", APP, *at).stdout
    assert json.loads(queue.client.hget(keys.dead_messages, "m0"))["options"]["dead_reason"] == "skipped"
    assert "goes on" in gobroke("keys", "resume", APP, *at).stdout
    assert queue.client.lrange(keys.ready, 0, -1) == [b"m1"]


def test_keys_pause_and_resume_a_whole_logic(gobroke: Gobroke, queue: OrderedBroker) -> None:
    """The list and the status say that it is stopped."""
    assert gobroke("keys", "pause", APP, "--queue", "note").exit_code == 2
    assert "is paused" in gobroke("keys", "pause", APP, "--queue", "note", "--all").stdout
    assert answer(gobroke("keys", "list", APP, "--json"))["stopped"] == {"note": "by an operator"}
    assert "stopped" in gobroke("status", APP).stdout
    assert "note runs again." in gobroke("keys", "resume", APP, "--queue", "note", "--all").stdout
    assert "note was not stopped." in gobroke("keys", "resume", APP, "--queue", "note", "--all").stdout


def test_a_queue_that_is_none_is_exit_code_2(gobroke: Gobroke) -> None:
    """Those that there are are named."""
    ended = gobroke("dead", "list", APP, "--queue", "notes")
    assert ended.exit_code == 2
    assert "there are beat, note" in ended.output


def test_o6_status_shows_a_full_queue(
    gobroke: Gobroke, queue: OrderedBroker, keys: QueueKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full is full by the logic's own bound."""
    assert not any(one["full"] for one in answer(gobroke("status", APP, "--json"))["queues"])
    monkeypatch.setattr("gobroke_dist.logic.LogicBase.max_waiting", 3)
    assert "full" in gobroke("status", APP).stdout


def test_redis_away_is_one_line_and_exit_code_3(gobroke: Gobroke) -> None:
    """As for every other command."""
    ended = gobroke("keys", "list", APP, at="redis://127.0.0.1:1/0")
    assert ended.exit_code == 3
    assert "Traceback" not in ended.output
