"""The seed's broadcaster: whatever a client sends, everybody gets. One class, in both variants. ::

    gobroke run examples.broadcaster:broke

Then connect clients to ``ws://localhost:8080/ws`` and send::

    {"to_logic": "broadcaster", "data": "at once"}
    {"to_logic": "sequential", "data": "one after another"}

``broadcaster`` is DISPATCHED: it runs at once, on the node that has the client. ``sequential`` is a WORKER: its
messages wait in Redis and are handled in one order over the whole cluster, whichever worker handles them.
"""

from __future__ import annotations

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Message


class Broadcaster(LogicBase):
    """Sends every message on to all clients of all nodes, the sender included. Its type does not change its code."""

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_all=True, message_raw=message.message_raw))


broke = Broke(WebSocketEndpoint(port=8080))
broke.add_logic(Broadcaster("broadcaster", LogicType.DISPATCHED))
broke.add_logic(Broadcaster("sequential", LogicType.WORKER))
