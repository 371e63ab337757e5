"""What an audit sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from gobroke_dist.audit.load import Load, Order, Sign, Work, sent
from gobroke_dist.audit.record import Sent


def orders(load: Load) -> Iterator[Work]:
    for key in range(load.keys):
        for number in range(load.messages):
            work = load.order("s", key, number).work
            assert work is not None
            yield work


def test_the_same_seed_gives_the_same_messages() -> None:
    assert list(orders(Load(5, 20, seed=7))) == list(orders(Load(5, 20, seed=7)))


def test_another_seed_gives_other_messages() -> None:
    assert list(orders(Load(5, 20, seed=7))) != list(orders(Load(5, 20, seed=8)))


def test_a_message_does_not_depend_on_how_many_others_there_are() -> None:
    assert Load(2, 3).order("s", 1, 2) == Load(1000, 100).order("s", 1, 2)


def test_every_key_gets_its_messages_numbered_from_0() -> None:
    load = Load(3, 4)
    found = [(work.key, work.number) for work in orders(load)]
    assert found == [(key, number) for key in ("k00000", "k00001", "k00002") for number in range(4)]
    assert load.total == len(found) == 12


def test_the_share_that_is_to_fail_is_near_what_was_asked() -> None:
    fails = [work.failures for work in orders(Load(100, 20, failing=0.2))]
    assert 300 < sum(fails) < 500
    assert set(fails) == {0, 1}
    assert not any(work.failures for work in orders(Load(100, 20, failing=0)))


def test_handlers_work_for_a_part_of_the_longest_time_and_few_for_ten_times_as_long() -> None:
    times = [work.milliseconds for work in orders(Load(100, 20, work=10))]
    long = [one for one in times if one > 10]
    assert min(times) >= 0
    assert max(times) <= 100
    assert 20 < len(long) < 200


def test_some_messages_have_two_effects() -> None:
    assert {work.parts for work in orders(Load(10, 10))} == {1, 2}


def test_the_records_line_of_a_message_names_its_place_and_its_effects() -> None:
    order = Order(work=Work(stream="s", key="k", number=3, parts=2))
    assert sent(order, 17) == Sent("k", 3, 2, 17)


def test_effects_are_ordered_among_themselves_and_not_behind_the_work_of_their_key() -> None:
    work = Order(work=Work(stream="s", key="k", number=0))
    first, second = (Order(sign=Sign(stream="s", key="k", number=n, run=f"r{n}", part=0)) for n in range(2))
    other = Order(sign=Sign(stream="s", key="l", number=0, run="r", part=0))
    assert first.key == second.key
    assert len({first.key, other.key, work.key}) == 3
    assert Order().key == ""


def test_an_order_survives_its_way_as_a_payload() -> None:
    order = Load().order("s", 1, 2)
    assert Order.model_validate_json(order.model_dump_json(exclude_none=True)) == order


def test_an_order_without_a_place_is_refused() -> None:
    with pytest.raises(ValidationError, match="number"):
        Order.model_validate({"work": {"stream": "s", "key": "k"}})
