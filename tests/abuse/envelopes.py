"""Frames whose envelope is wrong, over every way that has one."""

from __future__ import annotations

from tests.abuse.answers import Answer, Row, Way, error, http

SERVED_POST = http(202)


def _bad(what: str, sent: bytes, code: str = "frame_invalid", status: int = 400) -> Row:
    told = error(code)
    answers = {Way.FRAME: told, Way.TCP_FRAME: told, Way.POST: http(status, code)}
    return Row(what, sent, answers)


def _harmless(what: str, sent: bytes) -> Row:
    served = Answer("served")
    return Row(what, sent, {Way.FRAME: served, Way.TCP_FRAME: served, Way.POST: SERVED_POST})


def _to_echo(more: bytes) -> bytes:
    return b'{"to_logic":"echo",' + more + b"}"


DEEP = 30_000

ENVELOPES = (
    _bad("no JSON", b"hello"),
    _bad("white space", b"   "),
    _bad("a byte order mark", b"\xef\xbb\xbf" + _to_echo(b'"data":1')),
    _bad("JSON that is cut", _to_echo(b'"data":1')[:-1]),
    _bad("more behind it", _to_echo(b'"data":1') + b"{}"),
    _bad("single quotes", b"{'to_logic':'echo','data':1}"),
    _bad("a comma at the end", _to_echo(b'"data":1,')),
    _bad("a comment", _to_echo(b'"data":1/**/')),
    _bad("a list", b"[]"),
    _bad("a string", b'"echo"'),
    _bad("null", b"null"),
    _bad("a number", b"1e999"),
    _bad("lists, 30,000 deep", b"[" * DEEP),
    _bad("data, 30,000 lists deep", _to_echo(b'"data":' + b"[" * DEEP + b"]" * DEEP)),
    _bad("data, 10,000 objects deep", _to_echo(b'"data":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000)),
    _bad("metadata, 10,000 objects deep", _to_echo(b'"data":1,"metadata":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000)),
    _bad("NaN", _to_echo(b'"data":NaN')),
    _bad("Infinity", _to_echo(b'"data":Infinity')),
    _bad("-Infinity", _to_echo(b'"data":-Infinity')),
    _bad("NaN in metadata", _to_echo(b'"data":1,"metadata":{"a":NaN}')),
    _bad("an integer of 5,000 digits", _to_echo(b'"data":' + b"9" * 5000)),
    _bad("an integer of 60,000 digits", _to_echo(b'"data":' + b"9" * 60_000)),
    _bad("metadata with 1e999", _to_echo(b'"data":1,"metadata":{"a":1e999}')),
    _harmless("data of 1e999", _to_echo(b'"data":1e999')),
    _harmless("an integer of 4,000 digits", _to_echo(b'"data":' + b"9" * 4000)),
    _bad("a number that begins with zero", _to_echo(b'"data":01')),
    _bad("a number in hexadecimal", _to_echo(b'"data":0x10')),
    _bad("a control character in a string", _to_echo(b'"data":"\n"')),
    _bad("a bad escape", _to_echo(b'"data":"\\x41"')),
    _bad("a field that is given twice", _to_echo(b'"to_logic":"echo","data":1')),
    _bad("data that is given twice", _to_echo(b'"data":1,"data":2')),
    _bad("a field that is given twice, once in escapes", _to_echo(b'"to_\\u006cogic":"nobody","data":1')),
    _harmless("a duplicate key inside of data", _to_echo(b'"data":{"a":1,"a":2}')),
    _bad("a field that nobody knows", _to_echo(b'"data":1,"from_client":"ann"')),
    _bad("__proto__", _to_echo(b'"data":1,"__proto__":{}')),
    _bad("half of a surrogate pair in a uuid", _to_echo(b'"data":1,"uuid":"\\ud800"')),
    _bad("half of a surrogate pair in a field's name", _to_echo(b'"data":1,"\\ud800":1')),
    _bad("no data", b'{"to_logic":"echo"}'),
    _bad("nobody to go to", b'{"data":1}'),
    _bad("an empty name to go to", b'{"to_logic":"","data":1}'),
    _bad("no names to go to", b'{"to_logic":[],"data":1}'),
    *(
        _bad(f"`{field}` that is {kind}", _to_echo(b'"data":1,"' + field.encode() + b'":' + value))
        for field, kind, value in (
            ("to_client", "a number", b"1"),
            ("to_client", "an object", b"{}"),
            ("to_client", "a list of numbers", b"[1]"),
            ("to_client", "a list of lists", b'[["ann"]]'),
            ("to_client", "null", b"null"),
            ("to_client", "129 characters", b'"' + b"x" * 129 + b'"'),
            ("to_client", "1,001 names", b"[" + b",".join([b'"a"'] * 1001) + b"]"),
            ("to_group", "a number", b"1"),
            ("to_group", "true", b"true"),
            ("to_group", "129 characters", b'"' + b"x" * 129 + b'"'),
            ("to_group", "60,000 characters", b'"' + b"x" * 60_000 + b'"'),
            ("uuid", "a number", b"1"),
            ("uuid", "empty", b'""'),
            ("uuid", "129 characters", b'"' + b"x" * 129 + b'"'),
            ("uuid", "a list", b'["a"]'),
            ("metadata", "a list", b"[]"),
            ("metadata", "a string", b'"a"'),
            ("metadata", "a number", b"1"),
            ("ask", "a string", b'"5"'),
            ("ask", "zero", b"0"),
            ("ask", "below zero", b"-1"),
            ("ask", "3,601", b"3601"),
            ("ask", "1e999", b"1e999"),
            ("ask", "true", b"true"),
            ("receipt", "a string", b'"yes"'),
            ("receipt", "1", b"1"),
            ("reply", "a number", b"1"),
            ("reply", "empty", b'""'),
            ("reply", "129 characters", b'"' + b"x" * 129 + b'"'),
        )
    ),
    _bad("`to_logic` that is a number", b'{"to_logic":1,"data":1}'),
    _bad("`to_logic` that is 1,001 names", b'{"to_logic":[' + b",".join([b'"echo"'] * 1001) + b'],"data":1}'),
    _bad("a request to two logics", b'{"to_logic":["echo","state"],"ask":1,"data":1}'),
    _bad("a request to a client", b'{"to_client":"ann","ask":1,"data":1}'),
    _bad("a reply with recipients", _to_echo(b'"reply":"x","data":1')),
    _bad("a reply to nothing", b'{"reply":"nothing","data":1}', "request_invalid"),
    _bad("a receipt of what gives none", _to_echo(b'"data":1,"receipt":true')),
    _bad("a logic that is none", b'{"to_logic":"nobody","data":1}', "logic_does_not_exist", 404),
    _bad("a logic with CR and LF", b'{"to_logic":"a\\r\\nX-Injected: y","data":1}', "logic_does_not_exist", 404),
    _bad("a logic with NUL", b'{"to_logic":"echo\\u0000","data":1}', "logic_does_not_exist", 404),
    _bad("a logic that is a path", b'{"to_logic":"../echo","data":1}', "logic_does_not_exist", 404),
    _bad("a client that is none", b'{"to_client":"nobody","data":1}', "client_does_not_exist", 404),
    _bad("a client with CR and LF", b'{"to_client":"a\\r\\nDEL x","data":1}', "client_does_not_exist", 404),
    _bad("a client with NUL", b'{"to_client":"a\\u0000b","data":1}', "client_does_not_exist", 404),
    _bad("a client that is a pattern", b'{"to_client":"*","data":1}', "client_does_not_exist", 404),
    _bad(
        "1,000 clients that are none",
        b'{"to_client":[' + b",".join(b'"x-%d"' % n for n in range(1000)) + b'],"data":1}',
        "client_does_not_exist",
        404,
    ),
    _bad("a group of others", b'{"to_group":"staff","data":1}', "group_not_allowed", 403),
    _bad("a group with CR and LF", b'{"to_group":"a\\r\\nb","data":1}', "group_not_allowed", 403),
    _bad(
        "a uuid with CR and LF, to nobody",
        b'{"to_logic":"nobody","uuid":"a\\r\\nX: y","data":1}',
        "logic_does_not_exist",
        404,
    ),
    _harmless("a uuid with CR and LF", _to_echo(b'"uuid":"a\\r\\nX: y","data":1')),
    _harmless(
        "metadata of 5,000 facts",
        _to_echo(b'"data":1,"metadata":{' + b",".join(b'"k%d":1' % n for n in range(5000)) + b"}"),
    ),
    _harmless(
        "metadata with a name of 60,000 characters", _to_echo(b'"data":1,"metadata":{"' + b"x" * 60_000 + b'":1}')
    ),
    _harmless("NUL in data", _to_echo(b'"data":"\\u0000"')),
    _harmless("markup in data", _to_echo(b'"data":"<script>alert(1)</script>"')),
    _bad("a token that is a number", b'{"token":1}'),
    _bad("a token that is empty", b'{"token":""}'),
    _bad("a token of 9,000 characters", b'{"token":"' + b"x" * 9000 + b'"}'),
    _bad("a token and data", b'{"token":"x","data":1}'),
    _bad("a token that is given twice", b'{"token":"x","token":"y"}'),
    _bad("a token that is forged", b'{"token":"a.b.c"}', "unauthorised", 401),
)
