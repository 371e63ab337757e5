"""A record in a real Redis."""

from __future__ import annotations

import asyncio
import threading

import pytest
import redis

from gobroke_dist.audit.history import histories
from gobroke_dist.audit.journal import KEPT, AsyncJournal, Journal, dump
from gobroke_dist.audit.record import Ended, Sent
from tests.audit.scribe import KEY, Scribe
from tests.eventually import eventually, eventually_sync

NOWHERE = "redis://127.0.0.1:1/0"


def numbers(journal: Journal) -> list[int]:
    return [entry.number for entry in journal.read(block=1) if isinstance(entry, Sent)]


def write(journal: Journal, *some: int) -> None:
    journal.write(*(Sent(KEY, number, 1, 0) for number in some))


def test_lines_are_read_once_each_in_the_order_in_which_they_were_written(journal: Journal) -> None:
    write(journal, 3, 1)
    write(journal, 2)
    assert numbers(journal) == [3, 1, 2]
    assert numbers(journal) == []
    write(journal, 4)
    assert numbers(journal) == [4]


def test_w20_the_times_are_those_of_the_records_redis(journal: Journal) -> None:
    before = journal.now()
    journal.write(Ended("run", True, 99))
    (entry,) = journal.read(block=1)
    assert before <= entry.at <= journal.now()


def test_what_was_read_is_removed_by_the_call_after_that(journal: Journal, client: redis.Redis, stream: str) -> None:
    """Redis removes whole blocks of a hundred lines."""
    write(journal, *range(1000))
    assert len(numbers(journal)) == 1000
    assert client.xlen(stream) == 1000
    assert numbers(journal) == []
    assert client.xlen(stream) <= 100


def test_w18_a_line_whose_answer_was_lost_is_written_again_and_counts_once(
    redis_url: str, stream: str, journal: Journal
) -> None:
    record = Scribe()
    record.handle(0, fence=1)
    writer = Journal(redis_url, stream)
    lose_the_first_answer(writer)
    writer.write(*record.record)
    writer.close()
    found = journal.read(block=1)
    assert len(found) == 2 * len(record.record)
    history = histories(found)[KEY]
    assert (len(history.sent), len(history.runs), len(history.effects)) == (1, 1, 1)


def lose_the_first_answer(journal: Journal) -> None:
    """Redis carries the first call out, and the answer does not come."""
    pipeline = journal._client.pipeline
    lost = threading.Event()

    def unlucky(**options: bool) -> redis.client.Pipeline:
        pipe = pipeline(**options)
        execute = pipe.execute

        def executed() -> object:
            answer = execute()
            if not lost.is_set():
                lost.set()
                raise redis.ConnectionError("the answer is lost")
            return answer

        pipe.execute = executed  # type: ignore[assignment]
        return pipe

    journal._client.pipeline = unlucky  # type: ignore[assignment]


@pytest.mark.parametrize("patience", [0.0, 0.2])
def test_a_line_that_redis_does_not_take_is_an_error_when_patience_ends(patience: float) -> None:
    journal = Journal(NOWHERE, "s", patience=patience)
    with pytest.raises(redis.ConnectionError):
        write(journal, 1)


async def test_the_async_journal_gives_up_when_patience_ends_as_well() -> None:
    journal = AsyncJournal(NOWHERE, "s", patience=0.1)
    with pytest.raises(redis.ConnectionError):
        await journal.write(Ended("run", True, 0))


def test_a_line_that_redis_refuses_for_a_while_is_there_in_the_end(
    journal: Journal, client: redis.Redis, stream: str
) -> None:
    before = refusals(client)
    client.set(stream, "no stream")
    writing = threading.Thread(target=write, args=(journal, 1))
    writing.start()
    eventually_sync(lambda: refusals(client) > before)
    assert writing.is_alive()
    client.delete(stream)
    eventually_sync(lambda: not writing.is_alive())
    assert numbers(journal) == [1]


def refusals(client: redis.Redis) -> int:
    return int(client.info("errorstats").get("errorstat_WRONGTYPE", {}).get("count", 0))


def test_a_read_that_is_not_answered_loses_nothing(journal: Journal, client: redis.Redis, stream: str) -> None:
    write(journal, 1)
    assert numbers(journal) == [1]
    client.rename(stream, f"{stream}-away")
    client.set(stream, "no stream")
    with pytest.raises(redis.ResponseError):
        journal.read(block=1)
    client.rename(f"{stream}-away", stream)
    write(journal, 2)
    assert numbers(journal) == [2]


def test_a_line_that_is_none_is_refused(journal: Journal, client: redis.Redis, stream: str) -> None:
    client.xadd(stream, {"e": "nonsense"})
    with pytest.raises(ValueError, match="nonsense"):
        journal.read(block=1)


def test_a_record_that_nobody_deletes_ends_by_itself(journal: Journal, client: redis.Redis, stream: str) -> None:
    """Also one that a late handler begins again."""
    write(journal, 1)
    journal.discard()
    assert not client.exists(stream)
    write(journal, 2)
    assert KEPT - 60 < int(client.ttl(stream)) <= KEPT


def test_many_threads_share_one_journal(journal: Journal) -> None:
    threads = [threading.Thread(target=write, args=(journal, *range(n, 200, 4))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    found = numbers(journal)
    assert sorted(found) == list(range(200))
    assert [[one for one in found if one % 4 == n] for n in range(4)] == [list(range(n, 200, 4)) for n in range(4)]


async def test_a4_the_async_journal_writes_the_same_lines_and_blocks_no_loop(
    never_blocking: None, async_journal: AsyncJournal, journal: Journal
) -> None:
    await async_journal.write(Sent(KEY, 1, 1, 0), Sent(KEY, 2, 1, 0))
    assert await asyncio.to_thread(numbers, journal) == [1, 2]


async def test_the_async_journal_waits_for_redis_without_holding_up_others(
    never_blocking: None, async_journal: AsyncJournal, journal: Journal, client: redis.Redis, stream: str
) -> None:
    before = await asyncio.to_thread(refusals, client)
    await asyncio.to_thread(client.set, stream, "no stream")
    writing = asyncio.create_task(async_journal.write(Sent(KEY, 1, 1, 0)))

    async def refused() -> bool:
        return await asyncio.to_thread(refusals, client) > before

    await eventually(refused)
    assert not writing.done()
    await asyncio.to_thread(client.delete, stream)
    await asyncio.wait_for(writing, 5)
    assert await asyncio.to_thread(numbers, journal) == [1]


def test_a_dumped_record_has_a_line_for_each_entry_with_its_time_in_front() -> None:
    assert list(dump([Ended("run", True, 17), Sent("k", 0, 1, 18)])) == [
        '17 ["Ended","run",true]\n',
        '18 ["Sent","k",0,1]\n',
    ]
