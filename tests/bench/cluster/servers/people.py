"""The clients that a list is to have: the same for every way of storing them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

_LANGUAGES = ("de", "en", "es", "fr", "pl")


def people(number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """So many uuids, with metadata."""
    return islice(((f"client-{one:06d}", _metadata(one)) for one in count()), number)


def _metadata(one: int) -> dict[str, Any]:
    return {"name": f"Client {one}", "room": f"room-{one % 100}", "language": _LANGUAGES[one % 5], "level": one % 60}
