"""The operations of the HTTP API as the clients call them: each makes a request, and says how to read its answer.

Shared by the blocking client and the asynchronous one, which differ only in how they send it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from gobroke_dist.errors import BrokeError, ClientDoesNotExist, DeadLetterDoesNotExist, Draining, QueueFull, Unavailable
from gobroke_dist.ops import api_models as models
from gobroke_dist.ops.api_table import OPERATIONS
from gobroke_dist.ops.problems import error_of

T = TypeVar("T")
Some = str | Sequence[str]

_PAUSE: Final = 0.2  # seconds before the second time; a third comes after twice that


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One request. ``longer``: seconds that its answer may take besides the client's own timeout."""

    method: str
    target: str
    body: bytes | None
    read: Callable[[bytes], T]
    repeatable: bool
    longer: float = 0.0

    def headers(self, token: str) -> dict[str, str]:
        """What goes into its header."""
        made = {"Authorization": f"Bearer {token}"}
        return made | {"Content-Type": "application/json"} if self.body is not None else made

    def answer(self, status: int, body: bytes, *, again: bool) -> T:
        """What came back. ``again``: it was sent before, and the answer was lost. Raises ``BrokeError``."""
        if status < 300:
            return self.read(body)
        error = _problem(status, body)
        if again and self.method == "DELETE" and isinstance(error, (ClientDoesNotExist, DeadLetterDoesNotExist)):
            return self.read(b"")  # the first time did it
        raise error

    def may_repeat(self, error: BrokeError) -> bool:
        """Whether sending it again after this error can't do anything twice."""
        return isinstance(error, (Draining, QueueFull)) or (self.repeatable and isinstance(error, Unavailable))


class Tries(Generic[T]):
    """How often one request is sent, and when again.

    Args:
        request: the request.
        most: times, at least one.
        host: where it is sent, for people.
    """

    def __init__(self, request: Request[T], most: int, host: str) -> None:
        self._request = request
        self._most = most
        self._host = host
        self._made = 0
        self._lost = False

    def answered(self, status: int, body: bytes) -> T:
        """What an answer says. Raises ``BrokeError``: that it was refused; ask ``refused`` what follows."""
        return self._request.answer(status, body, again=self._lost)

    def failed(self, error: Exception, *, sent: bool) -> float:
        """There is no answer. Returns the seconds until it is sent again. Raises ``Unavailable``: it is not."""
        self._made += 1
        self._lost = self._lost or sent
        if self._made >= self._most or (sent and not self._request.repeatable):
            raise Unavailable(f"the HTTP API at {self._host} did not answer: {error!r}") from error
        return _PAUSE * self._made

    def refused(self, error: BrokeError) -> float:
        """It was not done. Returns the seconds until it is sent again. Raises the error: it is not."""
        self._made += 1
        if self._made >= self._most or not self._request.may_repeat(error):
            raise error
        return _PAUSE * self._made


def _problem(status: int, body: bytes) -> BrokeError:
    try:
        return error_of(models.Problem.model_validate_json(body))
    except ValidationError:
        return Unavailable(f"answered with {status}") if status >= 500 else BrokeError(f"answered with {status}")


def send(
    payload: Any = None,
    *,
    to_client: Some = (),
    to_logic: Some = (),
    to_group: Some = (),
    metadata: dict[str, Any] | None = None,
    uuid: str | None = None,
    repeat: bool = False,
    wait: float | None = None,
) -> Request[models.Sent]:
    """Send a message to clients, logics and groups; returns when it is accepted, or when it is done.

    Args:
        payload: any JSON.
        to_client, to_logic, to_group: recipients, one or several of each kind.
        metadata: travels with it.
        uuid: the message's; None: a new one.
        repeat: send it again when the answer is lost. WORKER logic accepts it once all the same; others
            may get it twice.
        wait: for the one WORKER logic that it is for: seconds, 60 at most, in which its answer says ``done`` or
            ``dead``; after them ``accepted``. It is sent again as with ``repeat``.
    """
    to = {"to_client": _several(to_client), "to_logic": _several(to_logic), "to_group": _several(to_group)}
    body = _body(payload, metadata, uuid) | to | {"wait": wait}
    return _request("send", models.Sent, body=body, repeatable=repeat or wait is not None, longer=wait or 0.0)


def broadcast(
    payload: Any = None, *, metadata: dict[str, Any] | None = None, uuid: str | None = None
) -> Request[models.Sent]:
    """Send a message to every client of the cluster."""
    return _request("broadcast", models.Sent, body=_body(payload, metadata, uuid))


def send_to_group(
    group: str, payload: Any = None, *, metadata: dict[str, Any] | None = None, uuid: str | None = None
) -> Request[models.Sent]:
    """Send a message to the members of a group."""
    return _request("send_to_group", models.Sent, group, body=_body(payload, metadata, uuid))


