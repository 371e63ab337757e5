"""What every registry does, wherever it keeps what it knows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gobroke_dist.client import Client
from gobroke_dist.errors import ClientAlreadyExists, NotRunning, RedisUnavailable
from gobroke_dist.registry import Member, Registry
from tests.backends.places import Place
from tests.eventually import eventually


async def joined(place: Place, node: str) -> Registry:
    registry = place.registry()
    await registry.join(Member(node, "edge", "host", 7, 12.5, ("ws://127.0.0.1:1/ws",)))
    return registry


def client(uuid: str, node: str, session: str = "s1") -> Client:
    return Client(uuid, {"name": "Zoë", "tags": [1, {"a": None}]}, node=node, session=session)


async def listed(registry: Registry, count: int = 1000) -> dict[str, Client]:
    return {one.uuid: one async for page in registry.pages(count) for one in page}


async def test_c1_a_registration_is_visible_on_every_node_at_once(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    made = client("ann", "n1")
    made.last_message = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    await here.register(made)
    (seen,) = (await there.locate(["ann", "bob"])).values()
    assert (seen.uuid, seen.node, seen.session, seen.metadata) == ("ann", "n1", "s1", made.metadata)
    assert seen.last_message == made.last_message.replace(microsecond=123000)
    assert seen is not made
    assert seen.metadata is not made.metadata


async def test_c1_update_writes_metadata_and_last_message_of_many(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    clients = [client(f"c{i}", "n1") for i in range(1200)]
    for one in clients:
        await here.register(one)
        one.last_message += timedelta(minutes=1)
        one.add_metadata("room", f"r{one.uuid}")
    await here.update(clients)
    seen = await there.locate([one.uuid for one in clients])
    assert len(seen) == 1200
    assert seen["c1199"].metadata["room"] == "rc1199"
    assert seen["c1199"].last_message > datetime.now(UTC)


async def test_c1_update_of_nobody_is_nothing(place: Place) -> None:
    here = await joined(place, "n1")
    await here.update([])
    assert await here.locate([]) == {}


async def test_c1_one_client_that_cannot_be_shared_does_not_stop_the_others(place: Place) -> None:
    here = await joined(place, "n1")
    bad, good = client("bad", "n1"), client("good", "n1")
    await here.register(bad)
    await here.register(good)
    bad.add_metadata("thing", object())
    good.add_metadata("thing", 1)
    await here.update([bad, good])
    assert (await here.locate(["good"]))["good"].metadata["thing"] == 1
    with pytest.raises(TypeError):
        await here.register(bad)


async def test_c2_a_second_connection_is_rejected(place: Place) -> None:
    here, there = await joined(place, 'n"1'), await joined(place, "n2")
    await here.register(client("ann", 'n"1'))
    with pytest.raises(ClientAlreadyExists) as caught:
        await there.register(client("ann", "n2", "s2"))
    assert (caught.value.uuid, caught.value.node) == ("ann", 'n"1')
    with pytest.raises(ClientAlreadyExists):
        await here.register(client("ann", 'n"1', "s3"))
    assert (await there.locate(["ann"]))["ann"].session == "s1"


async def test_c2_a_session_takes_the_place_of_the_one_that_is_known_and_tells_its_node(place: Place) -> None:
    """The older session's node hears of it ahead of all that is sent afterwards; a second call changes nothing."""
    here, there = await joined(place, 'n"1'), await joined(place, "n2")
    heard: list[bytes] = []
    bus, sender = place.bus(), place.bus()
    await bus.open('n"1', lambda arrival: heard.append(arrival.data))
    older, newer = client("ann", 'n"1'), client("ann", "n2", "s2")
    await here.register(older)
    for _ in range(2):
        assert await there.replace(older, newer, b"news")
    await sender.publish('n"1', b"later")
    await eventually(lambda: b"later" in heard, within=5)
    assert heard == [b"news", b"later"]
    assert (await here.locate(["ann"]))["ann"].session == "s2"
    assert await here.count() == 1
    assert not await here.unregister(older)
    with pytest.raises(ClientAlreadyExists):
        await here.register(older)
    await bus.close()


