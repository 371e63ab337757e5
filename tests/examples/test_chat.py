"""The chat on two edges and two workers."""

from __future__ import annotations

from uuid import uuid4

import aiohttp

from tests.examples.websocket_client import connected


async def test_members_are_shown_on_all_nodes(chat: list[str], room: str) -> None:
    """Who is online is the same list on both edges, with the node of each."""
    async with connected(chat[0], name="Ann") as ann, connected(chat[1], name="Ben") as ben:
        await ann.enter(room)
        await ben.enter(room)
        assert ann.welcome["node"] != ben.welcome["node"]
        expected = [("Ann", ann.welcome["node"]), ("Ben", ben.welcome["node"])]
        for one in (ann, ben):
            await one.until(lambda one=one: one.online() == expected)


async def test_numbers_have_no_gaps_and_are_the_same_for_all(chat: list[str], room: str) -> None:
    """Lines from both edges at once get the numbers 1 to n, and everybody gets them in this order."""
    async with connected(chat[0], name="Ann") as ann, connected(chat[1], name="Ben") as ben:
        for one in (ann, ben):
            await one.enter(room)
        for turn in range(100):
            await ann.send("say", {"room": room, "text": f"ann {turn}"})
            await ben.send("say", {"room": room, "text": f"ben {turn}"})
        for one in (ann, ben):
            await one.until(lambda one=one: len(one.numbered()) >= 200)
        assert ann.numbered() == ben.numbered()
        assert [number for number, _ in ann.numbered()] == list(range(1, 201))
        for name in ("ann", "ben"):
            assert [text for _, text in ann.numbered() if text.startswith(name)] == [f"{name} {n}" for n in range(100)]


async def test_a_line_tells_who_said_it_and_through_which_node(chat: list[str], room: str) -> None:
    """What a member gets is complete: name, text, node, and the uuid that the sender gave."""
    uuid = str(uuid4())
    async with connected(chat[0], name="Ann") as ann, connected(chat[1], name="Ben") as ben:
        for one in (ann, ben):
            await one.enter(room)
        await ann.send("say", {"room": room, "text": " hello "}, uuid)
        (said,) = await ben.until(lambda: ben.data("said"))
    line = said["line"]
    assert (line["uuid"], line["name"], line["text"], line["node"]) == (uuid, "Ann", "hello", ann.welcome["node"])
    assert said["handled"]["attempt"] == 1


async def test_who_joins_gets_what_was_missed(chat: list[str], room: str) -> None:
    """The history has the lines after the last number that the page has seen."""
    async with connected(chat[0], name="Ann") as ann:
        await ann.enter(room)
        for turn in range(1, 6):
            await ann.send("say", {"room": room, "text": f"line {turn}"})
        await ann.until(lambda: len(ann.numbered()) == 5)
        async with connected(chat[1], name="Ben") as ben:
            assert [(line["number"], line["text"]) for line in await ben.enter(room)] == ann.numbered()
            assert [line["number"] for line in await ben.enter(room, after=3)] == [4, 5]


async def test_the_same_uuid_twice_shows_once(chat: list[str], room: str) -> None:
    """A page that sends again what was not confirmed causes no second line, at once or later, on either edge."""
    uuid = str(uuid4())
    async with connected(chat[0], name="Ann") as ann, connected(chat[1], name="Ben") as ben:
        for one in (ann, ben):
            await one.enter(room)
        await ann.send("say", {"room": room, "text": "once"}, uuid)
        await ann.send("say", {"room": room, "text": "once"}, uuid)
        await ben.until(ben.numbered)
        await ann.send("say", {"room": room, "text": "once"}, uuid)
        await ann.send("say", {"room": room, "text": "after it"})
        await ben.until(lambda: len(ben.numbered()) >= 2)
        assert ben.numbered() == ann.numbered() == [(1, "once"), (2, "after it")]


async def test_who_vanishes_is_taken_out(chat: list[str], room: str) -> None:
    """A connection that ends without a word ends the membership, and the other node is told."""
    async with connected(chat[0], name="Ann") as ann:
        await ann.enter(room)
        async with connected(chat[1], name="Ben") as ben:
            await ben.enter(room)
            await ann.until(lambda: len(ann.online()) == 2)
        await ann.until(lambda: [name for name, _ in ann.online()] == ["Ann"])


async def test_who_leaves_is_taken_out_at_once_and_hears_no_more(chat: list[str], room: str) -> None:
    """Leaving needs no sweep."""
    async with connected(chat[0], name="Ann") as ann, connected(chat[1], name="Ben") as ben:
        for one in (ann, ben):
            await one.enter(room)
        await ann.until(lambda: len(ann.online()) == 2)
        await ben.send("leave", {"room": room})
        await ann.until(lambda: [name for name, _ in ann.online()] == ["Ann"], within=1.5)
        await ann.send("say", {"room": room, "text": "alone"})
        await ann.until(ann.numbered)
        await ben.send("who", {"room": room})
        await ben.until(lambda: len(ben.online()) == 1)
        assert not ben.numbered()


async def test_typing_is_shown_to_the_others(chat: list[str], room: str) -> None:
    """The others learn who is typing; who types does not."""
    async with connected(chat[0], name="Ann") as ann, connected(chat[1], name="Ben") as ben:
        for one in (ann, ben):
            await one.enter(room)
        await ann.send("typing", {"room": room})
        assert await ben.until(lambda: ben.data("typing")) == [{"kind": "typing", "room": room, "name": "Ann"}]
        assert not ann.data("typing")


async def test_a_wrong_payload_is_refused_with_its_field(chat: list[str], room: str) -> None:
    """An error frame names the message and the field; the connection goes on."""
    uuid = str(uuid4())
    async with connected(chat[0], name="Ann") as ann:
        await ann.send("say", {"room": room, "text": "   "}, uuid)
        frame = await ann.until(lambda: ann.frames[-1] if ann.frames else None)
        assert (frame["type"], frame["code"], frame["uuid"]) == ("error", "payload_invalid", uuid)
        assert frame["field"] == "text"
        assert await ann.enter(room) == []


async def test_the_page_is_served_by_both_edges(chat: list[str]) -> None:
    """Each edge serves the page with types that a strict browser accepts, and the page asks for nothing else."""
    types = {"": "text/html", "chat.css": "text/css", "chat.js": "javascript", "gobroke.js": "javascript"}
    async with aiohttp.ClientSession() as session:
        for url in chat:
            for path, kind in types.items():
                page = url.replace("ws://", "http://").removesuffix("ws") + path
                async with session.get(page) as answer:
                    assert answer.status == 200
                    assert kind in answer.headers["Content-Type"]
                    assert "https://" not in await answer.text()
