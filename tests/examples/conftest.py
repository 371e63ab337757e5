"""The examples as their readers start them: ``gobroke run``, in processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from gobroke_dist.lifeline import tied
from tests.eventually import eventually_sync


@contextmanager
def gobroke_run(
    folder: Path, app: str, redis_url: str, *, edges: int = 1, workers: int = 1, **environment: str
) -> Iterator[list[str]]:
    """Run an application on free ports with a prefix of its own; gives the edges' WebSocket URLs."""
    output = folder / f"{uuid4().hex}.log"
    counts = ["--edges", str(edges), "--workers", str(workers), "--schedulers", "1"]
    command = [sys.executable, "-m", "gobroke_dist.cli", "run", app, "--port", "0", *counts]
    command += ["--redis-url", redis_url, "--prefix", f"t{uuid4().hex[:12]}"]
    with output.open("wb") as stdout:
        process = subprocess.Popen(tied(command), stdout=stdout, stderr=subprocess.STDOUT, env=os.environ | environment)
    try:
        eventually_sync(lambda: process.poll() is not None or "Ctrl+C" in output.read_text(), within=30)
        assert process.poll() is None, output.read_text()
        yield re.findall(r"^edge-\d+ +(ws://\S+)", output.read_text(), re.MULTILINE)
    finally:
        process.terminate()
        assert process.wait(40) == 0, output.read_text()


@pytest.fixture(scope="session")
def chat(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The chat on two edges and two workers, shared by all tests: each takes a room of its own."""
    folder = tmp_path_factory.mktemp("chat")
    with gobroke_run(folder, "examples.chat.app:broke", redis_url, edges=2, workers=2) as urls:
        yield urls


@pytest.fixture
def room() -> str:
    """A room that no other test has."""
    return f"room-{uuid4().hex[:12]}"
