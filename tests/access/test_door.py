"""How many come in (contract E3), under a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest

from gobroke_dist.access.door import SPARE, Door, Visit
from gobroke_dist.errors import TooManyConnections
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings


class Place:
    """A door, and its clock."""

    def __init__(self, **settings: Any) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self.door = Door(Settings(**settings), self.metrics, lambda: self.now)

    def come(self, address: str = "203.0.113.7", peer: str | None = None) -> Visit:
        visit = self.door.visit(peer or address)
        assert visit is not None
        visit.enter(address)
        return visit

    def refused(self, address: str = "203.0.113.7", peer: str | None = None) -> str:
        visit = self.door.visit(peer or address)
        assert visit is not None
        with pytest.raises(TooManyConnections) as caught:
            visit.enter(address)
        visit.leave()
        assert self.metrics.drops[caught.value.limit] > 0
        return caught.value.limit


def test_e3_a_full_node_lets_the_next_one_in_when_one_has_left() -> None:
    place = Place(max_connections=2)
    first, _second = place.come("203.0.113.1"), place.come("203.0.113.2")
    assert place.refused("203.0.113.3") == "node_full"
    first.leave()
    first.leave()
    place.come("203.0.113.3")
    assert place.refused("203.0.113.4") == "node_full"


def test_e3_a_full_address_costs_only_itself() -> None:
    place = Place(max_connections_per_address=2)
    first, _second = place.come(), place.come()
    assert place.refused() == "address_full"
    place.come("203.0.113.8")
    first.leave()
    place.come()
    assert place.refused() == "address_full"


def test_e3_behind_a_trusted_proxy_each_client_has_its_own_address() -> None:
    place = Place(max_connections_per_address=1, trusted_proxies="10.0.0.1")
    for number in range(50):
        place.come(f"203.0.113.{number}", peer="10.0.0.1")
    assert place.refused("203.0.113.7", peer="10.0.0.1") == "address_full"


def test_e3_who_comes_too_fast_is_told_when_to_come() -> None:
    place = Place(max_connects=10, connect_burst=3)
    visits = [place.come() for _ in range(3)]
    assert place.refused() == "connecting_too_fast"
    for visit in visits:
        visit.leave()
    assert place.refused() == "connecting_too_fast"
    place.now = 0.11
    place.come()
    assert place.refused() == "connecting_too_fast"


def test_e3_sockets_that_say_nothing_are_bounded_per_address_and_in_all() -> None:
    place = Place(max_connections=10, max_connections_per_address=5)
    silent = [place.door.visit("203.0.113.7") for _ in range(5)]
    assert place.door.visit("203.0.113.7") is None
    place.come("203.0.113.8")
    others = [place.door.visit(f"198.51.{n // 250}.{n % 250}") for n in range(10 + 1 + SPARE - 6)]
    assert None not in others
    assert place.door.visit("192.0.2.1") is None
    assert place.metrics.drops == {"address_full": 1, "node_full": 1}
    for visit in silent:
        assert visit is not None
        visit.leave()
    assert place.door.visit("203.0.113.7") is not None


def test_e3_a_client_without_a_socket_counts_as_one_and_takes_no_socket_s_place() -> None:
    place = Place(max_connections_per_address=2)
    seat = place.door.seat("203.0.113.7")
    sockets = [place.door.visit("203.0.113.7") for _ in range(2)]
    assert None not in sockets
    place.door.seat("203.0.113.7")
    with pytest.raises(TooManyConnections):
        place.door.seat("203.0.113.7")
    assert (place.door.inside, place.metrics.drops["address_full"]) == (2, 1)
    seat.leave()
    seat.leave()
    assert place.door.inside == 1
    place.door.seat("203.0.113.7")


def test_nothing_is_kept_of_who_has_left() -> None:
    place = Place()
    visits = [place.come(f"203.0.113.{number}") for number in range(100)]
    waiting = [place.door.visit(f"203.0.113.{number}") for number in range(100)]
    for visit in (*visits, *waiting):
        assert visit is not None
        visit.leave()
    assert (place.door.inside, place.door._sockets) == (0, 0)
    assert not place.door.by_site
    assert not place.door._waiting


def test_nought_is_no_limit() -> None:
    place = Place(max_connections=0, max_connections_per_address=0, max_connects=0)
    for _ in range(5000):
        place.come()
