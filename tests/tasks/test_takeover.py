from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.wire import channel
from tests.eventually import eventually_sync
from tests.tasks.sending import register, send

Start = Callable[[], subprocess.Popen[bytes]]
LEASE = 1.0


@pytest.fixture
def start(settings: Settings, client: redis.Redis, prefix: str) -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.tasks.program", str(settings.redis_url), prefix, str(LEASE)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        running.append(process)
        eventually_sync(lambda: str(process.pid).encode() in client.lrange(f"{prefix}:up", 0, -1), within=20)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(10)


@pytest.fixture
def log(client: redis.Redis, prefix: str) -> Callable[[str], list[str]]:
    """The names that were logged with a word: ``start`` or ``end``."""

    def read(word: str) -> list[str]:
        lines = [line.decode().split() for line in client.lrange(f"{prefix}:log", 0, -1)]
        return [line[1] for line in lines if line[0] == word]

    return read


def test_w5_sigterm_gives_unstarted_messages_back_to_their_place_within_a_second(
    broker: OrderedBroker, start: Start, log: Callable[[str], list[str]]
) -> None:
    first = start()
    for n in range(3):
        for key in range(8):
            send(broker, f"k{key}", n, sleep=1.5 if n == 0 and key < 4 else 0)
    broker.declare_queue("chat")
    eventually_sync(lambda: len(log("start")) == 4)
    start()
    first.terminate()
    began = time.monotonic()
    eventually_sync(lambda: "k7:2" in log("end"))
    assert time.monotonic() - began < 1.0, "the other four keys waited for the handlers that were running"
    assert first.wait(15) == 0
    eventually_sync(lambda: len(log("end")) == 24)
    ended = log("end")
    assert len(log("start")) == 24, "nothing ran twice"
    for key in range(8):
        assert [name for name in ended if name.startswith(f"k{key}:")] == [f"k{key}:{n}" for n in range(3)]


def test_w9_after_kill_9_the_keys_resume_elsewhere_in_order_within_the_bound(
    broker: OrderedBroker, start: Start, log: Callable[[str], list[str]], client: redis.Redis
) -> None:
    first = start()
    for key in range(8):
        for n in range(5):
            send(broker, f"k{key}", n, sleep=30 if n == 2 and not key else 0.01)
    eventually_sync(lambda: "k0:2" in log("start"))
    first.kill()
    began = time.monotonic()
    start()
    eventually_sync(lambda: log("start").count("k0:2") == 2, within=LEASE * 1.5 + 3)
    assert time.monotonic() - began < LEASE * 1.5 + 2  # most of it is the start of the process that takes over
    for key in range(1, 8):
        eventually_sync(lambda key=key: f"k{key}:4" in log("end"))
        ended = list(dict.fromkeys(name for name in log("end") if name.startswith(f"k{key}:")))
        assert ended == [f"k{key}:{n}" for n in range(5)]


def test_w9_a_takeover_keeps_its_bound_when_ten_thousand_others_die_in_the_same_instant(
    broker: OrderedBroker, start: Start, log: Callable[[str], list[str]], client: redis.Redis, prefix: str
) -> None:
    """Half of them worked on a queue that nobody consumes any more, and some died with messages in hand."""
    first = start()
    send(broker, "k", 0, sleep=30)
    eventually_sync(lambda: log("start") == ["k:0"])
    start()
    queues = [broker.keys("chat"), broker.keys("abandoned")]
    dead = [[f"dead-{queue.queue}-{n}" for n in range(5000)] for queue in queues]
    for n in range(200):
        send(broker, "others", n)
        for queue, names in zip(queues, dead, strict=True):
            client.sadd(queue.acks(names[n]), f"gone-{n}")
    first.kill()
    began = time.monotonic()
    for queue, names in zip(queues, dead, strict=True):
        for beats in (queue.heartbeats, queue.workers):
            client.zadd(beats, dict.fromkeys(names, int(time.time() * 1000)))
    eventually_sync(lambda: log("start").count("k:0") == 2, within=LEASE + 5)
    assert time.monotonic() - began < LEASE + 1.0
    eventually_sync(lambda: client.zcard(queues[0].workers) == 1)
    assert client.zcard(queues[1].workers) == 5000
    assert not any(client.exists(queues[0].acks(name)) for name in dead[0][:200])


def test_w7_a_process_killed_between_handler_and_commit_sends_once_in_the_end(
    broker: OrderedBroker, start: Start, log: Callable[[str], list[str]], client: redis.Redis, prefix: str
) -> None:
    with client.pubsub() as subscription:
        register(client, prefix, "n1", "c")
        subscription.subscribe(ClusterKeys(prefix).channel("n1").name)
        subscription.get_message(timeout=2)
        first = start()
        send(broker, "k", 0, die=True)
        send(broker, "k", 1)
        assert first.wait(10) == -signal.SIGKILL
        start()
        eventually_sync(lambda: log("end") == ["k:0", "k:1"], within=LEASE * 1.5 + 5)
        assert log("start") == ["k:0", "k:0", "k:1"]
        eventually_sync(lambda: not broker.do_qsize("chat"))
        heard = [subscription.get_message(timeout=0.5) for _ in range(3)]
    assert [channel.read(one["data"]).data for one in heard if one] == [b"k:0", b"k:1"]


def test_w8_a_stopped_process_that_comes_back_changes_nothing(
    broker: OrderedBroker, start: Start, log: Callable[[str], list[str]], client: redis.Redis, prefix: str
) -> None:
    with client.pubsub() as subscription:
        register(client, prefix, "n1", "c")
        subscription.subscribe(ClusterKeys(prefix).channel("n1").name)
        subscription.get_message(timeout=2)
        first = start()
        send(broker, "k", 0, sleep=0.5)
        send(broker, "k", 1)
        eventually_sync(lambda: log("start") == ["k:0"])
        first.send_signal(signal.SIGSTOP)
        start()
        eventually_sync(lambda: "k:1" in log("end"), within=LEASE * 1.5 + 5)
        first.send_signal(signal.SIGCONT)
        eventually_sync(lambda: log("end").count("k:0") == 2)
        send(broker, "k", 2)
        eventually_sync(lambda: "k:2" in log("end"))
        heard = [subscription.get_message(timeout=0.5) for _ in range(4)]
    assert [channel.read(one["data"]).data for one in heard if one] == [b"k:0", b"k:1", b"k:2"]
    eventually_sync(lambda: not broker.do_qsize("chat"))
