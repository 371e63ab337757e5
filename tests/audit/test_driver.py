"""An audit of a worker in this process, and audits that come to no end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from gobroke_dist.audit import AsyncAuditLogic, AuditLogic
from gobroke_dist.audit.app import NoClients
from gobroke_dist.audit.driver import Audit, Plan
from gobroke_dist.audit.journal import Journal
from gobroke_dist.audit.load import Load
from gobroke_dist.audit.record import LineInvalid, Sent, Started
from gobroke_dist.audit.verdict import judge
from gobroke_dist.audit.violations import Kind
from gobroke_dist.broke import Broke
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.roles import worker
from gobroke_dist.settings import Settings
from tests.eventually import eventually

Make = Callable[..., Audit]
SMALL = Load(keys=6, messages=5, work=2, failing=0.3)


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    return Settings(redis_url=redis_url, prefix=prefix, worker_lease=5, drain_timeout=5, redis_timeout=2)


@pytest.fixture
def make(settings: Settings, journal: Journal, stream: str) -> Make:
    def audit(
        load: Load = SMALL, *, rate: float = 0, patience: float = 20.0, linger: float = 0.3, **changes: object
    ) -> Audit:
        changed = Settings(**{**settings.model_dump(), **changes})
        plan = Plan(load, rate=rate, patience=patience, linger=linger)
        return Audit(changed, ["audit", "async_audit"], plan, journal=journal, stream=stream)

    return audit


@pytest.fixture
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker of both audited logics, in this process."""
    broke = Broke(NoClients(), settings=settings)
    broke.add_logic(AuditLogic())
    on_a_loop = AsyncAuditLogic()
    broke.add_logic(on_a_loop)
    async with worker(broke):
        yield
        for (loop, _), journal in on_a_loop._journals.items():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(journal.close(), loop))


async def test_w2_both_colours_of_handlers_keep_every_promise(working: None, make: Make) -> None:
    audit = make()
    await audit.run()
    verdict = judge(audit.record)
    assert verdict.violations == ()
    assert verdict.good
    assert (verdict.keys, verdict.sent, audit.accepted, audit.finished) == (6, 30, 30, 30)
    assert audit.complete
    assert verdict.raised > 0, "some were to fail"


async def test_the_logics_take_turns_by_key(make: Make, client: redis.Redis, settings: Settings) -> None:
    """So each of them has keys of its own, and the order of a key is one queue's."""
    await make(patience=0.3).run()
    for name, mine in (("audit", {0, 2, 4}), ("async_audit", {1, 3, 5})):
        heads = await asyncio.to_thread(client.hkeys, f"{settings.prefix}:queue:{name}:heads")
        assert {head.decode() for head in heads} == {f"k{key:05}" for key in mine}


async def test_a_rate_spreads_the_messages_over_time(make: Make) -> None:
    audit = make(Load(keys=2, messages=10), rate=50, patience=0.1)
    await audit.run()
    times = [entry.at for entry in audit.record if isinstance(entry, Sent)]
    assert max(times) - min(times) >= (20 - 2) / 50 * 1000


async def test_messages_that_nobody_handles_are_given_up_and_lost(make: Make) -> None:
    audit = make(patience=0.3)
    await audit.run()
    assert (audit.accepted, audit.finished, audit.complete) == (30, 0, False)
    assert judge(audit.record).count(Kind.LOST) == 30


async def test_what_comes_after_the_end_is_still_read(working: None, make: Make, journal: Journal) -> None:
    """What comes too much comes late."""
    audit = make(linger=1.0)
    running = asyncio.create_task(audit.run())
    await eventually(lambda: audit.complete)
    late = Started("late", "k00000", 0, "w", 999, 1, False, 0)
    await asyncio.to_thread(journal.write, late)
    await running
    assert "late" in {entry.run for entry in audit.record if isinstance(entry, Started)}
    assert judge(audit.record).count(Kind.DUPLICATE) == 1


async def test_w16_a_message_that_is_refused_for_too_long_ends_the_audit(make: Make) -> None:
    audit = make(patience=0.3, redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(RedisUnavailable):
        await audit.run()
    assert audit.accepted == 0
    assert audit.refusals.total() >= SMALL.keys


async def test_when_one_message_is_given_up_no_other_is_offered_any_more(make: Make) -> None:
    audit = make(rate=0.01, patience=0.3, redis_url="redis://127.0.0.1:1/0", redis_timeout=0.2)
    with pytest.raises(RedisUnavailable):
        await audit.run()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "the other keys' turn would have come later"


async def test_a_record_that_can_not_be_read_for_too_long_ends_the_audit(
    make: Make, client: redis.Redis, stream: str
) -> None:
    """It is not over as if nothing had happened: what may stand in the record is not called lost."""
    client.set(stream, "no stream")
    with pytest.raises(RedisUnavailable, match="record can't be read"):
        await make(patience=0.3).run()


async def test_the_time_in_which_a_record_can_not_be_read_is_not_quiet(
    make: Make, client: redis.Redis, stream: str
) -> None:
    """Redis may be away for a while; only when it is back, it shows whether anything happens."""
    audit = make(Load(keys=1, messages=1, failing=0), patience=2.0)
    client.set(stream, "no stream")
    running = asyncio.create_task(audit.run())
    await eventually(lambda: audit.accepted == 1)
    began = time.monotonic()
    await eventually(lambda: time.monotonic() - began > 1.5)
    client.delete(stream)
    await eventually(lambda: time.monotonic() - began > 2.5)
    assert not running.done(), "it has been quiet for a second"
    await asyncio.wait_for(running, 10)


async def test_a_record_without_a_redis_ends_the_audit_before_it_sends(settings: Settings, stream: str) -> None:
    nowhere = Journal("redis://127.0.0.1:1/0", stream)
    audit = Audit(settings, ["audit"], Plan(SMALL), journal=nowhere, stream=stream)
    with pytest.raises(RedisUnavailable, match="the audit's record"):
        await audit.run()
    assert audit.accepted == 0


async def test_a_line_of_another_version_ends_the_audit(make: Make, client: redis.Redis, stream: str) -> None:
    client.xadd(stream, {"e": '["Started","of","the","future"]'})
    with pytest.raises(LineInvalid):
        await make().run()
