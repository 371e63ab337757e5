"""Ordering keys."""

from __future__ import annotations

import pytest

from gobroke_dist import Client, LogicBase, LogicInvalid, LogicType, Message
from gobroke_dist.ordering import order_key

MESSAGE = Message(from_client=Client(uuid="ann"), metadata={"room": "blue"})


def room(message: Message) -> str:
    return str(message.metadata["room"])


class Worker(LogicBase):
    logic_type = LogicType.WORKER


class ByFunction(Worker):
    order_by = room


class ByLambda(Worker):
    order_by = lambda message: message.metadata["room"]  # noqa: E731 - how users write it on a class


class ByStatic(Worker):
    order_by = staticmethod(room)


class ByMethod(Worker):
    def order_by(self, message: Message) -> str:
        return f"{self.name}:{message.metadata['room']}"


class ByInstance(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.order_by = room


@pytest.mark.parametrize("logic", [ByFunction(), ByLambda(), ByStatic(), ByInstance()])
def test_w2_a_function_of_the_message_is_a_key_however_it_is_attached(logic: LogicBase) -> None:
    """A function, a lambda, a static method or an instance attribute all get the message alone."""
    assert order_key(logic, MESSAGE) == "blue"


def test_w2_a_method_may_use_the_logic() -> None:
    """A method of two arguments is called as one."""
    assert order_key(ByMethod("chess"), MESSAGE) == "chess:blue"


def test_w2_the_named_orders() -> None:
    """One order for the logic, one per sending client (or logic), or none."""

    def key(order_by: object, message: Message = MESSAGE) -> str | None:
        logic = Worker("w")
        logic.order_by = order_by  # type: ignore[assignment]
        return order_key(logic, message)

    assert key("logic") == ""
    assert key("client") == "client:ann"
    assert key("client", Message(from_logic="ann")) == "logic:ann"
    assert key(None) is None


def test_w2_a_key_that_is_no_string_is_refused_with_what_it_was() -> None:
    """A key function that returns a number is told so."""
    logic = Worker("w")
    logic.order_by = lambda message: 7  # type: ignore[assignment, return-value]
    with pytest.raises(LogicInvalid, match="returned a int"):
        order_key(logic, MESSAGE)
