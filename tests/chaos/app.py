"""The application under chaos: two logics, so that a commit reaches into another queue."""

from __future__ import annotations

from gobroke_dist.audit import AuditLogic
from gobroke_dist.audit.app import NoClients
from gobroke_dist.broke import Broke

broke = Broke(NoClients())
broke.add_logic(AuditLogic("audit", effects="effects"))
broke.add_logic(AuditLogic("effects"))
