"""The table: every hostile input that the documentation knows, with its answer (contract E8, E3)."""

from __future__ import annotations

from typing import Final

from tests.abuse.answers import Row
from tests.abuse.bodies import BODIES
from tests.abuse.envelopes import ENVELOPES
from tests.abuse.handshakes import REQUESTS, SLOW, UPGRADES
from tests.abuse.names import NAMES
from tests.abuse.streams import STREAMS
from tests.abuse.tokens import TOKENS
from tests.abuse.websockets import FRAMES, TEXTS

TABLE: Final[dict[str, tuple[Row, ...]]] = {
    "Slow, half-open and in the wrong language": SLOW,
    "Upgrades": UPGRADES,
    "Requests": REQUESTS,
    "Names, sessions and facts": NAMES,
    "Tokens": TOKENS,
    "WebSocket frames": FRAMES,
    "Text that is no UTF-8": TEXTS,
    "Frames over TCP": STREAMS,
    "Requests of clients": BODIES,
    "Envelopes": ENVELOPES,
}
