"""An application that can only be audited: ``gobroke worker gobroke_dist.audit.app:broke``."""

from __future__ import annotations

from gobroke_dist.audit.logic import AsyncAuditLogic, AuditLogic
from gobroke_dist.broke import Broke
from gobroke_dist.endpoint import Gateway
from gobroke_dist.session import Session


class NoClients:
    """An endpoint that nobody can connect to."""

    addresses: tuple[str, ...] = ()

    async def start(self, gateway: Gateway) -> None:
        """Nothing listens."""

    async def stop(self) -> None:
        """Nothing listened."""

    async def close(self, session: Session) -> None:
        """There are no sessions."""


broke = Broke(NoClients())
broke.add_logic(AuditLogic())
broke.add_logic(AsyncAuditLogic())
