"""What goes over the HTTP API, as pydantic models; its OpenAPI document is made from them (contract O4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, Json, StringConstraints, field_validator, model_validator

from gobroke_dist.client import Client
from gobroke_dist.request import ReceiptState
from gobroke_dist.tasks.dead_letters import DeadLetter

MAX_PAGE: Final = 1000
"""The most that one page may be asked to have."""

MAX_WAIT: Final = 60.0
"""The most seconds that an answer may be waited for."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Names = Annotated[list[Name], Field(max_length=10_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(_Model):
    """A payload, in one of three forms; none of them: an empty payload."""

    payload: Any = Field(default=None, description="any JSON; its bytes are what recipients get")
    text: str | None = Field(default=None, description="instead of payload: a text, as UTF-8")
    base64: str | None = Field(default=None, description="instead of payload: bytes")
    metadata: dict[str, Any] = Field(default_factory=dict, description="facts that travel with the message")
    uuid: Name | None = Field(
        default=None,
        max_length=128,
        description="the message's; WORKER logic accepts one once, so it may be sent again; unset: a new one",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if len({"payload", "text", "base64"} & self.model_fields_set) > 1:
            raise ValueError("give one of payload, text and base64")
        self.raw()
        return self

    @field_validator("metadata")
    @classmethod
    def _travels(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        try:
            msgspec.json.encode(metadata)
        except (TypeError, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from None
        return metadata

    def raw(self) -> bytes:
        """The payload's bytes. Raises ``ValueError``."""
        if self.text is not None:
            return self.text.encode()
        if self.base64 is not None:
            return base64.b64decode(self.base64, validate=True)
        if "payload" in self.model_fields_set:
            return json.dumps(self.payload, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
        return b""


class Sending(Body):
    """A message and its recipients."""

    to_client: Names = Field(default=[], description="uuids of clients")
    to_logic: Names = Field(default=[], description="names of logics")
    to_group: Names = Field(default=[], description="names of groups")
    wait: float | None = Field(
        default=None,
        gt=0,
        le=MAX_WAIT,
        description="seconds to wait for what becomes of it at the one WORKER logic that it is for",
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.to_client or self.to_logic or self.to_group):
            raise ValueError("name somebody in to_client, to_logic or to_group")
        if self.wait is not None and (len(self.to_logic) != 1 or self.to_client or self.to_group):
            raise ValueError("with wait, name one WORKER logic in to_logic, and nobody else")
        return self


class Asking(Body):
    """A request to one logic or one client."""

    to_client: Name | None = None
    to_logic: Name | None = None
    timeout: float = Field(default=5.0, gt=0, le=MAX_WAIT, description="seconds that the answer may take")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.to_client is None) == (self.to_logic is None):
            raise ValueError("name one in to_client or to_logic")
        return self


class Sent(_Model):
    """Accepted: what was for WORKER logic is in Redis, what was for clients is on its way."""

    uuid: str
    state: ReceiptState = Field(
        default="accepted",
        description="done: its run is committed; dead: it is a dead letter; both only if waited for",
    )
    reason: str = Field(default="", description="why it is dead, in a word")


class Answer(_Model):
    """What was answered. Of text and base64 one is there: bytes that are no UTF-8 come as base64."""

    uuid: str = Field(description="the request's")
    text: str | None = None
    base64: str | None = None
    from_client: str | None = None
    from_logic: str | None = None


class ClientInfo(_Model):
    """A connected client."""

    uuid: str
    node: str
    last_message: datetime
    metadata: dict[str, Any]


class ClientPage(_Model):
    """A part of a list. It may have none and yet not be the last, which is the one without a cursor."""

    clients: list[ClientInfo]
    cursor: str = Field(description="of the next page; empty: there is none")


class Count(_Model):
    """How many there are."""

    count: int


class Listing(_Model):
    """Which page."""

    limit: int = Field(default=100, ge=1, le=MAX_PAGE, description="about how many")
    cursor: str = Field(default="", max_length=2048, description="the one that the page before ended with")


class ClientListing(Listing):
    """Which page, and which of its clients."""

    node: str | None = Field(default=None, description="only those of this node")
    idle: float | None = Field(default=None, ge=0, le=1e9, description="only those silent for so many seconds")
    metadata: Json[dict[str, Any]] | None = Field(
        default=None, description="a JSON object: only those whose metadata has all that is in it"
    )

    def wants(self, client: Client, now: datetime) -> bool:
        """Whether this one is listed."""
        if self.node is not None and client.node != self.node:
            return False
        if self.idle is not None and client.last_message > now - timedelta(seconds=self.idle):
            return False
        return all(name in client.metadata and client.metadata[name] == value for name, value in self._facts)

    @property
    def _facts(self) -> Iterable[tuple[str, Any]]:
        return (self.metadata or {}).items()


class DeadListing(Listing):
    """Which page of the dead letters."""

    queue: str | None = Field(default=None, description="only of this logic")


class DeadInfo(_Model):
    """A dead letter, without its payload."""

    queue: str
    id: str
    reason: str
    error: str
    attempts: int
    died: float = Field(description="Unix seconds")
    key: str | None = Field(description="its ordering key")
    halts: bool = Field(description="whether its ordering key waits for it")

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """What may be told of it."""
        return cls(**{name: getattr(letter, name) for name in cls.model_fields})


class DeadPage(_Model):
    """A part of the dead letters: one queue after the other, of each the latest first."""

    total: int = Field(description="how many there are in these queues")
    dead: list[DeadInfo]
    cursor: str = Field(description="of the next page; empty: there is none")


class DeadShown(_Model):
    """A dead letter with Dramatiq's whole message, payload and all."""

    letter: DeadInfo
    message: dict[str, Any]


class Requeued(_Model):
    """Where it runs again: at its old place, or behind all others of its key."""

    place: Literal["first", "last"]


class Problem(BaseModel):
    """What went wrong (RFC 9457). The codes are those of the reference of errors."""

    type: str = Field(description="names the kind of problem")
    title: str
    status: int
    detail: str
    code: str = Field(description="the error's code")
    facts: dict[str, Any] = Field(default_factory=dict, description="the error's fields")
