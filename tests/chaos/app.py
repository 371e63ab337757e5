"""The application under chaos: handlers of both colours, and one more queue that their commits reach into."""

from __future__ import annotations

from gobroke_dist.audit import AsyncAuditLogic, AuditLogic
from gobroke_dist.audit.app import NoClients
from gobroke_dist.broke import Broke

broke = Broke(NoClients())
broke.add_logic(AuditLogic("audit", effects="effects"))
broke.add_logic(AsyncAuditLogic("async_audit", effects="effects"))
broke.add_logic(AuditLogic("effects"))
