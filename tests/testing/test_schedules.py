"""PASSIVE logic in the in-memory cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gobroke_dist import Message, Settings, Tick
from gobroke_dist.testing import Cluster
from gobroke_dist.testing.memory.letters import firing
from tests.testing.logics import Ticking

MIDNIGHT = datetime(2025, 1, 1, tzinfo=UTC)


async def test_o8_p3_a_schedule_fires_once_per_nominal_time_in_the_cluster() -> None:
    """However many schedulers there are, and at that very instant of the cluster's clock."""
    ticking = Ticking(every=10.0)
    async with Cluster(ticking, schedulers=3, workers=2, settings=Settings(dedup_window=0)) as cluster:
        await cluster.advance(9.999)
        assert ticking.ticks == []
        await cluster.advance(0.001)
        assert [tick.nominal for tick in ticking.ticks] == [MIDNIGHT + timedelta(seconds=10)]
        await cluster.advance(3600)
        assert [tick.nominal for tick in ticking.ticks] == [MIDNIGHT + timedelta(seconds=10 * n) for n in range(1, 362)]


async def test_o8_p2_a_cron_expression_is_read_in_its_zone() -> None:
    """Three in the morning in Berlin is two in UTC in winter, and one in summer."""
    for month, hour in ((1, 2), (7, 1)):
        nightly = Ticking(cron="0 3 * * *", zone="Europe/Berlin")
        due = datetime(2025, month, 1, hour, tzinfo=UTC)
        async with Cluster(nightly, start=due - timedelta(minutes=5)) as cluster:
            await cluster.advance(600)
            assert [tick.nominal for tick in nightly.ticks] == [due]


async def test_o8_p3_a_dead_scheduler_is_not_missed() -> None:
    """Another one fires, and none fires twice."""
    ticking = Ticking(every=10.0)
    async with Cluster(ticking, schedulers=2) as cluster:
        await cluster.advance(10)
        cluster.kill_scheduler(0)
        await cluster.advance(20)
        assert [tick.nominal.second for tick in ticking.ticks] == [10, 20, 30]


async def test_o8_p3_a_late_scheduler_claims_nothing_twice() -> None:
    """Also when the run is over, and nobody remembers its uuid."""
    ticking = Ticking(every=10.0)
    async with Cluster(ticking, settings=Settings(dedup_window=0)) as cluster:
        await cluster.advance(10)
        due = int((MIDNIGHT + timedelta(seconds=10)).timestamp() * 1000)
        assert not cluster._shared.queues.fire(firing("ticking", due, "late"), due)
        await cluster.settle()
        assert len(ticking.ticks) == 1


async def test_o8_p4_of_what_was_missed_the_latest_fires() -> None:
    """Once Redis is back."""
    ticking = Ticking(every=10.0)
    async with Cluster(ticking) as cluster:
        await cluster.advance(10)
        cluster.redis_down()
        await cluster.advance(35)
        assert len(ticking.ticks) == 1
        cluster.redis_up()
        await cluster.advance(5)
        assert [tick.nominal.second for tick in ticking.ticks] == [10, 40, 50]


async def test_o8_p5_a_nodes_schedule_fires_on_every_node() -> None:
    """Also by the cluster's clock; not where the node is gone."""
    ticking = Ticking(every=10.0, scope="node")
    async with Cluster(ticking, nodes=3) as cluster:
        await cluster.advance(10)
        assert len({tick.scheduler for tick in ticking.ticks}) == 3
        await cluster.kill(0)
        await cluster.advance(10)
        assert len(ticking.ticks) == 5


class Announcing(Ticking):
    """Fails once, after it has sent."""

    min_backoff = 1.0

    async def run_tick(self, tick: Tick) -> None:
        self.ticks.append(tick)
        await self.send_message(Message(to_all=True, message_raw=f'"{tick.nominal:%H:%M}"'))
        if len(self.ticks) == 1:
            raise ValueError("the first run fails")


async def test_o8_what_a_schedule_sends_is_visible_when_its_run_succeeds() -> None:
    """A run that failed is tried again, with the same nominal time."""
    announcing = Announcing(every=3600.0)
    async with Cluster(announcing) as cluster:
        ann = await cluster.connect("ann")
        await ann.expect_nothing(within=3600.9)
        await ann.expect(within=0.1, data="01:00")
        assert announcing.ticks[0].nominal == announcing.ticks[1].nominal
        await ann.expect_nothing(within=1000)
