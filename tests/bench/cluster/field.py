"""Who takes part in the measurements of the cluster path."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.field import Program

OURS, BARE, SEED = "gobroke", "bare", "seed"
PEERS = ("socketio", "channels", "channels-list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant(Program):
    """One of those measured; ``module`` is in ``tests.bench.cluster.servers``.

    Attributes:
        dialect: how its clients speak, a name of ``tests.bench.cluster.load.dialects``; empty: it has no clients.
    """

    dialect: str = ""


_CHANNELS = ("channels_redis>=4.2", "aiohttp", "hiredis", "uvloop")

CLUSTER = {
    one.name: one
    for one in (
        Entrant(name=OURS, label="gobroke_dist", module="gobroke", dialect="gobroke"),
        Entrant(name=BARE, label="bare pub/sub hop, no clients", module="bare"),
        Entrant(
            name="socketio",
            label="python-socketio",
            module="socketio",
            requirements=("python-socketio>=5.11", "aiohttp", "redis", "hiredis", "uvloop"),
            dialect="socketio",
        ),
        Entrant(
            name="channels",
            label="channels_redis, pub/sub",
            module="channels",
            requirements=_CHANNELS,
            dialect="channels",
        ),
        Entrant(
            name="channels-list",
            label="channels_redis, lists",
            module="channels",
            requirements=_CHANNELS,
            environment=(("BENCH_CHANNELS", "list"),),
            dialect="channels",
        ),
        Entrant(name=SEED, label="the seed's way (a replica)", module="seed"),
    )
}
