"""Whose address counts (contract E3)."""

from __future__ import annotations

import pytest

from gobroke_dist.access.addresses import networks, origin, site
from gobroke_dist.settings import Settings

PROXIES = networks("10.0.0.0/8, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.7"], "203.0.113.7"),  # the first is what the client made up
        ("10.0.0.1", ["10.9.9.9, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7, nonsense"], "10.0.0.1"),
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),  # nobody whom we trust says so
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_e3_the_last_hop_that_is_no_trusted_proxy_counts(peer: str, forwarded: list[str], found: str) -> None:
    assert origin(peer, forwarded, PROXIES) == found


def test_e3_by_default_nobody_is_believed() -> None:
    assert origin("10.0.0.1", ["203.0.113.7"], networks(Settings().trusted_proxies)) == "10.0.0.1"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
    ],
)
def test_e3_what_one_customer_can_choose_from_is_one_address(one: str, other: str, same: bool) -> None:
    assert (site(one) == site(other)) is same


def test_a_setting_that_names_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        Settings(trusted_proxies="10.0.0.0/8,load-balancer")
