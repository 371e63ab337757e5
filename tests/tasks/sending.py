"""Sending to the logic of these tests."""

from __future__ import annotations

import json
import time
from typing import Any

import redis

from gobroke_dist.backends.registration import encode
from gobroke_dist.client import Client
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import Message
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker


def task(key: str | None, number: int, *, logic: str = "chat", uuid: str | None = None, **more: Any) -> Task:
    """A task whose payload holds its key and number."""
    raw = json.dumps({"key": key, "n": number, **more})
    return Task(logic, key, Message(to_logic=logic, message_raw=raw, uuid=uuid))


def register(client: redis.Redis, prefix: str, node: str, uuid: str) -> None:
    """A client of a node, as the registry keeps it."""
    keys = ClusterKeys(prefix)
    client.zadd(keys.members, {node: (time.time() + 3600) * 1000})
    client.hset(keys.clients, uuid, encode(Client(uuid=uuid, node=node, session="s")))


def send(broker: OrderedBroker, key: str | None, number: int, **more: Any) -> None:
    """Enqueue one from a thread."""
    broker.enqueue(to_dramatiq(task(key, number, **more)))