def ask(
    payload: Any = None,
    *,
    to_client: str | None = None,
    to_logic: str | None = None,
    timeout: float = 5.0,
    metadata: dict[str, Any] | None = None,
) -> Request[models.Answer]:
    """Ask one logic or one client, and wait for the answer for ``timeout`` seconds, 60 at most."""
    to = {"to_client": to_client, "to_logic": to_logic, "timeout": timeout}
    return _request("ask", models.Answer, body=_body(payload, metadata, None) | to, longer=timeout)


def list_clients(
    *,
    limit: int = 100,
    cursor: str = "",
    node: str | None = None,
    idle: float | None = None,
    metadata: dict[str, Any] | None = None,
) -> Request[models.ClientPage]:
    """One page of the connected clients; go on with its cursor until that is empty.

    Args:
        limit, cursor: which page.
        node: only those of this node.
        idle: only those silent for so many seconds.
        metadata: only those whose metadata has all that is in it.
    """
    return _clients("list_clients", limit=limit, cursor=cursor, node=node, idle=idle, metadata=metadata)


def count_clients() -> Request[models.Count]:
    """How many clients are connected."""
    return _request("count_clients", models.Count)


def get_client(uuid: str) -> Request[models.ClientInfo]:
    """One client. Raises ``ClientDoesNotExist``."""
    return _request("get_client", models.ClientInfo, uuid)


def disconnect(uuid: str) -> Request[None]:
    """Close a client's connection. Raises ``ClientDoesNotExist``."""
    return _request("disconnect", None, uuid)


def revoke(uuid: str) -> Request[None]:
    """Let no token count that a client has until now, and close its connection, if it has one."""
    return _request("revoke", None, uuid)


def list_group(
    group: str,
    *,
    limit: int = 100,
    cursor: str = "",
    node: str | None = None,
    idle: float | None = None,
    metadata: dict[str, Any] | None = None,
) -> Request[models.ClientPage]:
    """One page of the members of a group, with the arguments of ``list_clients``."""
    return _clients("list_group", group, limit=limit, cursor=cursor, node=node, idle=idle, metadata=metadata)


def count_group(group: str) -> Request[models.Count]:
    """How many members a group has."""
    return _request("count_group", models.Count, group)


def join(group: str, uuid: str) -> Request[None]:
    """Make a client a member of a group. Raises ``ClientDoesNotExist``."""
    return _request("join", None, group, uuid)


def leave(group: str, uuid: str) -> Request[None]:
    """Take a client out of a group."""
    return _request("leave", None, group, uuid)


def list_dead(*, queue: str | None = None, limit: int = 100, cursor: str = "") -> Request[models.DeadPage]:
    """One page of the dead letters, of each logic the latest first; go on with its cursor until that is empty."""
    return _request("list_dead", models.DeadPage, queue=queue, limit=limit, cursor=cursor)


def show_dead(queue: str, id_: str) -> Request[models.DeadShown]:
    """One dead letter, payload and all. Raises ``DeadLetterDoesNotExist``."""
    return _request("show_dead", models.DeadShown, queue, id_)


def requeue_dead(queue: str, id_: str) -> Request[models.Requeued]:
    """Run a dead letter again. Raises ``DeadLetterDoesNotExist``, ``DeadLetterUnreadable``."""
    return _request("requeue_dead", models.Requeued, queue, id_)


def discard_dead(queue: str, id_: str) -> Request[None]:
    """Delete a dead letter for good. Raises ``DeadLetterDoesNotExist``."""
    return _request("discard_dead", None, queue, id_)


def _several(given: Some) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _body(payload: Any, metadata: dict[str, Any] | None, uuid: str | None) -> dict[str, Any]:
    return {"payload": payload, "metadata": metadata or {}, "uuid": uuid or str(uuid4())}


def _clients(name: str, *arguments: str, metadata: dict[str, Any] | None, **query: Any) -> Request[models.ClientPage]:
    facts = None if metadata is None else json.dumps(metadata)
    return _request(name, models.ClientPage, *arguments, metadata=facts, **query)


def _request(
    name: str,
    answer: type[BaseModel] | None,
    *arguments: str,
    body: dict[str, Any] | None = None,
    repeatable: bool = False,
    longer: float = 0.0,
    **query: Any,
) -> Request[Any]:
    operation, left = OPERATIONS[name], list(arguments)
    parts = [quote(left.pop(0), safe="") if part.startswith("{") else part for part in operation.path.split("/")]
    asked = urlencode({key: value for key, value in query.items() if value not in (None, "")})
    return Request(
        operation.method,
        "/".join(parts) + (f"?{asked}" if asked else ""),
        None if body is None else json.dumps(body).encode(),
        (lambda _: None) if answer is None else answer.model_validate_json,
        operation.repeatable or repeatable,
        longer,
    )
