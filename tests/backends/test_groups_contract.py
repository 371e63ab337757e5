"""What groups do, wherever it is kept who is in them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gobroke_dist.client import Client
from gobroke_dist.errors import GroupInvalid
from gobroke_dist.groups import Groups, Outcome, check
from gobroke_dist.registry import Member, Registry
from gobroke_dist.wire import node as wire
from tests.backends.places import Place
from tests.eventually import eventually


@dataclass
class Node:
    """One process: its clients register here."""

    name: str
    registry: Registry
    groups: Groups

    async def client(self, uuid: str, *groups: str, session: str = "s1") -> Client:
        made = Client(uuid, {"name": "Zoë"}, node=self.name, session=session)
        await self.registry.register(made)
        for group in groups:
            assert await self.groups.join(made, group, b"") is Outcome.CHANGED
        return made


async def node(place: Place, name: str) -> Node:
    made = Node(name, place.registry(), place.groups())
    await made.registry.join(Member(name, "edge"))
    return made


async def listed(groups: Groups, group: str, count: int = 1000) -> list[str]:
    found: list[str] = []
    page = await groups.page(group, count=count)
    found += [client.uuid for client in page.clients]
    while page.cursor:
        page = await groups.page(group, page.cursor, count)
        found += [client.uuid for client in page.clients]
    return sorted(found)


async def seen(groups: Groups, group: str) -> tuple[list[str], int]:
    """All that can be asked about a group."""
    return await listed(groups, group), await groups.count(group)


NOBODY: tuple[list[str], int] = ([], 0)


async def test_c6_a_member_is_seen_from_every_node_at_once(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    ann, ben = await one.client("ann"), await two.client("ben")
    assert await two.groups.join(ann, "room", b"") is Outcome.CHANGED  # from anywhere
    assert await one.groups.join(ben, "room", b"") is Outcome.CHANGED
    assert await one.groups.join(ben, "room", b"") is Outcome.UNCHANGED
    for place_to_ask in (one, two):
        assert await seen(place_to_ask.groups, "room") == (["ann", "ben"], 2)
    (found,) = [client for client in (await two.groups.page("room")).clients if client.uuid == "ann"]
    assert (found.node, found.session, found.metadata) == ("n1", "s1", {"name": "Zoë"})


async def test_c6_a_client_leaves_one_group_and_stays_in_the_others(place: Place) -> None:
    one = await node(place, "n1")
    ann = await one.client("ann", "red", "blue")
    assert await one.groups.leave(ann, "red", b"") is Outcome.CHANGED
    assert await one.groups.leave(ann, "green", b"") is Outcome.UNCHANGED  # it is not in it
    assert await seen(one.groups, "red") == NOBODY
    assert await seen(one.groups, "blue") == (["ann"], 1)


async def test_c6_who_is_not_connected_joins_nothing(place: Place) -> None:
    one = await node(place, "n1")
    ann = await one.client("ann")
    earlier = Client("ann", node="n1", session="s0")
    for stranger in (earlier, Client("ben", node="n1", session="s1"), Client("ann", node="n2", session="s1")):
        assert await one.groups.join(stranger, "room", b"") is Outcome.NOWHERE
        assert await one.groups.leave(stranger, "room", b"") is Outcome.NOWHERE
    await place.expire("n1")
    assert await one.groups.join(ann, "room", b"") is Outcome.NOWHERE
    assert await seen(one.groups, "room") == NOBODY


async def test_c6_a_client_that_goes_leaves_all_groups(place: Place) -> None:
    one = await node(place, "n1")
    ann, _ = await one.client("ann", "red", "blue"), await one.client("ben", "red")
    assert not await one.registry.unregister(Client("ann", node="n1", session="s0"))  # another session of it
    assert await one.groups.count("blue") == 1
    await one.registry.unregister(ann)
    assert await seen(one.groups, "red") == (["ben"], 1)
    assert await seen(one.groups, "blue") == NOBODY
    await one.client("ann", session="s2")
    assert await one.groups.count("red") == 1  # it is back, and in no group


async def test_c6_members_of_a_dead_node_are_gone_when_its_lease_is(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    await one.client("ann", "room")
    await two.client("ben", "room")
    await place.expire("n1")
    assert await seen(two.groups, "room") == (["ben"], 1)
    for _ in range(3):
        await two.registry.renew()  # sweeps
    assert not await one.registry.renew()  # back, with nobody
    assert await seen(two.groups, "room") == (["ben"], 1)


async def test_c6_a_node_that_ends_takes_its_members_with_it(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    await one.client("ann", "room")
    await one.registry.leave()
    assert await seen(two.groups, "room") == NOBODY


async def test_c6_who_takes_over_a_uuid_from_a_dead_node_is_in_none_of_its_groups(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    await one.client("ann", "red", "blue")
    await place.expire("n1")
    await two.client("ann", "blue", session="s2")
    assert await seen(two.groups, "red") == NOBODY
    for _ in range(3):
        await two.registry.renew()
    assert not await one.registry.renew()
    assert await seen(two.groups, "red") == NOBODY
    assert await seen(two.groups, "blue") == (["ann"], 1)


async def test_c6_what_a_node_brings_back_is_not_who_was_taken_over_meanwhile(place: Place) -> None:
    """It comes back before anybody has swept it: what its client was in went with the client."""
    one, two = await node(place, "n1"), await node(place, "n2")
    await one.client("ann", "red")
    await place.expire("n1")
    await two.client("ann", session="s2")
    assert not await one.registry.renew()
    assert await seen(two.groups, "red") == NOBODY


async def test_c6_a_node_that_comes_back_brings_its_members(place: Place) -> None:
    """Swept or not: after registering again, a client is in the groups that it was in, and in no others."""
    one, two = await node(place, "n1"), await node(place, "n2")
    ann, ben = await one.client("ann", "red", "blue"), await one.client("ben", "red")
    await place.expire("n1")
    for _ in range(3):
        await two.registry.renew()
    assert not await one.registry.renew()
    await one.registry.register(ann, ["red", "blue"])
    await one.registry.register(ben, ["red"])
    assert await seen(two.groups, "red") == (["ann", "ben"], 2)
    await one.groups.leave(ben, "red", b"")
    await one.registry.register(ben, ["red"])  # known all the time: its groups are as they are
    assert await seen(two.groups, "red") == (["ann"], 1)
    assert await seen(two.groups, "blue") == (["ann"], 1)


async def test_c6_r4_what_is_sent_to_groups_is_one_datum_for_each_node_that_has_members(place: Place) -> None:
    """Whatever their number, and whatever else the message names."""
    one, two, three, four = [await node(place, name) for name in ("n1", "n2", "n3", "n4")]
    await one.client("ann", "red", "blue")
    await two.client("ben", "blue")
    await two.client("bob", "red")
    await three.client("cid", "green")
    await four.client("dan")
    arrived: list[tuple[str, bytes]] = []
    buses = [place.bus() for _ in range(5)]
    for bus, name in zip(buses, ("n1", "n2", "n3", "n4"), strict=False):
        await bus.open(name, lambda arrival, name=name: arrived.append((name, arrival.data)))
    assert await buses[4].send(b"colours", (), ["red", "blue", "none"]) == ()
    assert await buses[4].send(b"and others", ["bob", "dan", "nobody"], ["red"]) == ("nobody",)
    assert await buses[4].send(b"nobody", (), ["none"]) == ()
    await buses[4].broadcast(b"end")
    await eventually(lambda: len([data for _, data in arrived if data == b"end"]) == 4, within=5)
    assert sorted(one for one in arrived if one[1] != b"end") == [
        ("n1", b"and others"),
        ("n1", b"colours"),
        ("n2", b"and others"),
        ("n2", b"colours"),
        ("n4", b"and others"),
    ]
    for bus in buses:
        await bus.close()


async def test_c6_a_long_list_is_read_in_parts_each_member_once(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    for number in range(60):
        await (one if number % 3 else two).client(f"c{number:02}", "room")
    everybody = [f"c{number:02}" for number in range(60)]
    for count in (1, 7, 60, 61):
        assert await listed(one.groups, "room", count) == everybody
    await place.expire("n2")
    assert await listed(one.groups, "room", 7) == [uuid for uuid in everybody if int(uuid[1:]) % 3]


async def test_c6_names_that_begin_alike_are_different_groups_and_clients(place: Place) -> None:
    one, two = await node(place, "n"), await node(place, "n1")
    names = ["r", "ro", "ro\x01", "r o", "rö", "r:o", "ro/\n"]
    clients = ["a", "a\0b", "a\0b\0c", "ab", "a\x01"]
    made = [await one.client(uuid, *names) for uuid in clients]
    await two.client("other", "r")
    assert await seen(one.groups, "r") == (sorted([*clients, "other"]), 6)
    for name in names[1:]:
        assert await seen(one.groups, name) == (sorted(clients), 5)
    await one.registry.unregister(made[0])
    assert await listed(one.groups, "ro", 2) == sorted(clients[1:])


async def test_c6_r5_the_clients_node_hears_of_it_before_what_is_published_next(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    ann, heard = await one.client("ann"), list[bytes]()
    receiving, sending = place.bus(), place.bus()
    await receiving.open("n1", lambda arrival: heard.append(arrival.data))
    for number in range(20):
        await two.groups.join(ann, "room", b"in %d" % number)
        await sending.publish("n1", b"to the room %d" % number)
        await two.groups.leave(ann, "room", b"out %d" % number)
    await two.groups.join(Client("ben", node="n1", session="s"), "room", b"never")
    expected = [text % number for number in range(20) for text in (b"in %d", b"to the room %d", b"out %d")]
    await eventually(lambda: len(heard) >= len(expected), within=5)
    assert heard == expected
    await sending.close()
    await receiving.close()


@pytest.mark.parametrize(
    ("name", "why"), [("", "1 to 256"), ("x" * 257, "1 to 256"), ("a\0", "NUL"), ("\ud800", "surrogate")]
)
def test_c6_a_name_that_cannot_be_is_refused(name: str, why: str) -> None:
    with pytest.raises(GroupInvalid, match=why):
        check(name)


async def told(groups: Groups, done: int = 0, node: str = "n1", grace: float = 0) -> tuple[int, list[str]]:
    """The number of the last change, and the changes as words."""
    changes = await groups.changes(node, done, grace)
    words = [f"{one.uuid} {'joined' if one.joined else 'left'} {one.group}" for one in changes]
    return max((change.number for change in changes), default=done), words


async def test_c6_each_change_is_told_once_in_order(place: Place) -> None:
    one = await node(place, "n1")
    assert await told(one.groups) == (0, [])
    ann = await one.client("ann", "red")
    await one.groups.join(ann, "red", b"")  # no change
    await one.groups.join(ann, "blue", b"")
    await one.groups.leave(ann, "red", b"")
    await one.groups.leave(ann, "red", b"")  # nor this
    expected = ["ann joined red", "ann joined blue", "ann left red"]
    assert await told(one.groups) == (3, expected)
    assert await told(one.groups, 1) == (3, expected[1:])  # what is not done is told again
    assert await told(one.groups, 3) == (3, [])
    await one.groups.join(ann, "a\x01 b", b"")
    assert await told(one.groups, 3) == (4, ["ann joined a\x01 b"])


async def test_c6_one_node_hears_of_changes_and_nothing_is_noted_that_nobody_hears(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    await one.client("ann", "room")
    assert await told(one.groups) == (0, [])
    await one.client("ben", "room")
    assert await told(two.groups, node="n2") == (0, [])
    assert await told(one.groups) == (1, ["ben joined room"])


async def test_c6_who_goes_without_leaving_has_left_after_the_grace(place: Place) -> None:
    one = await node(place, "n1")
    await told(one.groups)
    ann, ben = await one.client("ann", "red", "blue"), await one.client("a\0b", "red")
    done, _ = await told(one.groups)
    await one.registry.unregister(ann)
    await one.registry.unregister(ben)
    done, words = await told(one.groups, done)
    assert sorted(words) == ["a\0b left red", "ann left blue", "ann left red"]
    assert await told(one.groups, done) == (done, [])


async def test_c6_who_is_back_within_the_grace_has_not_been_away(place: Place) -> None:
    """Whatever it was that ended the connection, and wherever the next one is."""
    one, two = await node(place, "n1"), await node(place, "n2")
    await told(one.groups, grace=60)
    ann, _ = await one.client("ann", "room"), await one.client("ben", "room")
    done, _ = await told(one.groups, grace=60)
    await one.registry.unregister(ann)
    await two.client("ann", "room", session="s2")
    await place.expire("n1")
    await two.client("ben", "room", session="s2")
    assert await told(one.groups, done, grace=60) == (done, [])
    assert await listed(two.groups, "room") == ["ann", "ben"]


async def test_c6_who_dies_with_its_node_has_left_once(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    await told(two.groups, node="n2")
    await one.client("ann", "room")
    done, _ = await told(two.groups, node="n2")
    await place.expire("n1")
    for _ in range(3):
        await two.registry.renew()
    done, words = await told(two.groups, done, node="n2")
    assert words == ["ann left room"]
    assert await told(two.groups, done, node="n2") == (done, [])


SECRET = b"known to the client"


async def came_back(node: Node, uuid: str, session: str) -> frozenset[str]:
    """A client that comes back to a node: the groups that it is in then."""
    found = await node.registry.come_back(Client(uuid, node=node.name, session=session), SECRET)
    assert found is not None
    return found.groups


async def test_c6_c7_who_is_away_is_in_no_list_and_is_in_its_groups_when_it_is_back(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    ann, _ = await one.client("ann", "red", "blue"), await two.client("ben", "red")
    await one.registry.keep(ann, SECRET)
    await one.registry.suspend(ann)
    assert await seen(two.groups, "red") == (["ben"], 1)
    assert await seen(two.groups, "blue") == NOBODY
    assert await came_back(two, "ann", "s2") == {"red", "blue"}
    assert await seen(one.groups, "red") == (["ann", "ben"], 2)
    assert await came_back(one, "ann", "s3") == {"red", "blue"}  # its last connection was not known to be lost
    assert await seen(two.groups, "blue") == (["ann"], 1)
    (found,) = (await two.groups.page("blue")).clients
    assert (found.node, found.session) == ("n1", "s3")


async def test_c6_c7_what_is_sent_to_a_group_is_kept_for_who_is_away(place: Place) -> None:
    """It is in the log of the node that it was on, also of a dead one, and its new node hears of its groups first."""
    one, two = await node(place, "n1"), await node(place, "n2")
    ann = await one.client("ann", "room")
    start = await one.registry.keep(ann, SECRET)
    assert start is not None
    bus, heard = place.bus(), list[bytes]()
    await bus.open("n2", lambda arrival: heard.append(arrival.data))
    await bus.send(b"to who is there", (), ["room"])
    await one.registry.suspend(ann)
    await bus.send(b"to who is away", (), ["room"])
    await place.expire("n1")
    await bus.send(b"to the dead", (), ["room"])
    for _ in range(3):
        await two.registry.renew()
    await bus.send(b"to the swept", (), ["room"])
    back = await two.registry.come_back(Client("ann", node="n2", session="s2"), SECRET)
    assert back is not None
    await bus.send(b"to who is back", (), ["room"])
    kept = await bus.replay("n1", start.number, back.position.number)
    assert kept is not None
    expected = [b"to who is there", b"to who is away", b"to the dead", b"to the swept"]
    assert [data for _, data in kept] == expected
    await eventually(lambda: heard[-1:] == [b"to who is back"], within=5)
    assert [wire.decode(data) for data in heard[:-1]] == [wire.Rejoined("ann", "s2", ("room",))]
    await bus.close()


async def test_c6_c7_who_is_away_can_be_put_into_groups_and_taken_out(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    ann = await one.client("ann", "red")
    await one.registry.keep(ann, SECRET)
    await one.registry.suspend(ann)
    assert await two.groups.join(ann, "blue", b"") is Outcome.CHANGED
    assert await two.groups.join(ann, "blue", b"") is Outcome.UNCHANGED
    assert await two.groups.leave(ann, "red", b"") is Outcome.CHANGED
    assert await seen(two.groups, "blue") == NOBODY
    assert await came_back(two, "ann", "s2") == {"blue"}
    assert await seen(one.groups, "blue") == (["ann"], 1)
    assert await two.groups.join(ann, "red", b"") is Outcome.ELSEWHERE  # the same client, with a later connection
    assert await two.groups.leave(ann, "blue", b"") is Outcome.ELSEWHERE
    assert await seen(one.groups, "blue") == (["ann"], 1)


async def test_c6_c7_who_does_not_come_back_is_in_no_group(place: Place) -> None:
    """Neither who takes the uuid over, nor who comes with a secret that nobody waits for."""
    one, two = await node(place, "n1"), await node(place, "n2")
    ann = await one.client("ann", "room")
    await one.registry.keep(ann, SECRET)
    await one.registry.suspend(ann)
    await two.client("ann", session="s2")
    assert await two.registry.come_back(Client("ann", node="n2", session="s3"), SECRET) is None
    assert await seen(one.groups, "room") == NOBODY
    assert await one.groups.join(ann, "room", b"") is Outcome.NOWHERE
    ben = await one.client("ben", "room")
    await one.registry.keep(ben, SECRET)
    newer = Client("ben", node="n2", session="s2")
    assert await two.registry.replace(ben, newer, b"")
    assert await seen(one.groups, "room") == NOBODY


async def test_c6_c7_a_node_that_was_frozen_finds_its_clients_in_the_groups_that_they_were_put_into(
    place: Place,
) -> None:
    """While it was taken for dead they were away; who was put into a group or taken out meanwhile stays so."""
    one, two = await node(place, "n1"), await node(place, "n2")
    ann = await one.client("ann", "red")
    await one.registry.keep(ann, SECRET)
    await place.expire("n1")
    for _ in range(3):
        await two.registry.renew()
    assert await two.groups.join(ann, "blue", b"") is Outcome.CHANGED
    assert await two.groups.leave(ann, "red", b"") is Outcome.CHANGED
    assert not await one.registry.renew()
    await one.registry.register(ann, ["red"])  # as far as the node knows
    assert await seen(two.groups, "red") == NOBODY
    assert await seen(two.groups, "blue") == (["ann"], 1)


async def test_c6_c7_changes_are_told_of_who_goes_away_and_comes_back(place: Place) -> None:
    one, two = await node(place, "n1"), await node(place, "n2")
    await told(one.groups, grace=60)
    ann = await one.client("ann", "red", "blue")
    await one.registry.keep(ann, SECRET)
    done, _ = await told(one.groups, grace=60)
    await one.registry.suspend(ann)
    await came_back(two, "ann", "s2")  # within the grace: it has not been away
    assert await told(one.groups, done, grace=60) == (done, [])
    back = Client("ann", node="n2", session="s2")
    await two.registry.suspend(back)
    await one.groups.leave(back, "red", b"")  # it is still taken to be there, so it leaves now
    assert await told(one.groups, done, grace=0) == (done + 1, ["ann left red"])
    await came_back(one, "ann", "s3")
    assert await told(one.groups, done + 1, grace=0) == (done + 1, [])
    await one.registry.suspend(Client("ann", node="n1", session="s3"))
    assert await told(one.groups, done + 1, grace=0) == (done + 2, ["ann left blue"])
    await two.groups.join(Client("ann", node="n1", session="s3"), "green", b"")
    await came_back(two, "ann", "s4")
    _, words = await told(one.groups, done + 2, grace=0)
    assert sorted(words) == ["ann joined blue", "ann joined green"]
