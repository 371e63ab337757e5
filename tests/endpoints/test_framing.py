"""Frames in a stream of bytes, however it is cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.framing import FrameReader, FrameRefused, Framing, LengthPrefix, Lines, is_text
from gobroke_dist.session import CloseCode

LIMIT = 50
FRAMINGS = [LengthPrefix(), Lines()]
any_framing = st.sampled_from(FRAMINGS)
lines = st.binary(max_size=LIMIT).map(lambda line: line.replace(b"\n", b"").rstrip(b"\r"))


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in portions."""
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(borders)]


def read(reader: FrameReader, portions: list[bytes]) -> tuple[list[bytes], CloseCode | None]:
    """All frames, and why there are no more; None: there may be."""
    frames: list[bytes] = []
    for portion in portions:
        reader.feed(portion)
        try:
            while (frame := reader.next()) is not None:
                frames.append(frame)
        except FrameRefused as refused:
            return frames, refused.code
        assert reader.waiting <= LIMIT + 4
    return frames, None


@given(any_framing, st.lists(lines), st.lists(st.integers(0)))
def test_e1_frames_come_out_as_they_went_in(framing: Framing, frames: list[bytes], places: list[int]) -> None:
    """Whatever portions the stream arrives in."""
    stream = b"".join(part for frame in frames for part in framing.pack(frame))
    assert read(framing.reader(LIMIT), cut(stream, places)) == (frames, None)


@given(any_framing, st.lists(st.binary() | st.sampled_from([b"\n", b"\r\n", bytes(4), b"\0\0\0\3abc"])), st.data())
def test_e8_any_bytes_mean_the_same_in_any_portions(framing: Framing, pieces: list[bytes], data: st.DataObject) -> None:
    """Frames first and then, perhaps, a refusal; never another exception, nor more memory than a frame's."""
    stream = b"".join(pieces)
    whole = read(framing.reader(LIMIT), [stream]) if len(stream) <= LIMIT else None
    ones = read(framing.reader(LIMIT), [stream[at : at + 1] for at in range(len(stream))])
    portions = cut(stream, data.draw(st.lists(st.integers(0))))
    assert read(framing.reader(LIMIT), portions) == ones
    assert whole in (None, ones)
    assert ones[1] in (None, CloseCode.TOO_BIG)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_e3_the_largest_frame_passes_and_one_byte_more_does_not(framing: Framing) -> None:
    for size, frames, code in ((LIMIT, [b"x" * LIMIT], None), (LIMIT + 1, [], CloseCode.TOO_BIG)):
        assert read(framing.reader(LIMIT), list(framing.pack(b"x" * size))) == (frames, code)


def test_e3_a_length_is_refused_before_its_frame_comes() -> None:
    reader = LengthPrefix().reader(LIMIT)
    reader.feed(b"\0\0\0\2ok\xff\xff\xff\xff")
    assert reader.next() == b"ok"
    for _ in range(2):
        with pytest.raises(FrameRefused, match="50 bytes"):
            reader.next()


def test_e3_a_line_without_end_is_refused_at_the_limit() -> None:
    reader = Lines().reader(LIMIT)
    reader.feed(b"x" * (LIMIT + 1))
    assert reader.next() is None  # a \r, perhaps
    reader.feed(b"x")
    with pytest.raises(FrameRefused):
        reader.next()


def test_e1_a_length_has_the_most_significant_byte_first() -> None:
    assert b"".join(LengthPrefix().pack(b"x" * 258))[:4] == b"\0\0\1\2"


def test_e1_a_line_may_end_in_crlf_and_empty_ones_are_empty_frames() -> None:
    assert read(Lines().reader(LIMIT), [b"a\r\n\r\n\nb\rc\n"]) == ([b"a", b"", b"", b"b\rc"], None)
    assert read(LengthPrefix().reader(LIMIT), [bytes(8)]) == ([b"", b""], None)


def test_e1_a_frame_with_line_ends_inside_stays_one_line_and_the_same_json() -> None:
    frame = b'{"data": {\n  "a": "x\\ny",\r\n  "b": 1}}'
    packed = b"".join(Lines().pack(frame))
    assert packed.count(b"\n") == 1
    assert json.loads(packed) == json.loads(frame)


@given(st.binary())
def test_text_is_what_python_can_decode(frame: bytes) -> None:
    try:
        frame.decode()
    except UnicodeDecodeError:
        assert not is_text(frame)
    else:
        assert is_text(frame)
