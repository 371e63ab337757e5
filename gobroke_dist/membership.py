"""Which sessions of this node are in which groups."""

from __future__ import annotations

from collections.abc import Iterable


class Membership:
    """As the node's channel has told so far. What is asked of groups elsewhere, ``Groups`` knows."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, str]] = {}  # group -> session -> its client's uuid
        self._groups: dict[str, set[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def join(self, session: str, uuid: str, group: str) -> None:
        """A session of this client is in a group from now on."""
        self._members.setdefault(group, {})[session] = uuid
        self._groups.setdefault(session, set()).add(group)

    def leave(self, session: str, group: str) -> None:
        """A session is not in a group any more."""
        groups = self._groups.get(session, set())
        groups.discard(group)
        if not groups:
            self._groups.pop(session, None)
        self._remove(session, group)

    def leave_all(self, session: str) -> None:
        """A session is gone."""
        for group in self._groups.pop(session, ()):
            self._remove(session, group)

    def groups_of(self, session: str) -> frozenset[str]:
        """The groups of a session."""
        return frozenset(self._groups.get(session, ()))

    def members_of(self, groups: Iterable[str]) -> dict[str, str]:
        """The sessions that are in any of these groups, with their clients' uuids."""
        return {session: uuid for group in groups for session, uuid in self._members.get(group, {}).items()}

    def _remove(self, session: str, group: str) -> None:
        members = self._members.get(group, {})
        members.pop(session, None)
        if not members:
            self._members.pop(group, None)
