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
presence    WORKER      hears once in the whole cluster of each who joins or leaves, or vanishes without leaving
==========  ==========  =========================================================================================
"""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from endpoints import WebSocketEndpoint
from examples.chat.payloads import Change, Entrance, InRoom, Line, Words
from examples.chat.rooms import Rooms
from gobroke_dist import Broke, Client, ClientDoesNotExist, LogicBase, LogicType, Message

broke = Broke(WebSocketEndpoint(port=8080, pages=Path(__file__).with_name("page")))


class ChatLogic(LogicBase):
    """What the logics below share: the rooms, and a way to tell people something.

    ``self.tell`` is a plain call, because the handlers are plain ``def``: the framework runs them on threads.
    """

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self.rooms = rooms

    def tell(self, whom: Client, kind: str, **facts: Any) -> None:
        """Send something to one client."""
        self.send_message(Message(to_client=whom, message_raw=_said(kind, facts)))

    def tell_room(
        self, room: str, kind: str, *, but: Client | None = None, uuid: str | None = None, **facts: Any
    ) -> None:
        """Send something to all in a room: it crosses to each node once, however many of them are there."""
        facts = {"room": room, **facts}
        self.send_message(Message(to_group=room, from_client=but, message_raw=_said(kind, facts), uuid=uuid))

    def people(self, room: str) -> list[dict[str, str]]:
        """Who is in a room, as the page shows it."""
        shown = [{"client": one.uuid, "name": name_of(one), "node": one.node} for one in self.get_group(room)]
        return sorted(shown, key=lambda one: (one["name"].lower(), one["client"]))

    def tell_who_is_here(self, room: str) -> None:
        """Show everybody in a room the list of its members."""
        self.tell_room(room, "online", members=self.people(room))


class Join(ChatLogic):
    """Enter a room: get the lines that you missed, and show up in everybody's list."""

    payload = Entrance

    def run_logic(self, message: Message) -> None:
        room, me = message.payload.room, sender(message)
        try:
            self.join_group(me, room)
        except ClientDoesNotExist:
            return  # it has gone again
        self.tell(me, "history", room=room, lines=self.rooms.history(room, after=message.payload.after))
        self.tell_who_is_here(room)


class Leave(ChatLogic):
    """Leave a room."""

    payload = InRoom

    def run_logic(self, message: Message) -> None:
        self.leave_group(sender(message), message.payload.room)
        self.tell_who_is_here(message.payload.room)


class Who(ChatLogic):
    """Ask who is in a room, without entering it."""

    payload = InRoom

    def run_logic(self, message: Message) -> None:
        room = message.payload.room
        self.tell(sender(message), "online", room=room, members=self.people(room))


class Typing(ChatLogic):
    """Let the others in a room know that you are about to say something."""

    payload = InRoom

    def run_logic(self, message: Message) -> None:
        me = sender(message)
        self.tell_room(message.payload.room, "typing", but=me, name=name_of(me))


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
        line = self.rooms.number(room, said)
        handled = {
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "attempt": message.delivery.attempt,
            "recovered": message.delivery.recovered,
        }
        self.tell_room(room, "said", uuid=line.uuid, line=line, handled=handled)


class Presence(ChatLogic):
    """Show the others who is gone: who vanished without leaving has said nothing to any logic."""

    logic_type = LogicType.WORKER
    payload = Change
    watches_groups = True

    def order_by(self, message: Message) -> str:
        """The changes of a room, one after another: the last list that it is shown is the right one."""
        room: str = message.payload.group
        return room

    def run_logic(self, message: Message) -> None:
        if message.payload.event == "left":
            self.tell_who_is_here(message.payload.group)


ANONYMOUS = "somebody"


def sender(message: Message) -> Client:
    """The client that sent a message; these logics take messages from nobody else."""
    if message.from_client is None:
        raise ValueError("a chat message needs a client that sent it")
    return message.from_client


def name_of(client: Client) -> str:
    """The name that a client connected with: ``/ws?name=Ann``."""
    return " ".join(str(client.get_metadata("name", "")).split())[:40] or ANONYMOUS


def _said(kind: str, facts: dict[str, Any]) -> bytes:
    return to_json({"kind": kind, **facts})


ROOMS = Rooms(broke)
for logic in (Join, Leave, Who, Typing, Say, Presence):
    broke.add_logic(logic(ROOMS))
