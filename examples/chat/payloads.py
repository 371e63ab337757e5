"""What the page and the logics say to each other, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

RoomName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# --- from the page -----------------------------------------------------------


class InRoom(_Model):
    """For ``leave``, ``who`` and ``typing``."""

    room: RoomName


class Entrance(InRoom):
    """For ``join``. ``after`` is the last number that the page has seen of this room."""

    after: int = Field(default=0, ge=0)


class Words(InRoom):
    """For ``say``."""

    text: Text


# --- from the framework -----------------------------------------------------


class Change(_Model):
    """For ``presence``: somebody has joined a room, or left it."""

    event: Literal["joined", "left"]
    group: str
    client: str


# --- to the page -------------------------------------------------------------


class Line(_Model):
    """One thing that was said. ``node`` is the edge that it came in through."""

    uuid: str
    client: str
    name: str
    text: str
    node: str
    at: AwareDatetime


class NumberedLine(Line):
    """A line in its place: the numbers of a room have no gaps."""

    number: int
