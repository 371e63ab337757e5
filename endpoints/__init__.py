"""Ways for clients to reach an edge. Imports gobroke_dist's public names only.

None of this imports an HTTP server: a worker that loads the application has no use for one.
"""

from endpoints.channel import ChannelEndpoint
from endpoints.stub import StubEndpoint
from endpoints.websocket import WebSocketEndpoint

__all__ = ["ChannelEndpoint", "StubEndpoint", "WebSocketEndpoint"]
