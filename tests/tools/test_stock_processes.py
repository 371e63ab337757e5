"""Stock ``dramatiq`` with Dramatiq's Prometheus middleware, and with sentry-sdk's integration."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
import redis

from gobroke_dist import Message, Settings
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def stock(redis_url: str, prefix: str, **environment: str) -> Iterator[Path]:
    """``dramatiq tests.tools.program:broke``, with the file that holds its output."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        environment = {
            **os.environ,
            "GOBROKE_REDIS_URL": redis_url,
            "GOBROKE_PREFIX": prefix,
            "dramatiq_prom_db": f"{folder}/prometheus",
            **environment,
        }
        command = [sys.executable, "-m", "dramatiq", "tests.tools.program:broke", "-p", "1", "-t", "2"]
        with output.open("w") as written:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=written, stderr=written)
        try:
            eventually_sync(lambda: "ready for action" in output.read_text(), within=30)
            yield output
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, output.read_text()
        finally:
            process.kill()
            process.wait(30)


@pytest.fixture
def broker(redis_url: str, prefix: str) -> Iterator[OrderedBroker]:
    """The sending side, in this process."""
    made = OrderedBroker(Settings(redis_url=redis_url, prefix=prefix))
    made.declare_queue("fragile")
    yield made
    made.close()


def send(broker: OrderedBroker, raw: bytes) -> None:
    broker.enqueue(to_dramatiq(Task("fragile", "", Message(to_logic="fragile", message_raw=raw))))


def test_w1_w17_prometheus_counts_the_applications_messages(broker: OrderedBroker, redis_url: str, prefix: str) -> None:
    """Messages, errors and retries are counted, each retry once, under the name of the delay queue as Dramatiq does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with stock(redis_url, prefix, WITH_PROMETHEUS="1", dramatiq_prom_port=port, dramatiq_prom_host="127.0.0.1"):
        for raw in (b"fine", b"fail once", b"fine"):
            send(broker, raw)
        eventually_sync(lambda: broker.do_qsize("fragile") == 0, within=15)

        def counted() -> dict[str, float]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                page = answer.read().decode()
            found = re.findall(r'^dramatiq_(\w+)\{.*queue_name="fragile(?:\.DQ)?".*\} ([\d.]+)$', page, re.M)
            return {name: float(value) for name, value in found if not name.startswith("message_duration")}

        expected = {
            "messages_total": 4.0,
            "message_errors_total": 1.0,
            "message_retries_total": 1.0,
            "messages_inprogress": 0.0,
        }
        found: dict[str, float] = {}

        def settled() -> bool:
            found.update(counted())
            assert found.items() >= expected.items()
            return True

        eventually_sync(settled, within=10)


def test_w17_sentry_gets_the_failure_and_the_senders_trace(broker: OrderedBroker, redis_url: str, prefix: str) -> None:
    """sentry-sdk's integration finds its middleware in the broker, and reports what a logic raises."""
    with stock(redis_url, prefix, WITH_SENTRY="1") as output:
        send(broker, b"fail once")
        eventually_sync(lambda: "sentry: fragile: as told" in output.read_text(), within=15)


def test_w17_what_a_hook_adds_before_enqueueing_reaches_the_worker(broker: OrderedBroker, redis_url: str) -> None:
    """Tools such as sentry's add options to a message in before_enqueue; Redis holds them."""

    class Stamping(dramatiq.Middleware):
        def before_enqueue(self, broker: dramatiq.Broker, message: dramatiq.Message[None], delay: int | None) -> None:
            message.options["stamp"] = "seen"

    broker.add_middleware(Stamping())
    send(broker, b"fine")
    with redis.Redis.from_url(redis_url) as client:
        [payload] = client.hvals(broker.keys("fragile").messages)
    assert dramatiq.Message.decode(payload).options["stamp"] == "seen"
