"""One application object in processes of their own, started by our command line and by Dramatiq's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
APP = "tests.cluster.program:broke"


@contextlib.contextmanager
def process(
    *words: str, says: str, says_then: str = "", never_says: str | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that has printed ``says`` (a pattern), with what it printed; ended by SIGTERM, with exit code 0.

    When the block is left, it must have printed ``says_then`` as well, and never ``never_says``.
    """
    with tempfile.NamedTemporaryFile("w+") as output:
        command = [sys.executable, "-m", *words]
        started = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output)
        try:
            said = eventually_sync(lambda: _found(started, Path(output.name), says), within=30)
            yield started, said
            eventually_sync(lambda: _found(started, Path(output.name), says_then) is not None, within=10)
            started.send_signal(signal.SIGTERM)
            assert started.wait(30) == 0, Path(output.name).read_text()
            assert never_says is None or never_says not in Path(output.name).read_text()
        finally:
            started.kill()
            started.wait(30)


def _found(started: subprocess.Popen[bytes], output: Path, says: str) -> str | None:
    said = output.read_text()
    assert started.poll() is None, said
    return said if re.search(says, said) else None


@pytest.mark.parametrize("program", ["gobroke", "dramatiq"])
async def test_a1_w17_one_application_object_runs_in_every_role_and_under_stock_dramatiq(
    program: str, redis_url: str, prefix: str
) -> None:
    """An edge answers inline, workers take the queue, ours or stock ``dramatiq module:attribute``; all end cleanly."""
    environment = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix}
    workers = {
        "gobroke": ("gobroke_dist.cli", "worker", APP, "-t", "2"),
        "dramatiq": ("dramatiq", APP, "-p", "2", "-t", "2"),
    }[program]
    ready = {"gobroke": "worker is ready", "dramatiq": r"(?s)(is ready for action.*){2}"}[program]
    with (
        process("gobroke_dist.cli", "edge", APP, says=r"ws://\S+", **environment) as (edge, said),
        process(*workers, says=ready, says_then="processing, marked: True", **environment),
    ):
        address = re.search(r"ws://[^\s,]+", said)
        assert address is not None
        answers = {logic: await _ask(address[0], logic) for logic in ("inline", "queued")}
        kinds = {logic: answer.split()[0] for logic, answer in answers.items()}
        assert kinds == {"inline": "dispatched", "queued": "worker"}
        assert answers["inline"] == f"dispatched {edge.pid}"
        assert answers["queued"] != f"worker {edge.pid}"


async def _ask(address: str, logic: str) -> str:
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        await socket.send_str(json.dumps({"to_logic": logic, "data": None}))
        answer: str = (await socket.receive_json(timeout=15))["text"]
        return answer


async def test_c11_requests_cross_processes_whichever_program_runs_the_workers(redis_url: str, prefix: str) -> None:
    """A client of an edge asks a worker, which asks a worker; one is ours, one is stock Dramatiq's."""
    environment = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix}
    with (
        process("gobroke_dist.cli", "edge", APP, says=r"ws://\S+", **environment) as (edge, said),
        process("gobroke_dist.cli", "worker", APP, "-Q", "pilgrim", says="worker is ready", **environment),
        process(
            *("dramatiq", APP, "-p", "1", "-t", "2", "-Q", "oracle"),
            says="is ready for action",
            says_then="processing",
            **environment,
        ),
    ):
        address = re.search(r"ws://[^\s,]+", said)
        assert address is not None
        async with aiohttp.ClientSession() as session, session.ws_connect(address[0]) as socket:
            assert (await socket.receive_json(timeout=5))["type"] == "welcome"
            await socket.send_str(json.dumps({"to_logic": "pilgrim", "data": None, "uuid": "q1", "ask": 20}))
            reply = await socket.receive_json(timeout=25)
        assert (reply["type"], reply["uuid"]) == ("reply", "q1")
        pilgrim, oracle = reply["data"]
        assert len({pilgrim, oracle, edge.pid}) == 3


async def test_o7_no_payload_is_logged_even_at_debug_level(redis_url: str, prefix: str) -> None:
    """What a client sends shows in no line of an edge or a worker, though its handler fails and all is logged."""
    environment = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix, "GOBROKE_LOG_LEVEL": "debug"}
    with (
        process("gobroke_dist.cli", "edge", APP, says=r"ws://\S+", never_says="the payload", **environment) as (
            _,
            said,
        ),
        process(
            *("gobroke_dist.cli", "worker", APP, "-t", "2"),
            says="worker is ready",
            says_then="Retries exceeded",
            never_says="the payload",
            **environment,
        ),
    ):
        address = re.search(r"ws://[^\s,]+", said)
        assert address is not None
        async with aiohttp.ClientSession() as session, session.ws_connect(address[0]) as socket:
            await socket.send_str(json.dumps({"to_logic": "fragile", "data": "the payload"}))
