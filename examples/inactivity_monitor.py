"""The seed's inactivity monitor: a client that sends nothing for a while is disconnected, on whichever node it is. ::

    INACTIVITY_MINUTES=15 gobroke run examples.inactivity_monitor:broke

Then connect to ``ws://localhost:8080/ws``. ``{"to_logic": "echo", "data": "hello"}`` keeps a client alive.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta

from endpoints import WebSocketEndpoint
from gobroke_dist import (
    Broke,
    Client,
    ClientCouldNotBeDisconnected,
    ClientDoesNotExist,
    LogicBase,
    LogicType,
    Message,
    Tick,
)

log = logging.getLogger(__name__)


class InactivityMonitor(LogicBase):
    """Removes idle clients. It is PASSIVE, so however many schedulers and workers run, one of them looks.

    Args:
        limit: how long a client may be silent.
    """

    logic_type = LogicType.PASSIVE

    def __init__(self, limit: timedelta) -> None:
        super().__init__()
        self.limit = limit
        self.every = min(10.0, limit.total_seconds() / 4)

    async def run_tick(self, tick: Tick) -> None:
        now = datetime.now(UTC)
        for client in await self.get_all_clients():
            if now - client.last_message > self.limit:
                await self.send_away(client)

    async def send_away(self, client: Client) -> None:
        """Close one connection."""
        try:
            await self.remove_client(client)
            log.info("client %s was idle for more than %s", client.uuid, self.limit)
        except ClientDoesNotExist:
            pass  # it has just left by itself
        except ClientCouldNotBeDisconnected as error:
            log.warning("%s", error)  # it is still idle at the next tick


class Echo(LogicBase):
    """Sends a message back to who sent it: something for clients to do."""

    async def run_logic(self, message: Message) -> None:
        if message.from_client is not None:
            await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


broke = Broke(WebSocketEndpoint(port=8080))
broke.add_logic(Echo())
broke.add_logic(InactivityMonitor(timedelta(minutes=float(os.environ.get("INACTIVITY_MINUTES", "15")))))
