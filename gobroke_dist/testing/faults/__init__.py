"""Faults for real connections and real processes."""

from gobroke_dist.testing.faults.program import Program
from gobroke_dist.testing.faults.proxy import Proxy
from gobroke_dist.testing.faults.thread import proxy_in_thread
from gobroke_dist.testing.faults.toll import Counts, Direction

__all__ = ["Counts", "Direction", "Program", "Proxy", "proxy_in_thread"]
