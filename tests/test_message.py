"""Messages and clients: what the seed documents, in Python's idiom."""

from __future__ import annotations

import pytest

from gobroke_dist import (
    Client,
    Message,
    MessageState,
    TagDoesNotExist,
    new_client_message,
    new_logic_message,
    new_simple_client_message,
    new_simple_logic_message,
)


def test_a2_message_has_the_fields_of_the_seed() -> None:
    """A message is accepted, has a uuid of its own, and no recipients, until told otherwise."""
    message = Message(message_raw=b"x")
    assert (message.to_client, message.to_logic, message.from_client, message.from_logic) == ((), (), None, None)
    assert message.state is MessageState.ACCEPTED
    assert message.uuid != Message().uuid
    assert (message.metadata, message.tags) == ({}, {})


def test_a2_accept_and_reject_toggle_the_state() -> None:
    """The last of accept() and reject() counts."""
    message = Message()
    message.reject("too large")
    assert (message.state, message.reason, message.rejected) == (MessageState.REJECTED, "too large", True)
    message.accept()
    assert (message.state, message.reason, message.rejected) == (MessageState.ACCEPTED, "", False)


def test_a2_tags_are_set_read_and_defaulted() -> None:
    """A tag that was never set is an error, unless a default is given; None is a value like any other."""
    message = Message()
    message.add_tag("priority", "high")
    message.add_tag("nothing", None)
    assert message.get_tag("priority") == "high"
    assert message.get_tag("nothing") is None
    assert message.get_tag("absent", None) is None
    with pytest.raises(TagDoesNotExist, match="'absent'"):
        message.get_tag("absent")


def test_a2_the_four_constructors() -> None:
    """The seed's constructors name the sender's kind, and take one recipient or several."""
    ann, ben = Client(uuid="ann"), Client(uuid="ben")
    many = new_client_message(ann, [ann, ben], ["chat", "log"], b"x", metadata={"a": 1}, uuid="u1")
    assert (many.from_client, many.to_client, many.to_logic) == (ann, (ann, ben), ("chat", "log"))
    assert (many.message_raw, many.metadata, many.uuid) == (b"x", {"a": 1}, "u1")
    one = new_simple_client_message(ann, ben, "chat", b"x")
    assert (one.from_client, one.to_client, one.to_logic) == (ann, (ben,), ("chat",))
    logic = new_logic_message("chat", [ann], [], b"x")
    assert (logic.from_logic, logic.from_client, logic.to_client) == ("chat", None, (ann,))
    simple = new_simple_logic_message("chat", ann, "log", b"x")
    assert (simple.from_logic, simple.to_client, simple.to_logic) == ("chat", (ann,), ("log",))


def test_a2_seed_defect_simple_constructors_take_none_for_no_recipient() -> None:
    """A missing client or logic gives an empty list, not a list of one nothing."""
    ann = Client()
    assert new_simple_client_message(ann, None, "chat", b"").to_client == ()
    assert new_simple_client_message(ann, ann, None, b"").to_logic == ()
    assert new_simple_logic_message("chat", None, None, b"").to_client == ()
    assert new_simple_logic_message("chat", None, "", b"").to_logic == ()


def test_a2_seed_defect_metadata_of_a_new_client_can_be_added_to() -> None:
    """Client metadata exists from the start; reading what is absent gives the default."""
    client = Client()
    client.add_metadata("name", "Ann")
    assert client.get_metadata("name") == "Ann"
    assert client.get_metadata("absent") is None
    assert client.last_message.tzinfo is not None


def test_a_copy_is_independent() -> None:
    """Changing a copy's metadata or tags leaves the original alone."""
    message = Message(metadata={"a": 1})
    message.add_tag("t", 1)
    copy = message.copy()
    copy.metadata["a"] = 2
    copy.add_tag("t", 2)
    assert (message.metadata, message.tags, copy.uuid) == ({"a": 1}, {"t": 1}, message.uuid)


def test_o7_repr_shows_no_payload() -> None:
    """A message in a log line or a traceback does not give its payload away."""
    assert "secret" not in repr(Message(message_raw=b"secret"))
