"""What Redis holds of a message: bytes that every Dramatiq tool reads, with a gap for what Redis adds."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import dramatiq
import pytest
from dramatiq.encoder import JSONEncoder, PickleEncoder
from hypothesis import given
from hypothesis import strategies as st

from gobroke_dist.tasks.encoding import encoded
from gobroke_dist.tasks.parcel import REDIS_ID, accepted_of, pack, seal

_ATOM = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters())
_JSON = st.recursive(_ATOM, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner))


class Word(str):
    __slots__ = ()


class Colour(enum.StrEnum):
    RED = "red"


@pytest.fixture
def other_encoder() -> Iterator[None]:
    before = dramatiq.get_encoder()
    yield
    dramatiq.set_encoder(before)


def message(value: object = None, **options: Any) -> dramatiq.Message[Any]:
    return dramatiq.Message("chat", "chat", (), {"message": {"value": value}}, {REDIS_ID: "r", **options}, "m", 1)


def spliced(payload: bytes, offset: int) -> bytes:
    return payload[:offset] + b'"accepted":[7,8],' + payload[offset:]


@given(_JSON, _JSON)
def test_w17_a_stock_decoder_reads_what_the_stock_encoder_would_have_written(value: Any, option: Any) -> None:
    given_ = message(value, option=option)
    payload, offset = encoded(given_)
    stock = dramatiq.Message.decode(given_.encode())
    assert dramatiq.Message.decode(payload) == stock
    with_gap_filled = dramatiq.Message.decode(spliced(payload, offset))
    assert with_gap_filled == stock.copy(options={"accepted": [7, 8]})


@pytest.mark.parametrize(
    "value", [Word("x"), Colour.RED, 2**70, {1: 2}, {None: 1}, {True: 1}, (1, (2,)), "\ud800", float("inf"), 1e308]
)
def test_what_the_stock_encoder_takes_is_taken_and_read_alike(value: object) -> None:
    given_ = message(value)
    assert json.loads(encoded(given_).payload) == json.loads(given_.encode())


def test_a_name_of_another_type_of_text_is_read_alike() -> None:
    given_ = dramatiq.Message(Word("chat"), "chat", (), {}, {REDIS_ID: "r"}, Word("m"), 1)
    assert json.loads(encoded(given_).payload) == json.loads(given_.encode())


def test_not_a_number_stays_not_a_number() -> None:
    read = json.loads(encoded(message([float("nan")])).payload)["kwargs"]["message"]["value"]
    assert read[0] != read[0]


@pytest.mark.parametrize("value", [datetime.now(UTC), UUID(int=1), Decimal(1), b"x", {1, 2}, object(), {(1, 2): 3}])
def test_what_the_stock_encoder_refuses_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        encoded(message(value))
    with pytest.raises(TypeError):
        encoded(message(option=value))


def test_text_takes_no_more_bytes_than_utf8_needs() -> None:
    assert "сообщение 消息".encode() in encoded(message("сообщение 消息")).payload


def test_a_message_that_was_accepted_before_has_no_gap() -> None:
    assert encoded(message(accepted=[1, 2])).offset == 0
    assert encoded(dramatiq.Message("chat", "chat", (), {}, {})).offset == 0


@pytest.mark.usefixtures("other_encoder")
def test_an_encoder_of_the_applications_own_is_used_and_leaves_no_gap() -> None:
    class Own(JSONEncoder):
        def encode(self, data: dict[str, Any]) -> bytes:
            return json.dumps(data, default=str, indent=1).encode()

    for encoder in (Own(), PickleEncoder()):
        dramatiq.set_encoder(encoder)
        payload, offset = encoded(message(3))
        assert (payload, offset) == (encoder.encode(message(3).asdict()), 0)


def test_a_name_that_has_no_bytes_is_its_senders_error() -> None:
    parcel = pack(message())
    for nameless in (parcel._replace(id="\ud800"), parcel._replace(key="\ud800")):
        with pytest.raises(ValueError, match="surrogates"):
            seal(nameless)


@pytest.mark.parametrize(
    "foreign",
    [None, 7, "7,8", [], [1], [1, 2, 3], ["1", "2"], [1.5, 2], [True, 2], [-1, 2], [1, -2], [None, None], {"0": 1}],
)
def test_what_another_tool_left_in_the_option_is_not_taken_for_redis_word(foreign: object) -> None:
    assert accepted_of(message(accepted=foreign)) is None
    assert accepted_of(message()) is None
    assert accepted_of(message(accepted=[7, 8])) == (7, 8)


def test_a_message_that_is_packed_again_is_a_new_one_and_not_accepted_yet() -> None:
    first = pack(message(accepted=[1, 2]))
    assert first.id not in ("r", "m")
    assert accepted_of(first.message) is None
    new: dramatiq.Message[Any] = dramatiq.Message("chat", "chat", (), {}, {}, "m")
    assert pack(new).id == "m"
    assert new.options == {}, "the sender's own message is left as it was"
