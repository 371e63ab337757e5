"""What a test hands in, as an application."""

from __future__ import annotations

from collections.abc import Sequence

from gobroke_dist.broke import Broke
from gobroke_dist.endpoint import Gateway
from gobroke_dist.logic import LogicBase
from gobroke_dist.session import Session


def staged(what: Sequence[Broke | LogicBase]) -> Broke:
    """The application itself, or a new one with these logics. Raises ``TypeError``, or as ``Broke.add_logic``."""
    if len(what) == 1 and isinstance(what[0], Broke):
        return what[0]
    broke = Broke(_Nowhere())
    for logic in what:
        if isinstance(logic, Broke):
            raise TypeError("give one application, or logics, not both")
        broke.add_logic(logic)
    return broke


class _Nowhere:
    """An endpoint that no client reaches."""

    addresses: tuple[str, ...] = ()

    async def start(self, gateway: Gateway) -> None: ...
    async def stop(self) -> None: ...
    async def close(self, session: Session) -> None: ...
