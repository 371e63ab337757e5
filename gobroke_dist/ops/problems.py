"""Errors as problem documents (RFC 9457), and back."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from math import ceil
from typing import Final

from gobroke_dist import errors
from gobroke_dist.errors import BrokeError
from gobroke_dist.ops.api_models import Problem

MEDIA_TYPE: Final = "application/problem+json"

_STATUS: Final[dict[type[BrokeError], int]] = {
    errors.CallInvalid: 400,
    errors.Unauthorised: 401,
    errors.NotAuthorised: 403,
    errors.ClientDoesNotExist: 404,
    errors.LogicDoesNotExist: 404,
    errors.DeadLetterDoesNotExist: 404,
    errors.DeadLetterUnreadable: 409,
    errors.ClientCouldNotBeDisconnected: 504,
    errors.LogicIsPassive: 422,
    errors.GroupInvalid: 422,
    errors.MessageError: 422,
    errors.RequestInvalid: 422,
    errors.RequestFailed: 502,
    errors.RequestTimedOut: 504,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.NotRunning: 503,
}


def status_of(kind: type[BrokeError]) -> int:
    """How an error of this class is answered: as the nearest of its bases that the table names."""
    return next((_STATUS[one] for one in kind.__mro__ if one in _STATUS), 500)


def problem(error: BrokeError) -> Problem:
    """The document for an error."""
    status = getattr(error, "status", None) or status_of(type(error))
    return Problem(
        type=f"urn:gobroke:error:{error.code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=str(error),
        code=error.code,
        facts=vars(error),
    )


def headers(error: BrokeError) -> dict[str, str]:
    """What belongs into the header of its answer."""
    if isinstance(error, errors.Unauthorised):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.CallInvalid) and error.allow:
        return {"Allow": error.allow}
    if isinstance(error, errors.Unavailable):
        return {"Retry-After": str(max(1, ceil(getattr(error, "retry_after", 1.0))))}
    return {}


def error_of(found: Problem) -> BrokeError:
    """The error that a problem document tells of, with the same class, text and fields."""
    kind = next((one for one in _kinds(BrokeError) if one.code == found.code), BrokeError)
    made = kind.__new__(kind, found.detail)
    made.args = (found.detail,)
    vars(made).update(found.facts)
    return made


def _kinds(kind: type[BrokeError]) -> Iterator[type[BrokeError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _kinds(one)
