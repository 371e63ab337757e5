"""Every operation of the HTTP API, once: the server, its OpenAPI document and the clients read this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from gobroke_dist import errors
from gobroke_dist.errors import BrokeError
from gobroke_dist.ops import api_models as models

Errors = tuple[type[BrokeError], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    Attributes:
        name: in the document, and of the method that does it.
        method, path: how it is asked for; parts in braces are arguments.
        summary: what it does.
        answer: what comes back; None: nothing, with 204.
        query, body: what it takes.
        status: when it worked.
        raises: its own problems, besides those that all have.
        repeatable: doing it twice is doing it once.
    """

    name: str
    method: str
    path: str
    summary: str
    answer: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    raises: Errors = ()
    repeatable: bool = False


_SENDING: Final[Errors] = (errors.MessageRejected, errors.QueueFull)
_LETTER: Final[Errors] = (errors.LogicDoesNotExist, errors.DeadLetterDoesNotExist)
_MEMBERS: Final = "/v1/groups/{group}/members"
_MEMBER: Final = _MEMBERS + "/{uuid}"
_DEAD: Final = "/v1/dead/{queue}/{id}"
_NAMED: Final[Errors] = (
    errors.ClientDoesNotExist,
    errors.LogicDoesNotExist,
    errors.LogicIsPassive,
    errors.PayloadInvalid,
)

OPERATIONS: Final = {
    one.name: one
    for one in (
        Operation(
            name="send", method="POST", path="/v1/messages", status=202, body=models.Sending, answer=models.Sent,
            summary="Send a message to clients, logics and groups.",
            raises=(*_SENDING, *_NAMED, errors.GroupInvalid, errors.RequestInvalid),
        ),
        Operation(
            name="broadcast", method="POST", path="/v1/broadcast", status=202, body=models.Body, answer=models.Sent,
            summary="Send a message to every client of the cluster.", raises=_SENDING,
        ),
        Operation(
            name="send_to_group", method="POST", path="/v1/groups/{group}/messages", status=202, body=models.Body,
            answer=models.Sent, summary="Send a message to the members of a group.",
            raises=(*_SENDING, errors.GroupInvalid),
        ),
        Operation(
            name="ask", method="POST", path="/v1/requests", body=models.Asking, answer=models.Answer,
            summary="Ask one logic or one client, and wait for the answer.",
            raises=(*_SENDING, *_NAMED, errors.RequestInvalid, errors.RequestFailed, errors.RequestTimedOut),
        ),
        Operation(
            name="list_clients", method="GET", path="/v1/clients", query=models.ClientListing,
            answer=models.ClientPage, summary="List connected clients, page by page.", repeatable=True,
        ),
        Operation(
            name="count_clients", method="GET", path="/v1/count", answer=models.Count,
            summary="Count the connected clients.", repeatable=True,
        ),
        Operation(
            name="get_client", method="GET", path="/v1/clients/{uuid}", answer=models.ClientInfo,
            summary="Show one client.", raises=(errors.ClientDoesNotExist,), repeatable=True,
        ),
        Operation(
            name="disconnect", method="DELETE", path="/v1/clients/{uuid}", status=204,
            summary="Close a client's connection, and return when it is closed.",
            raises=(errors.ClientDoesNotExist, errors.ClientCouldNotBeDisconnected), repeatable=True,
        ),
        Operation(
            name="revoke", method="POST", path="/v1/clients/{uuid}/revoke", status=204,
            summary="Let no token count that a client has until now, and close its connection.",
            raises=(errors.ClientCouldNotBeDisconnected,),
        ),
        Operation(
            name="list_group", method="GET", path=_MEMBERS, query=models.ClientListing, answer=models.ClientPage,
            summary="List the members of a group, page by page.", raises=(errors.GroupInvalid,), repeatable=True,
        ),
        Operation(
            name="count_group", method="GET", path="/v1/groups/{group}", answer=models.Count,
            summary="Count the members of a group.", raises=(errors.GroupInvalid,), repeatable=True,
        ),
        Operation(
            name="join", method="PUT", path=_MEMBER, status=204, summary="Make a client a member of a group.",
            raises=(errors.ClientDoesNotExist, errors.GroupInvalid), repeatable=True,
        ),
        Operation(
            name="leave", method="DELETE", path=_MEMBER, status=204, summary="Take a client out of a group.",
            raises=(errors.GroupInvalid,), repeatable=True,
        ),
        Operation(
            name="list_dead", method="GET", path="/v1/dead", query=models.DeadListing, answer=models.DeadPage,
            summary="List dead letters, of each logic the latest first, page by page.",
            raises=(errors.LogicDoesNotExist,), repeatable=True,
        ),
        Operation(
            name="show_dead", method="GET", path=_DEAD, answer=models.DeadShown,
            summary="Show a dead letter with its payload.", raises=_LETTER, repeatable=True,
        ),
        Operation(
            name="requeue_dead", method="POST", path=_DEAD + "/requeue", answer=models.Requeued,
            summary="Run a dead letter again.", raises=(*_LETTER, errors.DeadLetterUnreadable),
        ),
        Operation(
            name="discard_dead", method="DELETE", path=_DEAD, status=204,
            summary="Delete a dead letter for good.", raises=_LETTER, repeatable=True,
        ),
    )
}  # fmt: skip
"""By name."""

ANY: Final[Errors] = (
    errors.CallInvalid,
    errors.Unauthorised,
    errors.RateLimited,
    errors.RedisUnavailable,
    errors.Draining,
    BrokeError,
)
"""What every operation may answer."""
