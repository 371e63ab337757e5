"""For tests of applications: a cluster in memory, and faults for real connections and processes. ::

    from gobroke_dist.testing import Cluster

With pytest, the fixture ``gobroke_cluster`` gives the same; see ``docs/how-to/test.md``.
"""

from gobroke_dist.testing.client import MemoryClient
from gobroke_dist.testing.clock import FakeClock
from gobroke_dist.testing.cluster import Cluster
from gobroke_dist.testing.memory.letters import DeadLetter

__all__ = ["Cluster", "DeadLetter", "FakeClock", "MemoryClient"]
