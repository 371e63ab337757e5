"""The groups of a node's own clients."""

from __future__ import annotations

from gobroke_dist.membership import Membership


def test_c6_members_of_several_groups_are_found_once() -> None:
    """Who is in two of the groups is in the answer like anybody else."""
    membership = Membership()
    for session, uuid, group in (("1", "ann", "red"), ("1", "ann", "blue"), ("2", "ben", "blue"), ("3", "c", "green")):
        membership.join(session, uuid, group)
    assert membership.members_of(["red", "blue", "none"]) == {"1": "ann", "2": "ben"}
    assert membership.groups_of("1") == {"red", "blue"}


def test_c6_what_is_left_leaves_nothing_behind() -> None:
    """Groups and sessions that are gone take no room."""
    membership = Membership()
    for group in ("red", "blue"):
        membership.join("1", "ann", group)
    membership.join("2", "ben", "red")
    membership.leave("1", "red")
    membership.leave("1", "green")
    assert (membership.groups_of("1"), membership.members_of(["red"])) == ({"blue"}, {"2": "ben"})
    membership.leave_all("1")
    membership.leave_all("0")
    membership.leave("2", "red")
    assert not membership
    assert membership.members_of(["red", "blue"]) == {}
