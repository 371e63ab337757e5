"""A chat: rooms, who is online, and a numbered history, on any number of edges and workers. ::

    gobroke run examples.chat.app:broke --edges 2 --workers 2

Then open http://localhost:8080 and http://localhost:8081 side by side.

Which logic is of which type, and why:

==========  ==========  =========================================================================================
join,       DISPATCHED  quick, and nobody minds their order: they run at once, on the edge that has the client
leave, who,
typing
say         WORKER      every line gets a number, so a room's lines are handled one after another (``order_by``),
                        on any worker; rooms do not wait for each other
presence    PASSIVE     every two seconds, once in the whole cluster: who vanished without leaving is taken out
==========  ==========  =========================================================================================
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from endpoints import WebSocketEndpoint
from examples.chat.payloads import Entrance, InRoom, Line, Member, Words
from examples.chat.rooms import Rooms
from gobroke_dist import Broke, Client, LogicBase, LogicType, Message, Tick

broke = Broke(WebSocketEndpoint(port=8080, pages=Path(__file__).with_name("page")))


class ChatLogic(LogicBase):
    """What the logics below share: the rooms, and a way to tell people something.

    ``self.tell`` is a plain call, because the handlers are plain ``def``: the framework runs them on threads.
    """

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self.rooms = rooms

    def tell(self, people: Iterable[Member | Client], kind: str, *, uuid: str | None = None, **facts: Any) -> None:
        """Send one message to all of them: it crosses to each node once, however many of them are there."""
        clients = [one if isinstance(one, Client) else Client(uuid=one.client, node=one.node) for one in people]
        if clients:
            self.send_message(Message(to_client=clients, message_raw=to_json({"kind": kind, **facts}), uuid=uuid))

    def tell_who_is_here(self, room: str, members: list[Member]) -> None:
        """Show everybody in a room the list of its members."""
        self.tell(members, "online", room=room, members=[_shown(member) for member in members])


class Join(ChatLogic):
    """Enter a room: get the lines that you missed, and show up in everybody's list."""

    payload = Entrance

    def run_logic(self, message: Message) -> None:
        room, me = message.payload.room, sender(message)
        members, lines = self.rooms.enter(room, member_of(me), after=message.payload.after)
        self.tell([me], "history", room=room, lines=lines)
        self.tell_who_is_here(room, members)


class Leave(ChatLogic):
    """Leave a room."""

    payload = InRoom

    def run_logic(self, message: Message) -> None:
        room = message.payload.room
        if self.rooms.forget(room, [member_of(sender(message))]):
            self.tell_who_is_here(room, self.rooms.members(room))


class Who(ChatLogic):
    """Ask who is in a room, without entering it."""

    payload = InRoom

    def run_logic(self, message: Message) -> None:
        room = message.payload.room
        members = [_shown(member) for member in self.rooms.members(room)]
        self.tell([sender(message)], "online", room=room, members=members)


class Typing(ChatLogic):
    """Let the others in a room know that you are about to say something."""

    payload = InRoom

    def run_logic(self, message: Message) -> None:
        room, me = message.payload.room, member_of(sender(message))
        others = [member for member in self.rooms.members(room) if member.client != me.client]
        self.tell(others, "typing", room=room, name=me.name)


class Say(ChatLogic):
    """Say something in a room: it gets the room's next number, and everybody there gets it.

    The framework runs this at least once for each message: a worker may die when it has numbered a line and not
    yet told anybody. What it *sends* counts exactly once all the same, because that goes out in the step that
    acknowledges the message. The number is our own effect, outside that step, so we make it safe to repeat:
    ``Rooms.number`` goes by the message's uuid. A page that is not sure whether a line arrived may just send it
    again with the same uuid, for the same reason.
    """

    logic_type = LogicType.WORKER
    payload = Words

    def order_by(self, message: Message) -> str:
        """The ordering key: lines of one room wait for each other, and for no other room's."""
        room: str = message.payload.room
        return room

    def run_logic(self, message: Message) -> None:
        room, me = message.payload.room, sender(message)
        said = Line(
            uuid=message.uuid,
            client=me.uuid,
            name=name_of(me),
            text=message.payload.text,
            node=me.node,
            at=datetime.now(UTC),
        )
        line, members = self.rooms.number(room, said)
        handled = {
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "attempt": message.delivery.attempt,
            "recovered": message.delivery.recovered,
        }
        self.tell(members, "said", uuid=line.uuid, room=room, line=line, handled=handled)


class Presence(ChatLogic):
    """Take out of the rooms who is no longer connected to any node, and show the others."""

    logic_type = LogicType.PASSIVE
    every = 2.0

    def run_tick(self, tick: Tick) -> None:
        # The members first: who is a member was connected, so who is not in the later list has gone since.
        rooms = {room: self.rooms.members(room) for room in self.rooms.names()}
        connected = {client.uuid for client in self.get_all_clients()}
        for room, members in rooms.items():
            vanished = [member for member in members if member.client not in connected]
            if vanished and self.rooms.forget(room, vanished):
                self.tell_who_is_here(room, self.rooms.members(room))


ANONYMOUS = "somebody"


def sender(message: Message) -> Client:
    """The client that sent a message; these logics take messages from nobody else."""
    if message.from_client is None:
        raise ValueError("a chat message needs a client that sent it")
    return message.from_client


def name_of(client: Client) -> str:
    """The name that a client connected with: ``/ws?name=Ann``."""
    return " ".join(str(client.get_metadata("name", "")).split())[:40] or ANONYMOUS


def member_of(client: Client) -> Member:
    """A client as a member of a room."""
    return Member(client=client.uuid, name=name_of(client), node=client.node, session=client.session)


def _shown(member: Member) -> dict[str, str]:
    return {"client": member.client, "name": member.name, "node": member.node}


ROOMS = Rooms(broke)
for logic in (Join, Leave, Who, Typing, Say, Presence):
    broke.add_logic(logic(ROOMS))
