"""Which server takes an application's writes, where others know it: Sentinels, or the nodes of a Cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from gobroke_dist.topology import Address, Topology


class Primary:
    """Where the primary was found last, and whom to ask where it is now.

    Shared by connections that are to move together: what one of them finds, the others learn. It does no I/O itself,
    and any thread may use it.

    Args:
        topology: of Sentinels or of a Cluster.
        prefix: of all keys; in a Cluster it has a hash tag.
        options: for connections to those who are asked.

    Attributes:
        address: where it was found last; None: nobody has asked.
        question: the command that those who are asked answer.
        tls: whether connections to them are encrypted.
    """

    def __init__(self, topology: Topology, prefix: str, options: Mapping[str, Any]) -> None:
        self.address: Address | None = None
        self.tls = topology.tls
        self._options = options
        self._master = topology.master
        self._slot = key_slot(prefix.encode())
        self._seeds = topology.seeds
        self._asked = list(topology.seeds)
        self.question: tuple[str, ...] = ("CLUSTER", "SLOTS")
        if topology.kind == "sentinel":
            self.question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", topology.master)

    def whom_to_ask(self) -> Sequence[Address]:
        """Those who may know, in the order in which they are to be asked."""
        return tuple(self._asked)

    def options_for(self, asked: Address) -> Mapping[str, Any]:
        """For a connection to one of them."""
        host, port = asked
        return {**self._options, "host": host, "port": port}

    @contextmanager
    def doubted_on_error(self) -> Iterator[None]:
        """Around asking whom is first, and around what its answer is used for: if that fails, it is asked last."""
        try:
            yield
        except BaseException:  # also when a trip's time is up: the next trip begins with another
            first, *others = self._asked
            self._asked = [*others, first]
            raise

    def learn(self, asked: Address, answer: Any) -> Address:
        """Where the primary is, by the answer of one of them. Raises redis-py's ``ConnectionError``: that is none."""
        self.address = self._named(answer) if self._master else self._owner(asked, answer)
        return self.address

    def lost(self, failures: Mapping[Address, Exception]) -> Exception:
        """What to raise when nobody could tell."""
        said = "; ".join(f"{host}:{port}: {error}" for (host, port), error in failures.items())
        return RedisConnectionError(f"nobody tells where the primary is ({said})")

    def _named(self, answer: Any) -> Address:
        if not answer:
            raise RedisConnectionError(f"this Sentinel watches no primary named {self._master!r}")
        host, port = answer
        return host.decode(), int(port)

    def _owner(self, asked: Address, slots: Any) -> Address:
        known = {*self._seeds, *(_address(asked, node) for _, _, *nodes in slots for node in nodes)}
        self._asked = [one for one in self._asked if one in known] + sorted(known.difference(self._asked))
        for first, last, owner, *_ in slots:
            if first <= self._slot <= last:
                return _address(asked, owner)
        raise RedisConnectionError(f"no node of the Cluster serves slot {self._slot}")


def check_role(role: Any, address: Address) -> None:
    """Raises redis-py's ``ConnectionError`` unless ``ROLE`` was answered by a primary."""
    if role[0] != b"master":
        raise RedisConnectionError(f"{address[0]}:{address[1]} is no primary yet, or no longer")


def _address(asked: Address, node: Any) -> Address:
    """A node's address. One that does not know its own host is where it was asked."""
    host = node[0].decode() if node[0] else ""
    return (asked[0] if host in {"", "?"} else host), int(node[1])
