"""An application whose queues no other application's worker consumes."""

from __future__ import annotations

from gobroke_dist.audit import AuditLogic
from gobroke_dist.audit.app import NoClients
from gobroke_dist.broke import Broke

broke = Broke(NoClients())
broke.add_logic(AuditLogic("elsewhere"))
