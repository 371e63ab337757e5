"""Who sends a message to WORKER logic by HTTP may wait for what becomes of it (contracts O4, C11)."""

from __future__ import annotations

import asyncio

import pytest

from gobroke_dist import QueueFull, RequestFailed
from gobroke_dist.errors import CallInvalid, Draining, LogicDoesNotExist, RequestInvalid
from gobroke_dist.ops import APIClient, AsyncAPIClient
from tests.eventually import eventually
from tests.ops.conftest import TOKEN, Doomed, Oracle, Served


def waiting(served: Served) -> int:
    """How many wait for an answer on the edge with the API."""
    return len(served.edge.node.runtime.requests)


async def test_o4_c11_a_message_is_followed_until_it_is_done_or_dead(served: Served) -> None:
    """Over both clients; without a word about it, the answer is that it was accepted."""
    await served.cluster.worker(Oracle(), Doomed())
    done = await served.api.send("well", to_logic="doomed", wait=20)
    dead = await served.api.send("ill", to_logic="doomed", wait=20)
    assert [(one.state, one.reason) for one in (done, dead)] == [("done", ""), ("dead", "attempts")]
    assert (await served.api.send("well", to_logic="doomed")).state == "accepted"

    def blocking() -> list[str]:
        with APIClient(served.url, TOKEN) as api:
            return [api.send(what, to_logic="doomed", wait=20).state for what in ("well", "ill")]

    assert await asyncio.to_thread(blocking) == ["done", "dead"]
    assert waiting(served) == 0


async def test_o4_c11_w12_what_is_not_known_in_time_is_accepted(served: Served) -> None:
    """No worker; and then a uuid that was accepted before, of which nobody hears again."""
    sent = await served.api.send("well", to_logic="doomed", wait=0.2)
    assert (sent.state, waiting(served)) == ("accepted", 0)
    await served.cluster.worker(Oracle(), Doomed())
    again = await served.api.send("well", to_logic="doomed", uuid=sent.uuid, wait=1)
    assert again.state == "accepted"


async def test_o4_c11_only_one_worker_logic_can_be_followed(served: Served) -> None:
    """Others are refused before anything is sent."""
    for to in ({"to_logic": ["doomed", "oracle"]}, {"to_logic": "doomed", "to_client": "ann"}, {"to_group": "room"}):
        with pytest.raises(CallInvalid):
            await served.api.send(1, wait=1, **to)  # type: ignore[arg-type]
    with pytest.raises(RequestInvalid):
        await served.api.send(1, to_logic="oracle", wait=1)
    with pytest.raises(LogicDoesNotExist):
        await served.api.send(1, to_logic="nobody", wait=1)
    with pytest.raises(CallInvalid):
        await served.api.send(1, to_logic="doomed", wait=61)


async def test_o4_e7_who_waits_is_told_that_the_edge_ends(served: Served) -> None:
    """A message that is followed may be sent again, so it is 503; a request may not: it has failed."""
    async with AsyncAPIClient(served.url, TOKEN, attempts=1) as once:
        silent = await served.other.stub.simulate_client_connection()
        followed = asyncio.create_task(once.send("well", to_logic="doomed", wait=30))
        asked = asyncio.create_task(served.api.ask("why", to_client=silent.uuid, timeout=30))
        await eventually(lambda: waiting(served) == 2, within=5)
        await served.edge.node.stop()
        with pytest.raises(Draining):
            await asyncio.wait_for(followed, 5)
        with pytest.raises(RequestFailed) as raised:
            await asyncio.wait_for(asked, 5)
        assert raised.value.reason == "draining"


async def test_o4_c11_too_many_that_wait_are_refused(served: Served) -> None:
    """As requests are: both stand in one table."""
    served.edge.node.runtime.requests._limit = 0
    async with AsyncAPIClient(served.url, TOKEN, attempts=1) as api:
        with pytest.raises(QueueFull):
            await api.send(1, to_logic="doomed", wait=1)
