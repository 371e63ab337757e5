"""The registry on Redis: its clock decides leases, and every step is one script that may run twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
import redis.asyncio

from gobroke_dist.backends.redis.errors import unavailable_when_full
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.backends.redis.scripts import Script, load
from gobroke_dist.backends.redis.track import Word
from gobroke_dist.backends.registration import (
    decode,
    decode_all,
    decode_many,
    encodable,
    encode,
    head,
    last_message_ms,
    node_head,
)
from gobroke_dist.client import Client
from gobroke_dist.errors import CallInvalid, ClientAlreadyExists, NotRunning, RedisUnavailable
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.registry import Home, Member, Page, Position, Return

T = TypeVar("T")

_RENEW, _LEAVE, _SWEEP, _MEMBERS, _REGISTER, _REPLACE, _UNREGISTER, _UPDATE, _LOCATE, _PAGE = (
    load(__package__, name)
    for name in ("renew", "leave", "sweep", "members", "register", "replace", "unregister", "update", "locate", "page")
)
_KEEP, _COME_BACK, _FORGET_AWAY = (load(__package__, name) for name in ("keep", "come_back", "forget_away"))
_REVOKE = load(__package__, "revoke")
_FORGOTTEN_AT_ONCE = 200
_RENEWALS_PER_CLEANING = 10
_HOMES = 8  # nodes that a client may go through, and sessions, without once getting to the end of what it missed
_CHUNK = 500  # clients, or memberships, that one script call handles, so that none holds Redis up for long
_SWEEPS = 10  # script calls that one renewal may spend on a dead member
_member_decoder = msgspec.json.Decoder(Member)


class RedisRegistry:
    """One member's registry. ``redis`` is its owner's to close, after it.

    Args:
        redis: a client of ``connection.connect``.
        keys: where everything is.
        lease: seconds.
        pending_limit: calls that may wait to be sent; one more is refused.
        kept: how many data for a node its log keeps, and for how many milliseconds: so long a client may come back.
    """

    def __init__(
        self,
        redis: redis.asyncio.Redis,
        keys: ClusterKeys,
        lease: float,
        *,
        pending_limit: int = 10_000,
        kept: tuple[int, int] = (10_000, 120_000),
    ) -> None:
        self._keys = keys
        self._kept = kept
        self._lease_ms = int(lease * 1000)
        self._line = Line(redis, name="the registry", limit=pending_limit, repeat=True)
        self._member: Member | None = None
        self._leases = 1
        self._ahead = 0  # of this process' monotonic clock, ms
        self._renewals = 0

    async def join(self, member: Member) -> None:
        self._member = member
        await self._extend(member)

    async def renew(self) -> bool:
        if self._member is None:
            raise NotRunning("renewing a lease")
        held, dead = await self._extend(self._member)
        # Whoever renews next goes on with it, so a failure here is nobody's loss.
        with contextlib.suppress(RedisUnavailable):
            if dead:
                await self._sweep(dead, most=_SWEEPS)
            self._renewals += 1
            if self._renewals % _RENEWALS_PER_CLEANING == 0:
                await self._forget_away()
        return held

    async def leave(self) -> None:
        member, self._member = self._member, None
        if member is None:
            return
        await self._run(_LEAVE, [self._keys.members], [member.node])
        await self._sweep(member.node)

    async def members(self) -> list[Member]:
        found = await self._run(_MEMBERS, [self._keys.members, self._keys.member_info], [])
        return [_member_decoder.decode(info) for info in found]

    async def register(self, client: Client, groups: Iterable[str] = ()) -> None:
        keys = [*self._place_keys, self._keys.node_clients(client.node), *self._keys.groups]
        args: list[Word] = [client.node, client.uuid, encode(client), head(client), last_message_ms(client), *groups]
        outcome, *where = await self._run(_REGISTER, keys, args)
        if outcome == b"taken":
            raise ClientAlreadyExists(client.uuid, where[0].decode())
        _require_lease(client, outcome)

    async def replace(self, older: Client, client: Client, news: bytes) -> bool:
        channel = self._keys.channel(older.node)
        keys = [*self._place_keys, *map(self._keys.node_clients, (client.node, older.node))]
        args: list[Word] = [client.node, client.uuid, encode(client), head(client), last_message_ms(client)]
        args += (head(older), channel.field, channel.name, *self._kept, news)
        outcome = await self._run(_REPLACE, [*keys, self._keys.posts, channel.log, *self._keys.groups], args)
        _require_lease(client, outcome)
        return bool(outcome == b"replaced")

    async def unregister(self, client: Client) -> bool:
        return await self._let_go(client, 0)

    async def keep(self, client: Client, secret: bytes) -> Position | None:
        args: list[Word] = [client.uuid, head(client), _hashed(secret), client.node, client.session]
        found = await self._run(_KEEP, [*self._keys.places, self._keys.posts], args)
        return Position(found[0].decode(), found[1]) if found else None

    async def suspend(self, client: Client) -> bool:
        return await self._let_go(client, self._window_ms)

    async def come_back(self, client: Client, secret: bytes) -> Return | None:
        channel = self._keys.channel(client.node)
        keys = [*self._place_keys, self._keys.node_clients(client.node), *self._keys.groups]
        args: list[Word] = [client.node, client.uuid, encode(client), _hashed(secret), last_message_ms(client), _HOMES]
        args += (client.session, channel.field, channel.name, *self._kept, self._now() + self._lease_ms)
        outcome, *found = await self._run(_COME_BACK, [*keys, self._keys.posts, channel.log], args)
        _require_lease(client, outcome)
        if outcome == b"unknown":
            return None
        registration, kept, epoch, number, groups = found
        before = decode(client.uuid, registration, 0)
        position = Position(epoch.decode(), number)
        return Return(_homes(kept), before.node, before.session, position, frozenset(map(bytes.decode, groups)))

    async def update(self, clients: Sequence[Client]) -> None:
        keys = [self._keys.clients, self._keys.last_messages]
        written = [
            (client.uuid, head(client), registration, last_message_ms(client))
            for client, registration in encodable(clients)
        ]
        await self._run_all(_UPDATE, keys, ([word for one in part for word in one] for part in _chunks(written)))

    async def locate(self, uuids: Iterable[str], *, away: bool = False) -> dict[str, Client]:
        # A uuid that is no proper text was never registered; asking for it is no error.
        asked = [uuid.encode("utf-8", "surrogatepass") for uuid in uuids]
        keys = self._place_keys
        parts = await self._run_all(_LOCATE, keys, ([int(away), *part] for part in _chunks(asked)))
        return {client.uuid: client for part in parts for client in decode_all(part)}

    async def pages(self, count: int = 1000) -> AsyncIterator[Sequence[Client]]:
        keys = [self._keys.members, self._keys.clients, self._keys.last_messages]

        def ask(cursor: bytes) -> asyncio.Future[Any]:
            return self._line.run(_PAGE, keys, [cursor, max(count, 1)], read=_as_it_is)

        asked: asyncio.Future[Any] | None = ask(b"0")
        while asked is not None:
            with unavailable_when_full():
                following, *found = await asked
            asked = None if following == b"0" else ask(following)
            await asyncio.sleep(0)  # Redis gets the next page ready while this one is decoded
            yield decode_many(*found)

    async def page(self, cursor: str = "", count: int = 1000) -> Page:
        if cursor and not (cursor.isascii() and cursor.isdigit() and int(cursor) < 1 << 64):
            raise CallInvalid(f"{cursor!r} is no page's cursor", field="cursor")
        keys = [self._keys.members, self._keys.clients, self._keys.last_messages]
        following, *found = await self._run(_PAGE, keys, [cursor or "0", max(count, 1)])
        return Page(tuple(decode_many(*found)), "" if following == b"0" else following.decode())

    async def revoke(self, uuid: str, seconds: float) -> None:
        await self._run(_REVOKE, [self._keys.revoked(uuid)], [int(seconds * 1000)])

    async def revoked(self, uuid: str) -> float | None:
        with unavailable_when_full():
            found = await self._line.call("GET", self._keys.revoked(uuid), read=_as_it_is)
        return None if found is None else int(found) / 1000

    async def count(self) -> int:
        with unavailable_when_full():
            return await self._line.call("HLEN", self._keys.clients, read=int)

    async def close(self) -> None:
        """Wait for what is under way, and give the connection back to ``redis``."""
        await self._line.close()

    async def _let_go(self, client: Client, window: int) -> bool:
        keys = [*self._place_keys, self._keys.node_clients(client.node), *self._keys.groups]
        return bool(await self._run(_UNREGISTER, keys, [client.uuid, head(client), window]))

    @property
    def _window_ms(self) -> int:
        return self._kept[1]

    @property
    def _place_keys(self) -> list[str]:
        return [*self._keys.places, self._keys.last_messages]

    async def _forget_away(self) -> None:
        keys = [*self._keys.places, *self._keys.groups, self._keys.retired, self._keys.posts]
        await self._run(_FORGET_AWAY, keys, [_FORGOTTEN_AT_ONCE, 2 * self._window_ms])

    async def _extend(self, member: Member) -> tuple[bool, str]:
        args: list[Word] = [member.node, self._lease_ms, _info(member, self._leases), _info(member, self._leases + 1)]
        held, dead, now = await self._run(_RENEW, [self._keys.members, self._keys.member_info], args)
        self._ahead = now - _monotonic()
        if not held:
            self._leases += 1
        return bool(held), dead.decode()

    def _now(self) -> int:
        """What Redis' clock shows, in ms, as far as the last renewal told."""
        return _monotonic() + self._ahead

    async def _sweep(self, node: str, *, most: int | None = None) -> None:
        keys = [*self._place_keys, self._keys.node_clients(node), *self._keys.groups]
        keys += (self._keys.member_info, self._keys.retired)
        swept = 0
        while await self._run(_SWEEP, keys, [node, node_head(node), _CHUNK, self._window_ms]):
            swept += 1
            if swept == most:
                return

    async def _run(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> Any:
        with unavailable_when_full():
            return await self._line.run(script, keys, args, read=_as_it_is)

    async def _run_all(self, script: Script, keys: Sequence[str], parts: Iterable[Sequence[Word]]) -> list[Any]:
        calls = [self._line.run(script, keys, part, read=_as_it_is) for part in parts]
        with unavailable_when_full():
            return list(await asyncio.gather(*calls))


def _homes(kept: bytes) -> list[Home]:
    """The nodes that a client was on: after two other lines of what is kept of it."""
    pairs = (line.split(" ", 1) for line in kept.decode().split("\n")[2:])
    return [Home(int(number), node) for number, node in pairs]


def _hashed(secret: bytes) -> str:
    """Who reads Redis' data can't come back as somebody else."""
    return sha256(secret).hexdigest()


def _monotonic() -> int:
    return int(time.monotonic() * 1000)


def _require_lease(client: Client, outcome: bytes) -> None:
    if outcome == b"expired":
        raise RedisUnavailable(f"the lease of {client.node} has run out; it is renewed soon")


def _as_it_is(reply: Any) -> Any:
    return reply


def _info(member: Member, lease: int) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(member), "lease": lease})


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
