from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from gobroke_dist import logs
from gobroke_dist.settings import Settings


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:secret@host:6379/0 away", "redis://:***@host:6379/0 away"),
        ("rediss://user:se@cr:et@host/0", "rediss://user:***@host/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("unix:///tmp/redis.sock", "unix:///tmp/redis.sock"),
        ("a@b.example at http://127.0.0.1:80/x?to=a@b", "a@b.example at http://127.0.0.1:80/x?to=a@b"),
    ],
)
def test_o7_passwords_in_urls_are_masked(text: str, shown: str) -> None:
    """The user name stays, the password goes, and what is no password is left alone."""
    assert logs.masked(text) == shown


def test_o7_json_is_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line is an object with level, logger, role, node and time; a traceback is part of it."""
    logs.configure(Settings(log_format="json", node_id="edge-1"), role="edge")
    logging.getLogger("gobroke_dist.x").warning("lost %s", "redis://:secret@host/0")
    try:
        raise ValueError("at redis://:secret@host/0")
    except ValueError:
        logging.getLogger("app").exception("broken\nin two lines")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["event"] == "lost redis://:***@host/0"
    assert (first["level"], first["logger"], first["role"], first["node"]) == (
        "warning", "gobroke_dist.x", "edge", "edge-1",
    )  # fmt: skip
    assert first["timestamp"].endswith("Z")
    assert "ValueError" in second["exception"]
    assert "secret" not in second["exception"]


def test_o7_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """One readable line; what is below the level is not shown; a traceback follows its line, masked."""
    logs.configure(Settings(log_level="info"), role="edge")
    logging.getLogger("gobroke_dist.x").debug("not shown")
    logging.getLogger("gobroke_dist.x").info("listening on %s", "ws://127.0.0.1:1/")
    try:
        raise ValueError("at redis://:secret@host/0")
    except ValueError:
        logging.getLogger("app").exception("broken")
    said = capsys.readouterr().err
    assert "not shown" not in said
    assert "info" in said
    assert "listening on ws://127.0.0.1:1/" in said
    assert "ValueError" in said
    assert "secret" not in said
    assert "\x1b" not in said


def test_o7_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """A Python warning does not go past the log."""
    logs.configure(Settings(log_format="json"), role="edge")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old-fashioned", stacklevel=1)
    assert "old-fashioned" in json.loads(capsys.readouterr().err)["event"]
