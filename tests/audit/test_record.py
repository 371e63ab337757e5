"""Lines of a record, written and read again."""

from __future__ import annotations

from typing import get_args

import pytest

from gobroke_dist.audit.record import Booted, Disturbed, Effect, Ended, Entry, Outage, Sent, Started, decode, encode

AT = 1_700_000_000_000
ENTRIES: list[Entry] = [
    Sent("k", 3, 2, AT),
    Booted("host:1", AT + 5, AT),
    Started("run", "k", 3, "host:1", 17, 2, True, AT),
    Ended("run", False, AT),
    Effect("seen", "run", "k", 3, 1, "uuid", 18, 1, False, AT),
    Disturbed("kill", "", AT),
    Outage("freeze", AT - 9, AT),
]


def test_each_kind_of_line_is_tried_here() -> None:
    assert {type(entry) for entry in ENTRIES} == set(get_args(Entry))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_a_line_that_is_read_again_says_the_same(entry: Entry) -> None:
    assert decode(encode(entry), AT) == entry


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_the_time_is_the_records_and_not_the_lines(entry: Entry) -> None:
    assert decode(encode(entry), AT + 1).at == AT + 1
    assert str(AT).encode() not in encode(entry)


def test_names_that_need_quoting_survive() -> None:
    entry = Sent('k"\n\u2603,[]', 0, 1, AT)
    assert decode(encode(entry), AT) == entry


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"17",
        b'["Nothing",1]',
        b'["Sent","k"]',
        b'["Sent","k",0,1,"one more"]',
        b'["Sent",null,0,1]',
        b'["Sent",["k"],0,1]',
    ],
)
def test_a_line_that_is_none_is_refused_and_shown(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of an audit's record") as refused:
        decode(line, AT)
    assert repr(line[:80]) in str(refused.value)
