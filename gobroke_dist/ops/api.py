"""The HTTP API without HTTP: what a call asks for is done, and what comes of it is an answer (contract O4)."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel, ValidationError

from gobroke_dist.client import Client
from gobroke_dist.errors import (
    BrokeError,
    CallInvalid,
    DeadLetterDoesNotExist,
    DeadLetterUnreadable,
    Draining,
    LogicDoesNotExist,
    RequestFailed,
    RequestInvalid,
)
from gobroke_dist.groups import Groups, check
from gobroke_dist.logic import LogicBase, LogicType, queues_of
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.operations import RunningOperations
from gobroke_dist.ops import api_models as models
from gobroke_dist.ops import problems
from gobroke_dist.ops.api_table import OPERATIONS, Operation
from gobroke_dist.ops.dead_pages import dead_page
from gobroke_dist.ops.gate import Gate
from gobroke_dist.registry import Page, Registry
from gobroke_dist.tasks.dead_letters import DeadLetters
from gobroke_dist.tasks.operating import operating

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """What a program asks for. ``path`` is as it came: percent-encoded, and without the query."""

    method: str
    path: str
    query: str = ""
    authorization: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What it gets."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """An operation, and the arguments in its path."""

    operation: Operation
    arguments: tuple[str, ...]


class API:
    """The operations of one edge.

    Args:
        operations, registry, groups, logics, metrics: the edge's.
        gate: who may call.
        draining: whether the edge shuts down.
    """

    def __init__(
        self,
        *,
        operations: RunningOperations,
        registry: Registry,
        groups: Groups,
        logics: Mapping[str, LogicBase],
        metrics: Metrics,
        gate: Gate,
        draining: Callable[[], bool],
    ) -> None:
        self._operations = operations
        self._registry = registry
        self._groups = groups
        self._logics = logics
        self._metrics = metrics
        self._gate = gate
        self._draining = draining
        self._waiting: set[asyncio.Future[Any]] = set()

    def find(self, call: Call) -> Found:
        """Which operation this is, before its body is read. Raises ``BrokeError``; answer with ``refused``."""
        self._gate.require(call.address, call.authorization)
        if self._draining():
            raise Draining
        return _found(call)

    async def perform(self, found: Found, call: Call, body: bytes) -> Reply:
        """Do it. Never raises, but when it is cancelled."""
        operation = found.operation
        try:
            given: list[Any] = list(found.arguments)
            if operation.query is not None:
                given.append(_queried(operation.query, call.query))
            if operation.body is not None:
                given.append(_validated(operation.body, body))
            made = await getattr(self, f"_{operation.name}")(*given)
        except BrokeError as error:
            return self.refused(error)
        except Exception:
            log.exception("operation %s of the HTTP API failed", operation.name)
            return self.refused(BrokeError("the server failed on this call"))
        self._metrics.count("api_calls")
        return Reply(operation.status, b"" if made is None else made.model_dump_json().encode())

    def close(self) -> None:
        """This edge ends: nobody waits any longer."""
        for waiting in tuple(self._waiting):
            waiting.cancel()

    def refused(self, error: BrokeError) -> Reply:
        """The answer for an error."""
        self._metrics.drop(f"api_{error.code}")
        document = problems.problem(error)
        return Reply(document.status, document.model_dump_json().encode(), problems.MEDIA_TYPE, problems.headers(error))

    # --- the operations, each by its name in the table -------------------------------

    async def _send(self, asked: models.Sending) -> models.Sent:
        message = _message(asked, to_client=asked.to_client, to_logic=asked.to_logic, to_group=asked.to_group)
        if asked.wait is None:
            return await self._sent(message)
        [logic] = message.to_logic
        if logic in self._logics and self._logics[logic].logic_type is not LogicType.WORKER:
            raise RequestInvalid(message.uuid, f"only WORKER logic gives receipts, and {logic!r} is none")
        receipt = await self._awaited(self._operations.follow(message, asked.wait))
        return models.Sent(uuid=message.uuid, state=receipt.state, reason=receipt.reason)

    async def _broadcast(self, asked: models.Body) -> models.Sent:
        return await self._sent(_message(asked, to_all=True))

    async def _send_to_group(self, group: str, asked: models.Body) -> models.Sent:
        return await self._sent(_message(asked, to_group=group))

    async def _sent(self, message: Message) -> models.Sent:
        await self._operations.send_message(message)
        return models.Sent(uuid=message.uuid)

    async def _ask(self, asked: models.Asking) -> models.Answer:
        message = _message(asked, to_client=asked.to_client or (), to_logic=asked.to_logic or ())
        try:
            answer = await self._awaited(self._operations.request(message, asked.timeout))
        except Draining as error:  # it was sent, so it must not look as if it could be sent again
            raise RequestFailed(message.uuid, error.code) from None
        try:
            said = {"text": answer.message_raw.decode()}
        except UnicodeDecodeError:
            said = {"base64": base64.b64encode(answer.message_raw).decode()}
        client = answer.from_client.uuid if answer.from_client else None
        return models.Answer(uuid=message.uuid, from_client=client, from_logic=answer.from_logic, **said)

    async def _list_clients(self, asked: models.ClientListing) -> models.ClientPage:
        return _page(await self._registry.page(asked.cursor, asked.limit), asked)

    async def _count_clients(self) -> models.Count:
        return models.Count(count=await self._registry.count())

    async def _get_client(self, uuid: str) -> models.ClientInfo:
        return _info(await self._operations.get_client(uuid))

    async def _disconnect(self, uuid: str) -> None:
        await self._operations.remove_client(uuid)

    async def _revoke(self, uuid: str) -> None:
        await self._operations.revoke(uuid)

    async def _list_group(self, group: str, asked: models.ClientListing) -> models.ClientPage:
        check(group)
        return _page(await self._groups.page(group, asked.cursor, asked.limit), asked)

    async def _count_group(self, group: str) -> models.Count:
        return models.Count(count=await self._operations.count_group(group))

    async def _join(self, group: str, uuid: str) -> None:
        await self._operations.join_group(uuid, group)

    async def _leave(self, group: str, uuid: str) -> None:
        await self._operations.leave_group(uuid, group)

    async def _list_dead(self, asked: models.DeadListing) -> models.DeadPage:
        queues = queues_of(self._logics) if asked.queue is None else [self._queue(asked.queue)]
        return await self._at_letters(lambda letters: dead_page(letters, queues, asked.limit, asked.cursor))

    async def _show_dead(self, queue: str, id_: str) -> models.DeadShown:
        found = await self._at_letters(lambda letters: letters.find(self._queue(queue), id_))
        if found is None:
            raise DeadLetterDoesNotExist(queue, id_)
        return models.DeadShown(letter=models.DeadInfo.of(found[0]), message=found[1])

    async def _requeue_dead(self, queue: str, id_: str) -> models.Requeued:
        place = await self._at_letters(lambda letters: letters.requeue(self._queue(queue), id_))
        if place == "gone":
            raise DeadLetterDoesNotExist(queue, id_)
        if place == "unreadable":
            raise DeadLetterUnreadable(queue, id_)
        return models.Requeued(place=place)

    async def _discard_dead(self, queue: str, id_: str) -> None:
        if not await self._at_letters(lambda letters: letters.discard(self._queue(queue), id_)):
            raise DeadLetterDoesNotExist(queue, id_)

    async def _awaited(self, work: Awaitable[T]) -> T:
        """What is waited for. Raises ``Draining`` when this edge ends first."""
        waiting = asyncio.ensure_future(work)
        self._waiting.add(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Draining from None
        finally:
            self._waiting.discard(waiting)

    def _queue(self, name: str) -> str:
        if name not in queues_of(self._logics):
            raise LogicDoesNotExist(name)
        return name

    async def _at_letters(self, work: Callable[[DeadLetters], T]) -> T:
        def run() -> T:
            with operating(self._operations.settings) as link:
                return work(DeadLetters(link))

        return await asyncio.to_thread(run)


def _split(path: str) -> list[str]:
    return path.split("/")[1:]


_ROUTES: Final = [(_split(one.path), one) for one in OPERATIONS.values()]


def _found(call: Call) -> Found:
    parts = _split(call.path)
    there = [(pattern, one) for pattern, one in _ROUTES if _fits(pattern, parts)]
    if not there:
        raise CallInvalid("there is nothing at this path; see /openapi.json", status=404)
    for pattern, one in there:
        if one.method == call.method:
            return Found(one, _arguments(pattern, parts))
    allow = ", ".join(one.method for _, one in there)
    raise CallInvalid(f"here is {allow} only", status=405, allow=allow)


def _fits(pattern: list[str], parts: list[str]) -> bool:
    if len(pattern) != len(parts):
        return False
    return all(part and (name.startswith("{") or name == part) for name, part in zip(pattern, parts, strict=True))


def _arguments(pattern: list[str], parts: list[str]) -> tuple[str, ...]:
    try:
        pairs = zip(pattern, parts, strict=True)
        return tuple(unquote(part, errors="strict") for name, part in pairs if name.startswith("{"))
    except UnicodeDecodeError:
        raise CallInvalid("the path is not UTF-8") from None


def _queried(model: type[BaseModel], query: str) -> BaseModel:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError as error:
        raise CallInvalid(f"the query can't be read: {error}") from None
    return _checked(lambda: model.model_validate(dict(pairs)))


def _validated(model: type[BaseModel], body: bytes) -> BaseModel:
    return _checked(lambda: model.model_validate_json(body))


def _checked(validate: Callable[[], BaseModel]) -> BaseModel:
    try:
        return validate()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CallInvalid(f"{where}: {first['msg']}" if where else first["msg"], field=where or None) from None


def _message(asked: models.Body, **to: Any) -> Message:
    return Message(message_raw=asked.raw(), metadata=dict(asked.metadata), uuid=asked.uuid, **to)


def _page(page: Page, asked: models.ClientListing) -> models.ClientPage:
    now = datetime.now(UTC)
    return models.ClientPage(clients=[_info(one) for one in page.clients if asked.wants(one, now)], cursor=page.cursor)


def _info(client: Client) -> models.ClientInfo:
    return models.ClientInfo(
        uuid=client.uuid, node=client.node, last_message=client.last_message, metadata=client.metadata
    )
