"""Port: how clients reach an edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from gobroke_dist.access.door import Door
from gobroke_dist.client import Client
from gobroke_dist.identity import ConnectRequest
from gobroke_dist.message import Message
from gobroke_dist.request import Outcome
from gobroke_dist.session import FrameProtocol, Recovery, Session, SlowConsumers
from gobroke_dist.settings import Settings


class Gateway(Protocol):
    """What a node offers to its endpoints. All calls are made on the node's event loop."""

    @property
    def settings(self) -> Settings: ...

    @property
    def door(self) -> Door:
        """Counts connections: an endpoint with sockets makes a ``Visit`` for each."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the node takes new connections; a load balancer's readiness probe asks this."""
        ...

    def session(
        self,
        client: Client,
        protocol: FrameProtocol,
        wake: Callable[[], None],
        recovery: Recovery | None = None,
        request: ConnectRequest | None = None,
    ) -> Session:
        """A session for a new connection, with this node's limits; ``connect`` comes next.

        ``request``: what the client asked for when it came, for the authenticator. With one, its uuid and its metadata
        may become others while it connects; without one it is refused where the application has an authenticator.

        ``recovery``: the client asks to be let back; a protocol whose frames have no numbers can't do that.
        """
        ...

    async def connect(self, session: Session) -> None:
        """Register the client; afterwards the session is open, and its first frame is the welcome.

        Raises:
            BrokeError: close with ``access.closing.code_of`` it.
        """
        ...

    async def receive(self, session: Session, frame: bytes) -> None:
        """Process one frame of this client; call it for one frame after another.

        What is wrong with a frame is answered with an error frame. Waiting here is back-pressure: read no
        further from this client until it returns. It returns within a bounded time.
        """
        ...

    async def receive_message(self, session: Session, message: Message) -> None:
        """As ``receive``, for an endpoint that has a message rather than a frame."""
        ...

    async def post(self, client: str, token: str, frame: bytes) -> Outcome:
        """Process one frame of a client whose connection is on any node, and that shows the token of its session.

        It is what ``receive`` is, but that what is wrong with the frame is told here and not on the connection.

        Raises:
            Unauthorised: it is not the client's token.
            ClientDoesNotExist: it is not connected at this moment.
            Unavailable: it is not known whether the frame was taken; send it again, with the same uuid.
        """
        ...

    async def disconnect(self, session: Session) -> None:
        """The connection has ended: unregister the client, if it is registered with this session.

        A client that may come back is away, unless it was sent away for good or has said goodbye itself
        (``CloseCode.NORMAL``).

        Called once for every session that ``session()`` made, also when ``connect`` raised or was cancelled.
        Never raises; safe to call twice.
        """
        ...


@runtime_checkable
class ChoosingEndpoint(Protocol):
    """An endpoint with its own answer to clients that read too slowly; None: that of ``Settings.slow_consumers``."""

    @property
    def slow_consumers(self) -> SlowConsumers | None: ...


class Endpoint(Protocol):
    """One protocol on one address. An application may have several; a new one is one small class."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where clients reach it, as URLs; known after ``start``."""
        ...

    async def start(self, gateway: Gateway) -> None:
        """Listen. Returns when clients can connect.

        ``gateway.settings.host`` and ``.port`` replace the endpoint's own, where they are set.

        Raises:
            CouldNotCreateServer: the address can't be used; the text says why, and what to do.
        """
        ...

    async def stop(self) -> None:
        """Take no new connections, close every session with ``GOING_AWAY``, and return when all are gone."""
        ...

    async def close(self, session: Session) -> None:
        """Return when this session's connection is closed. ``session.close()`` was called before.

        It takes a bounded time, whatever the client does. A session that is not here is closed already.
        """
        ...
