"""An application that an edge of its own process loads."""

from __future__ import annotations

from endpoints import HTTPEndpoint
from gobroke_dist import Broke

broke = Broke([HTTPEndpoint(port=0)])
