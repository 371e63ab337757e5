"""Ways for clients to reach an edge. Imports gobroke_dist's public names only.

None of this imports an HTTP server: a worker that loads the application has no use for one.
"""

from endpoints.channel import ChannelEndpoint
from endpoints.framing import Framing, LengthPrefix, Lines
from endpoints.http import HTTPEndpoint
from endpoints.stub import StubEndpoint
from endpoints.tcp import TCPEndpoint
from endpoints.udp import UDPEndpoint
from endpoints.websocket import WebSocketEndpoint

__all__ = [
    "ChannelEndpoint",
    "Framing",
    "HTTPEndpoint",
    "LengthPrefix",
    "Lines",
    "StubEndpoint",
    "TCPEndpoint",
    "UDPEndpoint",
    "WebSocketEndpoint",
]
