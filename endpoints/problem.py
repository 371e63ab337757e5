"""Errors as problem documents (RFC 9457), with the codes that are in error frames."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import Final

import msgspec
from aiohttp import web

from gobroke_dist.access.limits import HTTP_STATUS
from gobroke_dist.errors import (
    BrokeError,
    ClientAlreadyExists,
    ClientDoesNotExist,
    FrameInvalid,
    GroupInvalid,
    GroupNotAllowed,
    LogicDoesNotExist,
    LogicIsPassive,
    MessageRejected,
    NotAuthorised,
    PayloadInvalid,
    RateLimited,
    RequestInvalid,
    Revoked,
    TooManyConnections,
    Unauthorised,
)
from gobroke_dist.request import Outcome

STATUS: Final[dict[str, int]] = {
    FrameInvalid.code: 400,
    RequestInvalid.code: 400,
    GroupInvalid.code: 400,
    Unauthorised.code: 401,
    Revoked.code: 401,
    NotAuthorised.code: 403,
    GroupNotAllowed.code: 403,
    MessageRejected.code: 403,
    LogicDoesNotExist.code: 404,
    LogicIsPassive.code: 404,
    ClientDoesNotExist.code: 404,
    ClientAlreadyExists.code: 409,
    PayloadInvalid.code: 422,
    RateLimited.code: 429,
    BrokeError.code: 500,
}
"""How a request is answered that met an error of this code; any other one is 503, and may be tried again."""


class Problem(msgspec.Struct, omit_defaults=True, frozen=True):
    """The document."""

    title: str
    status: int
    code: str
    detail: str
    uuid: str | None = None
    field: str | None = None


def problem(
    status: int, code: str, detail: str, *, outcome: Outcome | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """The answer that says what was wrong."""
    uuid, field = (outcome.uuid, outcome.field) if outcome else (None, None)
    readable = detail.encode("utf-8", "replace").decode()
    document = Problem(HTTPStatus(status).phrase, status, code, readable, uuid, field)
    given = dict(headers or {})
    if status in (429, 503):
        given.setdefault("Retry-After", str(max(1, ceil(outcome.retry_after if outcome else 1))))
    if status == 401:
        given.setdefault("WWW-Authenticate", "Bearer")
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type="application/problem+json", headers=given
    )


def of_error(error: BrokeError) -> web.Response:
    """The answer to what could not be done."""
    outcome = Outcome(None, error.code, str(error), retry_after=getattr(error, "retry_after", 1.0))
    if isinstance(error, TooManyConnections):
        answer = problem(HTTP_STATUS[error.limit], error.code, str(error), outcome=outcome)
        answer.force_close()
        return answer
    return of_outcome(outcome)


def of_outcome(outcome: Outcome) -> web.Response:
    """The answer to a frame that was not taken."""
    return problem(STATUS.get(outcome.code, 503), outcome.code, outcome.text, outcome=outcome)