async def test_c2_a_session_that_is_not_the_one_known_is_not_replaced(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    older, newer, last = client("ann", "n1"), client("ann", "n2", "s2"), client("ann", "n1", "s3")
    assert not await there.replace(older, newer, b"news")
    await here.register(older)
    assert await there.replace(older, newer, b"news")
    assert not await here.replace(older, last, b"news")
    assert (await here.locate(["ann"]))["ann"].session == "s2"
    assert await here.replace(newer, last, b"news")
    assert (await here.locate(["ann"]))["ann"].session == "s3"


async def test_c2_a_client_that_was_replaced_does_not_go_with_its_old_node(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    older = client("ann", "n1")
    await here.register(older)
    assert await there.replace(older, client("ann", "n2", "s2"), b"news")
    await here.leave()
    assert (await there.locate(["ann"]))["ann"].node == "n2"
    with pytest.raises(RedisUnavailable):
        await here.replace(client("ann", "n2", "s2"), client("ann", "n1", "s3"), b"news")


async def test_c2_registering_the_same_session_again_refreshes_it(place: Place) -> None:
    here = await joined(place, "n1")
    again = client("ann", "n1")
    await here.register(client("ann", "n1"))
    again.add_metadata("more", True)
    await here.register(again)
    assert (await here.locate(["ann"]))["ann"].metadata["more"] is True
    assert await here.count() == 1


async def test_c2_only_the_session_that_is_known_can_be_unregistered(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    await here.register(client("ann", "n1"))
    assert not await there.unregister(client("ann", "n2", "s1"))
    assert not await here.unregister(client("ann", "n1", "s2"))
    assert not await here.unregister(client("ann", "n1", "s"))
    assert await there.locate(["ann"])
    assert await here.unregister(client("ann", "n1"))
    assert not await here.unregister(client("ann", "n1"))
    assert not await there.locate(["ann"])
    await there.register(client("ann", "n2", "s2"))


async def test_c3_the_clients_of_a_dead_member_are_gone_for_everyone(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    await here.register(client("ann", "n1"))
    await there.register(client("bob", "n2"))
    await place.expire("n1")
    assert [member.node for member in await there.members()] == ["n2"]
    assert set(await there.locate(["ann", "bob"])) == {"bob"}
    assert set(await listed(there)) == {"bob"}
    await there.register(client("ann", "n2", "s2"))
    assert (await there.locate(["ann"]))["ann"].node == "n2"


async def test_c3_a_frozen_member_cannot_overwrite_a_client_that_has_moved(place: Place) -> None:
    frozen, there = await joined(place, "n1"), await joined(place, "n2")
    old, moved = client("ann", "n1"), client("ann", "n2", "s2")
    await frozen.register(old)
    await frozen.register(client("bob", "n1"))
    await place.expire("n1")
    await there.register(moved)
    with pytest.raises(RedisUnavailable):
        await frozen.register(old)
    old.add_metadata("stale", True)
    await frozen.update([old])
    assert not await frozen.unregister(old)
    assert not await frozen.renew()
    with pytest.raises(ClientAlreadyExists):
        await frozen.register(old)
    await frozen.register(client("bob", "n1"))
    await frozen.leave()
    seen = await there.locate(["ann", "bob"])
    assert {uuid: one.session for uuid, one in seen.items()} == {"ann": "s2"}
    assert "stale" not in seen["ann"].metadata


async def test_c3_renew_says_once_that_the_lease_had_run_out(place: Place) -> None:
    here = await joined(place, "n1")
    assert await here.renew()
    await place.expire("n1")
    assert not await here.renew()
    assert await here.renew()
    assert [member.node for member in await here.members()] == ["n1"]


async def test_c3_ghosts_are_removed_by_whoever_renews(place: Place) -> None:
    here, there, third = [await joined(place, node) for node in ("n1", "n2", "n3")]
    for i in range(1100):
        await here.register(client(f"c{i}", "n1"))
    await there.register(client("bob", "n2"))
    await place.expire("n1")
    await there.register(client("c7", "n2", "s2"))
    assert await there.renew()
    assert await third.renew()
    assert await there.count() == 2
    assert set(await there.locate(["c7", "bob", "c8"])) == {"c7", "bob"}


async def test_c3_who_leaves_takes_its_clients_along(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    for i in range(1100):
        await here.register(client(f"c{i}", "n1"))
    await there.register(client("bob", "n2"))
    await here.leave()
    await here.leave()
    assert await there.count() == 1
    assert [member.node for member in await there.members()] == ["n2"]
    with pytest.raises(RedisUnavailable):
        await here.register(client("ann", "n1"))
    with pytest.raises(NotRunning):
        await here.renew()


async def test_c4_all_clients_are_listed_page_by_page(place: Place) -> None:
    here, there = await joined(place, "n1"), await joined(place, "n2")
    for i in range(300):
        await (here if i % 2 else there).register(client(f"c{i}", "n1" if i % 2 else "n2"))
    sizes = [len(page) async for page in here.pages(50)]
    assert len(sizes) > 1
    assert max(sizes) < 300
    found = await listed(here, count=50)
    assert set(found) == {f"c{i}" for i in range(300)}
    assert found["c1"].metadata == client("c1", "n1").metadata
    assert abs(found["c1"].last_message - datetime.now(UTC)) < timedelta(minutes=1)
    assert found["c1"].node == "n1"
    assert await there.count() == 300


async def test_c4_clients_are_listed_from_cursor_to_cursor(place: Place) -> None:
    """Each page says where the next one begins, until one says nothing."""
    here = await joined(place, "n1")
    for i in range(600):
        await here.register(client(f"c{i}", "n1"))
    page = await here.page(count=50)
    found = [*page.clients]
    assert 0 < len(found) < 600
    while page.cursor:
        page = await here.page(page.cursor, 50)
        found += page.clients
    assert {one.uuid for one in found} == {f"c{i}" for i in range(600)}


async def test_c4_who_is_connected_throughout_is_listed_though_others_go(place: Place) -> None:
    here = await joined(place, "n1")
    for i in range(400):
        await here.register(client(f"c{i}", "n1"))
    pages = here.pages(50)
    seen = {one.uuid for one in await anext(pages)}
    gone = {f"c{i}" for i in range(200)}
    for uuid in sorted(gone):
        await here.unregister(client(uuid, "n1"))
    seen.update([one.uuid async for page in pages for one in page])
    assert seen >= {f"c{i}" for i in range(400)} - gone


async def test_members_are_known_with_all_their_facts(place: Place) -> None:
    here = await joined(place, "n1")
    worker = place.registry()
    await worker.join(Member("w1", "worker"))
    found = {member.node: member for member in await here.members()}
    assert found == {
        "n1": Member("n1", "edge", "host", 7, 12.5, ("ws://127.0.0.1:1/ws",)),
        "w1": Member("w1", "worker"),
    }


@pytest.mark.parametrize("node", ['q"uote', "back\\slash\\", 'x","session":"s9', "n,{}é 1"])
async def test_c2_names_with_any_characters_are_told_apart(place: Place, node: str) -> None:
    here, there = await joined(place, node), await joined(place, "n2")
    ann = client('a"n\\n', node, 's"1')
    ann.add_metadata('{"node":"n2","session":"', '","session":"s1",')
    await here.register(ann)
    with pytest.raises(ClientAlreadyExists) as caught:
        await there.register(client(ann.uuid, "n2", "s2"))
    assert caught.value.node == node
    (seen,) = (await listed(there)).values()
    assert (seen.uuid, seen.node, seen.session, seen.metadata) == (ann.uuid, node, 's"1', ann.metadata)
    await place.expire(node)
    assert not await there.locate([ann.uuid])
    assert await there.renew()
    assert await there.count() == 0


async def test_r6_a_uuid_that_is_no_proper_text_is_not_connected(place: Place) -> None:
    here = await joined(place, "n1")
    await here.register(client("ann", "n1"))
    found = await asyncio.gather(here.locate(["\ud800", "ann"]), here.locate(["ann"]))
    assert [set(one) for one in found] == [{"ann"}, {"ann"}]
    with pytest.raises(ValueError, match="surrogates"):
        await here.register(client("\ud800", "n1"))


async def test_e2_a_revocation_is_known_on_every_node_with_its_time_and_for_its_time_only(place: Place) -> None:
    """A client need not be connected for that; revoking it again counts from then on."""
    here, there = await joined(place, "n1"), await joined(place, "n2")
    assert await there.revoked("ann") is None
    await here.revoke("ann", 60)
    first = await there.revoked("ann")
    assert first is not None
    assert await there.revoked("bob") is None

    async def again() -> bool:
        await here.revoke("ann", 60)
        latest = await there.revoked("ann")
        return latest is not None and latest > first

    await eventually(again)
    await here.revoke("bob", 0.05)
    await place.pass_by(0.1)
    assert await there.revoked("bob") is None
    assert await there.revoked("ann") is not None
