"""The edge that everything comes to: an application that a process of its own loads."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from pathlib import Path
from typing import Any, cast

from endpoints import HTTPEndpoint, Lines, TCPEndpoint, WebSocketEndpoint
from gobroke_dist import Broke, ConnectRequest, Endpoint, Identity, JWTAuthenticator, LogicBase, Message, Settings
from gobroke_dist.endpoint import Gateway

FOLDER = Path(os.environ["ABUSE_FOLDER"])

_members = JWTAuthenticator(
    jwks=FOLDER / "keys.json",
    algorithms=["RS256", "ES256"],
    audience="abuse",
    issuer="https://login.example.com/",
)


async def known(request: ConnectRequest) -> Identity:
    """Members show a token; guests are who they say."""
    return await _members(request) if request.token is not None else Identity(uuid=request.client)


class _Secured:
    """A gateway of a node whose endpoints speak TLS."""

    def __init__(self, gateway: Gateway) -> None:
        tls = {"tls_certificate": FOLDER / "certificate.pem", "tls_key": FOLDER / "key.pem"}
        self.settings: Settings = gateway.settings.model_copy(update=tls)
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)


class SecureTCP(TCPEndpoint):
    async def start(self, gateway: Gateway) -> None:
        await super().start(cast(Gateway, _Secured(gateway)))


class SecureWebSocket(WebSocketEndpoint):
    async def start(self, gateway: Gateway) -> None:
        await super().start(cast(Gateway, _Secured(gateway)))


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class State(LogicBase):
    """How this process is, when all that is garbage is gone."""

    async def run_logic(self, message: Message) -> None:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        state = {
            "rss": pages * os.sysconf("SC_PAGE_SIZE"),
            "tasks": len(asyncio.all_tasks()),
            "sockets": len(os.listdir("/proc/self/fd")),
        }
        await self.send_message(Message(to_client=message.from_client, message_raw=json.dumps(state)))


class Revoke(LogicBase):
    """Takes away what a client was given."""

    async def run_logic(self, message: Message) -> None:
        await self.revoke(message.json())
        await self.send_message(Message(to_client=message.from_client, message_raw=b"true"))


_endpoints: list[Endpoint] = [
    WebSocketEndpoint(port=0, pages=FOLDER / "pages"),
    TCPEndpoint(port=0),
    TCPEndpoint(port=0, framing=Lines()),
    HTTPEndpoint(port=0),
    SecureTCP(port=0),
    SecureWebSocket(port=0),
]
broke = Broke(
    _endpoints,
    authenticator=known,
    settings=Settings(
        max_frame=65_536,
        handshake_timeout=2.0,
        ping_interval=1.5,
        ping_timeout=1.5,
        idle_timeout=4.0,
        max_connections_per_address=40,
        client_groups=True,
        log_format="json",
    ),
)
for logic in (Echo(), State(), Revoke()):
    broke.add_logic(logic)
