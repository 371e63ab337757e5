"""A Dramatiq message as the bytes that Redis holds, with a gap for what only Redis can add to it."""

from __future__ import annotations

import json
from math import isfinite
from types import NoneType
from typing import Any, NamedTuple

import dramatiq
import msgspec
from dramatiq.encoder import JSONEncoder

ACCEPTED = "accepted"
"""The option ``[number, Unix milliseconds]`` that Redis adds to a message when it accepts it."""

_HEAD = b'{"options":'
_FIRST_OPTION = len(_HEAD) + 1

_stock = json.JSONEncoder(separators=(",", ":"))
_quick = msgspec.json.Encoder()
_TEXT = frozenset({str})
_ATOMS = frozenset({str, int, bool, NoneType})


class Encoded(NamedTuple):
    """A message in the form of Dramatiq's encoder.

    Attributes:
        payload: the bytes.
        offset: where in them ``"accepted":…,`` is to be inserted; 0: nowhere.
    """

    payload: bytes
    offset: int


def encoded(message: dramatiq.Message[Any]) -> Encoded:
    """Encode a message, its options first, so that the gap is found without searching what users wrote.

    There is no gap in a message that was accepted before, and in what an encoder of the application's own makes.

    Raises:
        TypeError, ValueError: something in it is not JSON.
    """
    if type(dramatiq.get_encoder()) is not JSONEncoder or type(message) is not dramatiq.Message:
        return Encoded(message.encode(), 0)
    json_of = _quick_json if _is_plain(message) else _stock_json
    fields = vars(message).copy()
    options = fields.pop("options")
    payload = b"".join((_HEAD, json_of(options), b",", json_of(fields)[1:]))
    return Encoded(payload, _FIRST_OPTION if options and ACCEPTED not in options else 0)


def _quick_json(value: dict[str, Any]) -> bytes:
    try:
        return _quick.encode(value)
    except (TypeError, UnicodeEncodeError):  # a subclass of str; a lone surrogate, for which UTF-8 has no bytes
        return _stock_json(value)


def _stock_json(value: dict[str, Any]) -> bytes:
    return _stock.encode(value).encode()


def _is_plain(message: dramatiq.Message[Any]) -> bool:
    """Whether both encoders agree on what users put in: the quick one also takes dates, and makes null of NaN."""
    found: list[Any] = [message.options, message.kwargs, message.args]
    for one in found:
        kind = type(one)
        if kind is dict and _TEXT.issuperset(map(type, one)):
            within = one.values()
        elif kind is list or kind is tuple:
            within = one
        elif kind is float and isfinite(one):
            continue
        else:
            return False
        for inner in within:
            if type(inner) not in _ATOMS:
                found.append(inner)
    return True
