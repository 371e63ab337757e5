"""What a command says at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from gobroke_dist.audit.violations import Kind
from gobroke_dist.cli.audit_result import Result, show, summary
from tests.audit.scribe import Scribe


def result(
    record: Scribe, *, commands: int = 0, bound: int | None = None, failures: Mapping[str, int] | None = None,
    refusals: Mapping[str, int] | None = None,
) -> Result:  # fmt: skip
    return Result(record.verdict(bound), ["audit"], refusals or {}, failures or {}, commands=commands, bound=bound)


def good(*, killed: bool = False, calm: bool = True) -> Scribe:
    record = Scribe()
    if killed:
        record.start(0, fence=1, worker="w1")
        record.disturb("kill it", "")
        if not calm:
            record.disturb("kill it", "")
    record.handle(0, fence=2, attempt=1 + killed, recovered=killed, worker="w2")
    return record


def test_a_result_as_json_has_a_count_for_each_kind() -> None:
    found = json.loads(json.dumps(summary(result(good()))))
    assert {kind.value: 0 for kind in Kind}.items() <= found.items()
    assert found["good"]


def test_a_result_as_json_says_what_is_wrong_with_which_key() -> None:
    found = summary(result(Scribe(2)))
    assert found["by_key"] == {"k": {"lost": 2}}
    assert found["violations"] == [
        {"kind": "lost", "key": "k", "text": f"message {number} had no effect; it was run 0 times"}
        for number in range(2)
    ]


def test_a_result_as_json_has_the_takeovers_of_each_key_the_slowest_first() -> None:
    record = good(killed=True)
    slow = Scribe(key="slow")
    slow.start(0, fence=1, worker="w1")
    slow.at = 5000
    slow.handle(0, fence=2, attempt=2, recovered=True, worker="w2")
    record.record += slow.record
    found = summary(result(record))["takeovers"]
    assert isinstance(found, list)
    assert [one["key"] for one in found] == ["slow", "k"]


def test_people_see_what_is_wrong_with_which_key(capsys: pytest.CaptureFixture[str]) -> None:
    show(result(Scribe(2, key="[red]k[/]")))
    said = capsys.readouterr().out
    assert "lost [red]k[/]: message 1 had no effect" in said
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("[red]k[/]")] == [["[red]k[/]", "2"]]
    assert said.rstrip().endswith("Something is wrong.")


def test_of_very_much_that_is_wrong_people_see_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    record = Scribe(0)
    for number in range(30):
        record.record += Scribe(1, key=f"k{number:02}").record
    show(result(record))
    said = capsys.readouterr().out
    assert "… and 10 more keys; --json lists them" in said
    assert "… and 10 more; --json lists 1000" in said
    assert "k19" in said
    assert "k20" not in said


def test_people_see_the_slowest_takeovers(capsys: pytest.CaptureFixture[str]) -> None:
    show(result(good(killed=True), commands=1))
    said = capsys.readouterr().out
    (row,) = [line.split() for line in said.splitlines() if line.startswith("k ")]
    assert row == ["k", "0", "w1", "w2", "1"]
    assert "Note" not in said
    assert said.rstrip().endswith("Nothing is wrong.")


def test_commands_that_did_nothing_are_a_reason_to_say_that_nothing_was_shown() -> None:
    assert result(good(), commands=1).unshown.startswith("no --kill-cmd ended well")
    assert not result(good(), commands=0).unshown
    assert not result(good(killed=True), commands=1).unshown


def test_a_bound_that_no_takeover_could_be_held_against_is_one_as_well() -> None:
    """If workers are killed more often than the bound is long, no takeover is calm."""
    assert "--takeover-bound" in result(good(killed=True, calm=False), commands=1, bound=100).unshown
    assert not result(good(killed=True), commands=1, bound=100).unshown


def test_notes_tell_what_the_verdict_does_not() -> None:
    found = result(good(), commands=1, failures={"'kill' ended with code 1": 2}, refusals={"Redis is away": 3})
    assert list(found.notes) == [
        "no message was cut short, so nothing is said about takeovers",
        "2 times: 'kill' ended with code 1",
        "refused for the moment, and accepted later, 3 times: Redis is away",
    ]
    assert list(result(good()).notes) == []
