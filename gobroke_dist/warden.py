"""Who the clients of this node are, for how long, and how fast they may send (contract E2, E3)."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Final

from gobroke_dist.access import policy
from gobroke_dist.access.bucket import TokenBucket
from gobroke_dist.errors import AuthenticationUnavailable, RateLimited, Revoked, Unauthorised
from gobroke_dist.identity import ConnectRequest, Identity
from gobroke_dist.message import Message
from gobroke_dist.request import ClientToken
from gobroke_dist.runtime import Runtime
from gobroke_dist.session import CloseCode, RefreshingProtocol, Session

log = logging.getLogger(__name__)

LOOKS: Final = 4
"""How often a session is looked at in the time that it may be idle."""


@dataclass(slots=True)
class _Watched:
    """What is kept of a session that is open.

    Attributes:
        messages: what it may send.
        refusals: what it may send beyond that until it is closed.
        expiry: closes it when its token has run out.
    """

    messages: TokenBucket
    refusals: TokenBucket
    expiry: asyncio.TimerHandle | None = None


class Warden:
    """Watches the sessions of a node.

    Args:
        runtime: this process.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._settings = runtime.settings
        self._authenticator = runtime.application.authenticator
        self._authorise = runtime.application.authorise
        self._loop = asyncio.get_running_loop()
        self._watched: dict[str, _Watched] = {}

    # --- who it is -----------------------------------------------------------

    async def identify(self, session: Session) -> None:
        """Ask the authenticator who a new session's client is; from then on it has its uuid and its claims.

        Raises:
            Unauthorised: nobody who may connect.
            Unavailable: that can't be known now.
        """
        if self._authenticator is None:
            return
        asked = session.request
        if asked is None:
            raise Unauthorised("this endpoint does not tell who connects")
        if asked.vouched:
            session.identity = Identity(uuid=session.client.uuid)
            return
        identity = await self._authenticated(asked)
        if asked.client is not None and asked.client != identity.uuid:
            raise Unauthorised("this token is not for the client that you ask to be")
        if identity.uuid is not None:
            session.client.uuid = identity.uuid
        session.client.metadata.update(identity.claims)
        session.identity = identity
        await self.require_valid(session)

    async def require_valid(self, session: Session) -> None:
        """Whether what the client has shown still counts. A registered client is asked again: of a revocation and a
        registration at once, one sees the other.

        Raises:
            Revoked: it does not.
            RedisUnavailable: that can't be known now.
        """
        identity = session.identity
        if identity is not None and session.request is not None and not session.request.vouched:
            await self._require_not_revoked(session.client.uuid, identity)

    async def refresh(self, session: Session, shown: ClientToken) -> None:
        """Take a newer token for the one that a client has. Raises as ``identify``; then the one that it has counts."""
        if self._authenticator is None or session.identity is None or session.request is None:
            raise Unauthorised("there are no tokens here")
        asked = ConnectRequest(
            transport=session.request.transport,
            address=session.request.address,
            client=session.client.uuid,
            token=shown.token,
        )
        identity = await self._authenticated(asked)
        if identity.uuid != session.identity.uuid:
            raise Unauthorised("this token is for another client")
        await self._require_not_revoked(session.client.uuid, identity)
        if session.ending:
            return
        session.identity = identity
        for name, value in identity.claims.items():
            session.client.add_metadata(name, value)
        self._expire_with(session, identity)
        self._runtime.metrics.count("refreshed")
        if isinstance(session.protocol, RefreshingProtocol):
            session.push(session.protocol.encode_refreshed(identity.expires_at, shown.names))

    def require_authorised(self, session: Session, message: Message) -> None:
        """Raises ``NotAuthorised``: the client may not address one of the recipients."""
        if self._authorise is not None:
            policy.require(self._authorise, session.client, message)

    # --- for how long, and how fast ------------------------------------------

    def opened(self, session: Session) -> None:
        """Watch a session, until ``closed``."""
        rate, burst, now = self._settings.max_messages, self._settings.message_burst, self._loop.time()
        self._watched[session.id] = _Watched(TokenBucket(rate, burst, now), TokenBucket(rate, burst, now))
        if session.identity is not None:
            self._expire_with(session, session.identity)

    def closed(self, session: Session) -> None:
        """It is gone."""
        watched = self._watched.pop(session.id, None)
        if watched is not None and watched.expiry is not None:
            watched.expiry.cancel()

    def spend(self, session: Session) -> None:
        """The client has sent one message.

        Raises:
            RateLimited: too fast; a client that is twice as fast as it may be is closed.
        """
        session.quiet = 0
        watched = self._watched.get(session.id)
        now = self._loop.time()
        if watched is None or watched.messages.take(now):
            return
        self._runtime.metrics.drop(RateLimited.code)
        if not watched.refusals.take(now):
            session.close(CloseCode.TOO_FAST, f"at most {self._settings.max_messages:g} messages per second")
        raise RateLimited(watched.messages.wait(now))

    def look(self) -> None:
        """Close who has been idle for too long; call it ``LOOKS`` times in that time."""
        for session in self._runtime.hub:
            session.quiet += 1
            if session.quiet > LOOKS:
                session.close(CloseCode.IDLE, f"no message for {self._settings.idle_timeout:g} s")

    # --- inside --------------------------------------------------------------

    async def _authenticated(self, asked: ConnectRequest) -> Identity:
        assert self._authenticator is not None
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                identity = await self._authenticator(asked)
        except TimeoutError:
            self._runtime.metrics.drop("authentication_timeout")
            raise AuthenticationUnavailable("it took too long") from None
        if not isinstance(identity, Identity):
            raise TypeError(f"the authenticator returned {type(identity).__name__}, not an Identity")
        self._require_short(identity)
        return identity

    def _require_short(self, identity: Identity) -> None:
        now, longest = time.time(), self._settings.revocation_ttl
        if identity.expires_at is not None and identity.expires_at - now > longest:
            raise Unauthorised(f"a token may live for {longest:g} s at most")

    async def _require_not_revoked(self, uuid: str, identity: Identity) -> None:
        revoked = await self._runtime.registry.revoked(uuid)
        if revoked is not None and (identity.issued_at is None or identity.issued_at <= revoked):
            raise Revoked

    def _expire_with(self, session: Session, identity: Identity) -> None:
        watched = self._watched.get(session.id)
        if watched is None:
            return
        if watched.expiry is not None:
            watched.expiry.cancel()
            watched.expiry = None
        if identity.expires_at is not None:
            watched.expiry = self._loop.call_later(
                max(0.0, identity.expires_at - time.time()),
                session.close,
                CloseCode.TOKEN_EXPIRED,
                "the token has run out; connect again with a new one",
            )
