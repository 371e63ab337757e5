"""What only Redis can show of groups: how much one step does, and what is left in it."""

from __future__ import annotations

import pytest

from gobroke_dist.client import Client
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.groups import Outcome
from tests.backends.places import RedisPlace
from tests.backends.test_groups_contract import node


async def test_c6_members_of_a_dead_node_are_removed_in_bounded_steps(real: RedisPlace) -> None:
    """A client in many groups is worth as many clients: one step ends after five hundred of either."""
    one, two = await node(real, "n1"), await node(real, "n2")
    for number in range(20):
        client = await one.client(f"c{number}")
        for group in range(100):
            await one.groups.join(client, f"g{group}", b"")
    await real.expire("n1")
    run, calls = two.registry._line.run, list[str]()  # type: ignore[attr-defined]
    two.registry._line.run = lambda script, *words, **how: (  # type: ignore[attr-defined]
        calls.append(script.sha),
        run(script, *words, **how),
    )[1]
    await two.registry.renew()
    assert len(calls) == 1 + 4 + 1  # the renewal, five clients in each step, and one that finds nothing
    assert await real.redis.exists(real.keys.memberships, real.keys.client_groups) == 0


async def test_c6_nothing_stays_in_redis_of_groups_that_nobody_is_in(real: RedisPlace) -> None:
    """The last member takes the group with it."""
    one = await node(real, "n1")
    ann, ben = await one.client("ann", "red", "blue"), await one.client("ben", "red")
    await one.groups.leave(ben, "red", b"")
    await one.registry.unregister(ann)
    await one.registry.unregister(ben)
    assert await real.redis.exists(real.keys.memberships, real.keys.client_groups) == 0


async def test_c6_w19_at_the_memory_limit_nobody_joins_and_everybody_may_leave(own_server: RedisPlace) -> None:
    """A join is new work and is refused whole; leaving frees memory."""
    one = await node(own_server, "n1")
    ann, ben = await one.client("ann", "red", "blue"), await one.client("ben", "red")
    await own_server.redis.config_set("maxmemory", 1)
    with pytest.raises(RedisUnavailable, match="memory is full"):
        await one.groups.join(ben, "blue", b"")
    assert await one.groups.leave(ann, "red", b"") is Outcome.CHANGED
    assert await one.registry.unregister(ben)
    assert [await one.groups.count(name) for name in ("red", "blue")] == [0, 1]


async def test_c6_a_step_that_is_sent_twice_changes_nothing_more(real: RedisPlace) -> None:
    """Each is one script that may run twice (contract W18)."""
    one = await node(real, "n1")
    ann = await one.client("ann", "red")
    for _ in range(2):
        assert await one.groups.join(ann, "red", b"") is Outcome.UNCHANGED
        assert await one.groups.count("red") == 1
    for expected in (Outcome.CHANGED, Outcome.UNCHANGED):
        assert await one.groups.leave(ann, "red", b"") is expected
        assert await one.groups.count("red") == 0
    assert await one.groups.join(Client("ann", node="n1", session="s2"), "red", b"") is Outcome.NOWHERE


async def test_c6_c10_changes_are_told_after_redis_has_lost_what_it_had(real: RedisPlace) -> None:
    """Numbers begin anew, and the node that asks knows larger ones."""
    one = await node(real, "n1")
    await one.groups.changes("n1", 0, 2)
    ann = await one.client("ann", "red", "blue")
    assert [change.number for change in await one.groups.changes("n1", 0, 2)] == [1, 2]
    await real.redis.delete(*real.keys.groups)
    await one.groups.changes("n1", 2, 2)
    await one.groups.join(ann, "green", b"")
    assert [(change.number, change.group) for change in await one.groups.changes("n1", 2, 2)] == [(1, "green")]
