"""What changes in groups, within one process."""

from __future__ import annotations

from gobroke_dist.clock import Clock
from gobroke_dist.groups import Change

_ALONE = 3.0
_NOTED_AFTERWARDS = 60.0


class Changes:
    """Notes changes for as long as somebody takes them, and some time longer.

    Args:
        clock: decides for how long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._holder = ""
        self._until = float("-inf")
        self._grace = 0.0
        self._number = 0
        self._log: list[Change] = []
        self._absent: dict[tuple[str, str], float] = {}

    def joined(self, group: str, uuid: str) -> None:
        """A client is a member now. Who is back in time has not been away."""
        if self._asked and self._absent.pop((group, uuid), None) is None:
            self._note(group, uuid, joined=True)

    def left(self, group: str, uuid: str, *, was_there: bool) -> None:
        """A client has been taken out of a group: one that was connected, or is not known to be gone."""
        if self._asked and (self._absent.pop((group, uuid), None) is not None or was_there):
            self._note(group, uuid, joined=False)

    def gone(self, group: str, uuid: str) -> None:
        """A member has gone without leaving."""
        if self._asked:
            self._absent[group, uuid] = self._clock.monotonic() + self._grace

    def take(self, node: str, done: int, grace: float) -> list[Change]:
        """As ``Groups.changes``."""
        now = self._clock.monotonic()
        if node != self._holder and self._until > now:
            return []
        self._holder, self._until, self._grace = node, now + _ALONE, grace
        self._log = [change for change in self._log if change.number > done]
        for (group, uuid), due in sorted(self._absent.items(), key=lambda item: item[1]):
            if due <= now:
                del self._absent[group, uuid]
                self._note(group, uuid, joined=False)
        return list(self._log)

    @property
    def _asked(self) -> bool:
        return self._until + _NOTED_AFTERWARDS > self._clock.monotonic()

    def _note(self, group: str, uuid: str, *, joined: bool) -> None:
        self._number += 1
        self._log.append(Change(self._number, joined, group, uuid))
