"""A frame is read or refused with a text; nothing else can come of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gobroke_dist.client import Client
from gobroke_dist.errors import FrameInvalid, GroupNotAllowed, LogicDoesNotExist, PayloadInvalid
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.request import ClientReply, ClientRequest, ClientToken, Receipt
from gobroke_dist.session import RefreshingProtocol
from gobroke_dist.wire.frame import MAX_RECIPIENTS, JSONProtocol, RawProtocol

PROTOCOL = JSONProtocol()
ALICE = Client(uuid="alice", node="n1")


def decode(frame: bytes) -> Message:
    return PROTOCOL.decode(frame, ALICE)


def shown(message: Message) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(PROTOCOL.encode(message))
    return read


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a": [1,  2], "b":"\xc3\xa9"}', "spaces and UTF-8 stay"),
        (b'{"a":1,"a":2}', "duplicate keys in a payload are the logic's business"),
        (b'"' + b"9" * 5000 + b'"', "5,000 digits in a string are a string"),
        (b"9" * 4300, "the longest integer that Python reads"),
        (b"1e999", "grammatical"),
        (b'"\\ud83d\\ude00"', "a whole surrogate pair"),
        (b"null", "nothing is something"),
    ],
)
def test_the_payload_is_exactly_the_bytes_of_data(raw: bytes, why: str) -> None:
    assert decode(b'{"to_logic": "chat", "data": ' + raw + b' , "uuid": "m1"}').message_raw == raw, why


def test_all_fields_of_an_envelope_reach_the_message() -> None:
    message = decode(b'{"to_logic":["a","b"],"to_client":"bob","data":1,"uuid":"m1","metadata":{"x":[1]}}')
    assert message.to_logic == ("a", "b")
    assert [client.uuid for client in message.to_client] == ["bob"]
    assert (message.uuid, message.metadata, message.from_client) == ("m1", {"x": [1]}, ALICE)


def test_a_message_without_a_uuid_gets_one() -> None:
    assert decode(b'{"to_client":["bob","eve"],"data":1}').uuid


def test_c11_a_frame_that_asks_is_a_request_of_one_logic() -> None:
    for to_logic in (b'"chat"', b'["chat"]'):
        request = decode(b'{"to_logic":' + to_logic + b',"data":1,"uuid":"m1","ask":5}')
        assert isinstance(request, ClientRequest)
        assert (request.to_logic, request.timeout, request.uuid) == (("chat",), 5, "m1")


def test_c11_a_frame_that_answers_names_the_request() -> None:
    reply = decode(b'{"reply":"r1","data":{"a": 1},"uuid":"m1"}')
    assert isinstance(reply, ClientReply)
    assert (reply.request, reply.message_raw, reply.uuid) == ("r1", b'{"a": 1}', "m1")
    assert (reply.to_logic, reply.to_client) == ((), ())


def test_c11_a_request_to_a_client_shows_its_id_and_an_answer_the_uuid_that_it_answers() -> None:
    request = Message(message_raw=b"1", uuid="m1")
    request.reply_to = ReplyTo("edge-1", "r1")
    assert shown(request) == {"type": "message", "uuid": "m1", "data": 1, "reply_to": "r1"}
    answers = [
        json.loads(PROTOCOL.encode_reply(Message(message_raw=raw, uuid="m1"))) for raw in (b"[1]", b"x", b"\xff")
    ]
    assert answers == [
        {"type": "reply", "uuid": "m1", "data": [1]},
        {"type": "reply", "uuid": "m1", "text": "x"},
        {"type": "reply", "uuid": "m1", "base64": "/w=="},
    ]


def test_c11_a_frame_may_ask_for_receipts_and_a_receipt_is_a_frame() -> None:
    for ask in (b"", b',"ask":5'):
        assert decode(b'{"to_logic":"chat","data":1,"receipt":true' + ask + b"}").receipt
    assert not decode(b'{"to_logic":"chat","data":1,"receipt":false}').receipt
    assert json.loads(PROTOCOL.encode_receipt(Receipt("m1", "chat", "dead", "attempts"))) == {
        "type": "receipt",
        "uuid": "m1",
        "logic": "chat",
        "state": "dead",
        "reason": "attempts",
    }
    assert "reason" not in json.loads(PROTOCOL.encode_receipt(Receipt("m1", "chat", "done")))


DEEP = 100_000
HOSTILE = [
    # frame, field, what the text says
    (b"", None, "ends too early"),
    (b"\xff", None, "not UTF-8: byte 0"),
    (b'{"to_logic":"a","data":"\xed\xa0\x80"}', None, "not UTF-8"),
    (b"[1]", None, "Expected `object`, got `array`"),
    (b"hello", None, "not valid JSON"),
    (b"\xef\xbb\xbf{}", None, "not valid JSON"),
    (b'{"to_logic":"a","data":1} x', None, "trailing characters"),
    (b'{"to_logic":"a","data":01}', None, "invalid number"),
    (b'{"to_logic":"a","data":NaN}', None, "not valid JSON"),
    (b'{"to_logic":"a","data":-Infinity}', None, "not valid JSON"),
    (b'{"to_logic":"a","data":"\x01"}', None, "invalid character"),
    (b'{"to_logic":"a","data":"\\ud800"}', None, "half of a surrogate pair"),
    (b'{"to_logic":"a","data":"\\ud800abcdefghijk"}', None, "not valid JSON"),
    (b'{"to_logic":"a","data":' + b"[" * DEEP + b"]" * DEEP + b"}", None, "nested too deeply"),
    (b'{"to_logic":"a","data":' + b'{"a":' * DEEP, None, "nested too deeply"),
    (b'{"to_logic":"a","data":1,"metadata":' + b'{"a":' * DEEP + b"1" + b"}" * (DEEP + 1), None, "nested too deeply"),
    (b'{"to_logic":"a","data":' + b"9" * 5000 + b"}", None, "Integer value out of range"),
    (b'{"to_logic":"a","data":1,"metadata":{"n":' + b"9" * 5000 + b"}}", "metadata[...]", "out of range"),
    (b'{"to_logic":"a","data":1,"metadata":{"n":1e999}}', "metadata[...]", "out of range"),
    (b'{"to_logic":"a","data":1,"to_logic":"b"}', "to_logic", "twice"),
    (b'{"to_logic":"a","data":1,"d\\u0061ta":2}', "data", "twice"),
    (b'{"to_logic":"a","data":1,"admin":true}', "admin", "unknown field"),
    (b'{"to_logic":"a"}', "data", "missing required field"),
    (b'{"data":1}', "to_logic", "no recipient"),
    (b'{"data":1,"to_logic":[],"to_client":[]}', "to_logic", "no recipient"),
    (b'{"data":1,"to_logic":""}', "to_logic", "length >= 1"),
    (b'{"data":1,"to_logic":3}', "to_logic", "Expected `str | array`"),
    (b'{"data":1,"to_logic":["a",null]}', "to_logic[1]", "Expected `str`"),
    (b'{"data":1,"to_client":{"uuid":"bob"}}', "to_client", "Expected `str | array`"),
    (b'{"data":1,"to_logic":"a","uuid":7}', "uuid", "Expected `str | null`"),
    (b'{"data":1,"to_logic":"a","uuid":"' + b"x" * 129 + b'"}', "uuid", "length <= 128"),
    (b'{"data":1,"to_logic":"a","metadata":[]}', "metadata", "Expected `object | null`"),
    (b'{"data":1,"to_logic":"a","ask":0}', "ask", "> 0"),
    (b'{"data":1,"to_logic":"a","ask":3601}', "ask", "<= 3600"),
    (b'{"data":1,"to_logic":"a","ask":true}', "ask", "Expected `float | null`"),
    (b'{"data":1,"to_logic":"a","ask":"5"}', "ask", "Expected `float | null`"),
    (b'{"data":1,"to_logic":["a","b"],"ask":5}', "ask", "one logic"),
    (b'{"data":1,"to_logic":"a","to_client":"b","ask":5}', "ask", "one logic"),
    (b'{"data":1,"to_client":"b","ask":5}', "ask", "one logic"),
    (b'{"data":1,"reply":""}', "reply", "length >= 1"),
    (b'{"data":1,"reply":7}', "reply", "Expected `str | null`"),
    (b'{"reply":"r"}', "data", "missing required field"),
    (b'{"data":1,"reply":"r","to_logic":"a"}', "reply", "at most a uuid"),
    (b'{"data":1,"reply":"r","to_client":"b"}', "reply", "at most a uuid"),
    (b'{"data":1,"reply":"r","metadata":{}}', "reply", "at most a uuid"),
    (b'{"data":1,"reply":"r","ask":5}', "reply", "at most a uuid"),
    (b'{"data":1,"reply":"r","receipt":true}', "reply", "at most a uuid"),
    (b'{"data":1,"to_logic":"a","receipt":1}', "receipt", "Expected `bool`"),
    (b'{"data":1,"to_logic":"a","receipt":["done"]}', "receipt", "Expected `bool`"),
    (b'{"data":1,"reply":"r","reply":"s"}', "reply", "twice"),
    (b'{"data":1,"to_client":[' + b",".join([b'"u"'] * (MAX_RECIPIENTS + 1)) + b"]}", "to_client", "length <= 1000"),
]


@pytest.mark.parametrize(("frame", "field", "text"), HOSTILE, ids=[f"{row[2]}-{n}" for n, row in enumerate(HOSTILE)])
def test_e8_a_bad_frame_is_refused_with_a_text(frame: bytes, field: str | None, text: str) -> None:
    with pytest.raises(FrameInvalid) as caught:
        decode(frame)
    assert text in str(caught.value)
    assert caught.value.field == field


@pytest.mark.parametrize("raw", [b'{"a":  1}', b" 1 ", b'"\xc3\xa9"', b"null"])
def test_a_json_payload_is_sent_as_it_is(raw: bytes) -> None:
    frame = PROTOCOL.encode(Message(message_raw=raw, uuid="m1"))
    assert raw.strip() in frame
    assert json.loads(frame)["data"] == json.loads(raw)


@pytest.mark.parametrize("raw", [b"", b"hello", b"{", b"NaN", b'"\\ud800"', b"1 2", b"[" * DEEP])
def test_a_text_payload_is_sent_as_text(raw: bytes) -> None:
    assert shown(Message(message_raw=raw, uuid="m1")) == {"type": "message", "uuid": "m1", "text": raw.decode()}


@pytest.mark.parametrize("raw", [b"\xff\x00", b'"\xff"'])
def test_a_binary_payload_is_sent_as_base64(raw: bytes) -> None:
    assert set(shown(Message(message_raw=raw, uuid="m1"))) == {"type", "uuid", "base64"}


def test_a_message_frame_says_who_sent_it() -> None:
    message = Message(message_raw=b"1", uuid="m1", from_client=ALICE, from_logic="chat", metadata={"k": "v"})
    assert shown(message) == {
        "type": "message",
        "uuid": "m1",
        "data": 1,
        "from_client": "alice",
        "from_logic": "chat",
        "metadata": {"k": "v"},
    }


def test_welcome_names_client_and_node() -> None:
    assert json.loads(PROTOCOL.encode_welcome(ALICE)) == {"type": "welcome", "client": "alice", "node": "n1"}


def test_r6_an_error_frame_carries_code_text_uuid_and_field() -> None:
    error = json.loads(PROTOCOL.encode_error(PayloadInvalid("chat", "move.x", "too large"), "m1"))
    assert (error["type"], error["code"], error["uuid"], error["field"]) == ("error", "payload_invalid", "m1", "move.x")
    assert "too large" in error["text"]
    assert "field" not in json.loads(PROTOCOL.encode_error(LogicDoesNotExist("x"), None))


def test_raw_frames_are_payloads_both_ways() -> None:
    raw = RawProtocol("echo")
    message = raw.decode(b"\x00\xff", ALICE)
    assert (message.to_logic, message.message_raw, message.from_client) == (("echo",), b"\x00\xff", ALICE)
    assert raw.encode(message) == b"\x00\xff"
    assert RawProtocol(("a", "b")).decode(b"", ALICE).to_logic == ("a", "b")


def test_e2_a_frame_with_a_token_is_nothing_else_and_has_its_answer() -> None:
    shown_again = decode(b'{"uuid":"t1", "token":"a.b.c"}')
    assert isinstance(shown_again, ClientToken)
    assert (shown_again.token, shown_again.names, shown_again.to_logic, shown_again.message_raw) == (
        "a.b.c",
        "t1",
        (),
        b"",
    )
    nameless = decode(b'{"token":"a.b.c"}')
    assert isinstance(nameless, ClientToken)
    assert nameless.names is None
    assert isinstance(PROTOCOL, RefreshingProtocol)
    answer = json.loads(PROTOCOL.encode_refreshed(1764061200.0, "t1"))
    assert answer == {"type": "refreshed", "expires_at": 1764061200.0, "uuid": "t1"}
    assert json.loads(PROTOCOL.encode_refreshed(None, None)) == {"type": "refreshed"}


@pytest.mark.parametrize(
    "frame",
    [
        b'{"token":""}',
        b'{"token":1}',
        b'{"token":"a","token":"b"}',
        b'{"token":"a","data":1}',
        b'{"token":"a","to_logic":"x","data":1}',
        b'{"token":"' + b"x" * 8193 + b'"}',
    ],
)
def test_e2_any_other_frame_with_a_token_is_refused_and_does_not_repeat_it(frame: bytes) -> None:
    with pytest.raises(FrameInvalid) as caught:
        decode(frame)
    assert "xxxx" not in str(caught.value)


def test_c6_a_frame_may_name_groups_only_and_a_refusal_names_the_field() -> None:
    """Whether the client may send to them is for the node to say."""
    assert decode(b'{"to_group":["red","blue"],"data":1}').to_group == ("red", "blue")
    assert decode(b'{"to_group":"red","to_client":"ben","data":1}').to_group == ("red",)
    error = GroupNotAllowed("red", "no")
    assert json.loads(PROTOCOL.encode_error(error, "u")) == {
        "type": "error",
        "code": "group_not_allowed",
        "text": "no",
        "uuid": "u",
        "field": "to_group",
    }
    with pytest.raises(FrameInvalid, match="to_group"):
        decode(b'{"to_group":[""],"data":1}')
