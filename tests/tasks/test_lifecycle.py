from __future__ import annotations

import asyncio

import pytest

from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.lifecycle import WorkerLifecycle, start_worker
from tests.tasks.conftest import Chat, Journal, declare
from tests.tasks.sending import send


def test_w6_a_worker_whose_boot_fails_takes_no_message_and_ends(settings: Settings) -> None:
    """Dramatiq goes on after most errors at boot; such a process would fail all it takes until it is dead."""
    broker, journal = OrderedBroker(settings), Journal()

    def boot(loop: asyncio.AbstractEventLoop) -> None:
        raise RedisUnavailable("it was cut off")

    broker.add_middleware(WorkerLifecycle(boot=boot, shutdown=lambda: None))
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]), Chat())
    send(broker, "k", 0)
    with pytest.raises(RedisUnavailable, match="cut off"):
        start_worker(broker, threads=1)
    assert not journal.entries
    assert not broker.client.hlen(broker.keys("chat").deliveries)
    assert broker.do_qsize("chat") == 1
    broker.close()
