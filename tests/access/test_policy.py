"""What a client may address (contract E2)."""

from __future__ import annotations

import pytest

from endpoints import StubEndpoint
from gobroke_dist import Broke, Client, Message, NotAuthorised
from gobroke_dist.access.policy import Kind, require

ANN = Client(uuid="ann")


def test_e2_every_recipient_is_asked_for() -> None:
    asked: list[tuple[str, Kind, str]] = []

    def authorise(client: Client, kind: Kind, name: str) -> bool:
        asked.append((client.uuid, kind, name))
        return True

    require(authorise, ANN, Message(to_logic=["chat", "game"], to_client=["ben"], to_group="blue"))
    require(authorise, ANN, Message(to_all=True))
    assert asked == [
        ("ann", "logic", "chat"),
        ("ann", "logic", "game"),
        ("ann", "client", "ben"),
        ("ann", "group", "blue"),
        ("ann", "all", ""),
    ]


@pytest.mark.parametrize("answer", [False, None, 1, "yes"])
def test_e2_only_true_is_a_yes(answer: object) -> None:
    with pytest.raises(NotAuthorised) as caught:
        require(lambda *_: answer, ANN, Message(to_logic="chat"))  # type: ignore[arg-type,return-value]
    assert (caught.value.kind, caught.value.name, caught.value.field) == ("logic", "chat", "to_logic")


def test_e2_r8_a_policy_that_raises_says_no(caplog: pytest.LogCaptureFixture) -> None:
    def authorise(client: Client, kind: Kind, name: str) -> bool:
        raise KeyError(name)

    with pytest.raises(NotAuthorised):
        require(authorise, ANN, Message(to_logic="chat"))
    assert "authorise raised" in caplog.text


def test_e2_one_that_is_async_is_refused_at_once() -> None:
    """What it returns is true, whatever it would have said."""

    async def authorise(client: Client, kind: Kind, name: str) -> bool:
        return False

    with pytest.raises(TypeError, match="async"):
        Broke(StubEndpoint(), authorise=authorise)  # type: ignore[arg-type]
