"""Ways for clients to reach an edge. Imports gobroke_dist's public names only."""

from endpoints.websocket import WebSocketEndpoint

__all__ = ["WebSocketEndpoint"]
