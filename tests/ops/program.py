"""An application whose edges and workers run as processes of their own, for the HTTP API."""

from __future__ import annotations

import os
from pathlib import Path

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Message


class Ledger(LogicBase):
    """Dies of everything until the file FUNDS is there; then it tells the room."""

    logic_type = LogicType.WORKER
    max_attempts = 1

    def run_logic(self, message: Message) -> None:
        if not Path(os.environ["FUNDS"]).exists():
            raise ValueError("no funds")
        self.send_message(Message(to_group="room", message_raw=b'"booked"'))


broke = Broke(WebSocketEndpoint(port=0))
broke.add_logic(Ledger())
