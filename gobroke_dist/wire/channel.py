"""What stands before a datum on a pub/sub channel.

The first byte says what it is; ``backends/redis/lua`` writes all but the second. ::

    \x01 token datum                         a request: 32 hexadecimal digits name where its answer goes
    \x02 epoch number previous \n flag datum  one of the channel's numbered data, and the number of the one before it
    \x03 epoch number everyone               what the last numbers are of the node's channel and of that of all nodes
"""

from __future__ import annotations

from typing import NamedTuple

from gobroke_dist.errors import FrameInvalid

_REQUEST, _POST, _PROBE = b"\x01", b"\x02", b"\x03"
_TOKEN = 32


class Request(NamedTuple):
    """A datum whose answer goes to ``token``."""

    token: str
    data: bytes


class Post(NamedTuple):
    """A datum with its number in the order of all channels.

    Attributes:
        epoch: of the numbers; Redis begins another one when it has lost some.
        number: grows from datum to datum.
        previous: the number of the channel's datum before this one; 0: there is none.
        data: the datum.
        complete: those of its clients that are not there have it from elsewhere.
    """

    epoch: str
    number: int
    previous: int
    data: bytes
    complete: bool = False

    @classmethod
    def of(cls, epoch: str, number: int, previous: int, body: bytes) -> Post:
        """From what the log holds of it: ``1`` or ``0``, for complete or not, and the datum."""
        return cls(epoch, number, previous, body[1:], body[:1] == b"1")


class Probe(NamedTuple):
    """The numbers of the last data of both channels of a node, when it was published."""

    epoch: str
    own: int
    everyone: int


def request(token: str, data: bytes) -> bytes:
    """A datum whose answer goes to ``token`` (32 hexadecimal digits)."""
    return _REQUEST + token.encode("ascii") + data


def read(payload: bytes) -> Request | Post | Probe:
    """What arrived. Raises ``FrameInvalid``."""
    kind, rest = payload[:1], payload[1:]
    try:
        if kind == _POST:
            head, _, body = rest.partition(b"\n")
            epoch, number, previous = head.split(b" ")
            return Post.of(epoch.decode("ascii"), int(number), int(previous), body)
        if kind == _REQUEST and len(rest) >= _TOKEN:
            return Request(rest[:_TOKEN].decode("ascii"), rest[_TOKEN:])
        if kind == _PROBE:
            epoch, own, everyone = rest.split(b" ")
            return Probe(epoch.decode("ascii"), int(own), int(everyone))
    except ValueError:  # UnicodeDecodeError is one
        pass
    raise FrameInvalid("not a datum of this version on the channel")
