"""Where Redis is, as a URL says it.

::

    redis://[user:password@]host[:port][/db]                           one server
    unix:///path/to/redis.sock[?db=0]                                  one server on this machine
    redis+sentinel://[user:password@]host[:port],...[/db]?master=name  the primary that these Sentinels name
    redis+cluster://[user:password@]host[:port],...                    the primary of our slot in a Cluster

``rediss`` in the place of ``redis`` is the same with TLS. Further options after the ``?`` are redis-py's, such as
``client_name`` and ``ssl_check_hostname``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

Kind = Literal["server", "sentinel", "cluster"]
Address = tuple[str, int]

_KINDS: dict[str, Kind] = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}
_PORTS: dict[Kind, int] = {"server": 6379, "sentinel": 26379, "cluster": 6379}
_EXPECTED = (
    "write redis://host:6379/0, unix:///path/to/redis.sock, redis+sentinel://host:26379,host:26379/0?master=name or "
    "redis+cluster://host:6379,host:6379, with rediss in the place of redis for TLS"
)


@dataclass(frozen=True, slots=True)
class Topology:
    """What a URL says.

    Attributes:
        kind: whom the URL names: the server itself, Sentinels, or nodes of a Cluster.
        tls: whether connections are encrypted.
        seeds: the servers that the URL names; none of a Unix socket.
        master: the name by which Sentinels know the primary, else empty.
        url: for redis-py: with the first of the servers alone, and without TLS.
    """

    kind: Kind
    tls: bool
    seeds: tuple[Address, ...]
    master: str
    url: str


def read(url: str) -> Topology:
    """Raises ``ValueError`` if nobody can be asked at such a URL; the text says what to write, and no password."""
    parts = urlsplit(url)
    scheme, _, name = parts.scheme.partition("+")
    kind = _KINDS.get(name)
    if scheme == "unix" and kind == "server":
        return Topology("server", tls=False, seeds=(), master="", url=url)
    if scheme not in {"redis", "rediss"} or kind is None or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(f"a Redis URL can't begin with {parts.scheme or url[:10]!r}: {_EXPECTED}")
    login, at, hosts = parts.netloc.rpartition("@")
    seeds = tuple(_address(host, _PORTS[kind]) for host in hosts.split(","))
    if kind == "server" and len(seeds) > 1:
        raise ValueError(f"redis:// names one server, and this URL names {len(seeds)}: {_EXPECTED}")
    query = parse_qsl(parts.query)
    master = _master(query, kind)
    if kind == "cluster" and _database(parts, query) not in {"", "0"}:
        raise ValueError("a Redis Cluster has database 0 only: end the URL after the last host")
    rest = urlencode([(option, value) for option, value in query if option != "master"])
    server = f"[{seeds[0][0]}]:{seeds[0][1]}" if ":" in seeds[0][0] else f"{seeds[0][0]}:{seeds[0][1]}"
    plain = urlunsplit(("redis", f"{login}{at}{server}", parts.path, rest, ""))
    return Topology(kind, tls=scheme == "rediss", seeds=seeds, master=master, url=plain)


def in_one_slot(prefix: str) -> str:
    """The prefix as a Cluster needs it: with a hash tag, which puts all keys that begin with it on one node.

    Raises:
        ValueError: it has braces, but no hash tag.
    """
    tag, closed, _ = prefix.partition("{")[2].partition("}")
    if tag and closed:
        return prefix
    if "{" in prefix or "}" in prefix:
        clean = prefix.replace("{", "").replace("}", "") or "myapp"
        raise ValueError(
            f"in a Redis Cluster the prefix needs a hash tag, and {prefix!r} has none: write '{{{clean}}}'"
        )
    return f"{{{prefix}}}"


def _address(text: str, port: int) -> Address:
    parts = urlsplit(f"//{text}")
    try:
        found = parts.port
    except ValueError:
        raise ValueError(f"the port in {text!r} is no number from 0 to 65535: {_EXPECTED}") from None
    return parts.hostname or "localhost", port if found is None else found


def _master(query: list[tuple[str, str]], kind: Kind) -> str:
    master = dict(query).get("master", "")
    if kind == "sentinel" and not master:
        raise ValueError(
            "Sentinels know a primary by its name: end the URL with ?master=NAME, as in their sentinel.conf"
        )
    if kind != "sentinel" and master:
        raise ValueError(
            "master= is what Sentinels are asked for: begin the URL with redis+sentinel:// if it names them"
        )
    return master


def _database(parts: SplitResult, query: list[tuple[str, str]]) -> str:
    return dict(query).get("db") or parts.path.strip("/")
