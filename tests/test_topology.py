"""What a Redis URL says, and what is told who wrote a wrong one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gobroke_dist.settings import Settings
from gobroke_dist.topology import in_one_slot, read


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("redis://h", "redis://h:6379"),
        ("redis://u:p%40@h:1/2?client_name=x%26y", "redis://u:p%40@h:1/2?client_name=x%26y"),
        ("redis:///3", "redis://localhost:6379/3"),
        ("redis://[::1]:7", "redis://[::1]:7"),
        ("rediss://h/1", "redis://h:6379/1"),
        ("unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
    ],
)
def test_c9_one_server_is_passed_on_to_the_client_library(url: str, plain: str) -> None:
    found = read(url)
    assert (found.kind, found.url) == ("server", plain)
    assert found.tls == url.startswith("rediss")
    assert bool(found.seeds) != url.startswith("unix")


@pytest.mark.parametrize("tls", [False, True])
def test_c9_sentinels_and_nodes_of_a_cluster_are_listed_with_their_ports(tls: bool) -> None:
    scheme = "rediss" if tls else "redis"
    sentinel = read(f"{scheme}+sentinel://u:p@a:1,b,[::1]:3/2?master=main&client_name=x")
    assert (sentinel.kind, sentinel.tls, sentinel.master) == ("sentinel", tls, "main")
    assert sentinel.seeds == (("a", 1), ("b", 26379), ("::1", 3))
    assert sentinel.url == "redis://u:p@a:1/2?client_name=x"
    cluster = read(f"{scheme}+cluster://a,b:2")
    assert (cluster.kind, cluster.tls, cluster.seeds) == ("cluster", tls, (("a", 6379), ("b", 2)))


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://h", "write redis://"),
        ("h:6379", "write redis://"),
        ("redis+proxy://h", "write redis://"),
        ("redis:h", "write redis://"),
        ("unix+sentinel://h", "write redis://"),
        ("redis://a,b", "redis\\+sentinel://"),
        ("redis://a:port", "'a:port' is no number"),
        ("redis+sentinel://a", r"\?master=NAME"),
        ("redis://a/0?master=main", "redis\\+sentinel://"),
        ("redis+cluster://a/1", "database 0"),
        ("redis+cluster://a?db=2", "database 0"),
    ],
)
def test_c9_a_wrong_url_is_refused_with_what_to_write(url: str, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        Settings(redis_url=url)


def test_o7_a_refused_url_is_not_shown_with_its_password() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(redis_url="redis+sentinel://me:secret@h")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("prefix", "tagged"), [("app", "{app}"), ("{app}", "{app}"), ("a{b}c", "a{b}c"), ("{a}b}", "{a}b}")]
)
def test_c9_in_a_cluster_a_prefix_has_a_hash_tag(prefix: str, tagged: str) -> None:
    assert in_one_slot(prefix) == tagged
    assert Settings(redis_url="redis+cluster://h", prefix=prefix).prefix == tagged
    assert Settings(redis_url="redis://h", prefix=prefix).prefix == prefix


def test_c9_the_default_prefix_has_one_too() -> None:
    assert Settings(redis_url="redis+cluster://h").prefix == "{gobroke}"


@pytest.mark.parametrize("prefix", ["{}app", "a{b", "a}b", "}a{"])
def test_c9_braces_that_are_no_hash_tag_are_refused_in_a_cluster(prefix: str) -> None:
    with pytest.raises(ValidationError, match="hash tag"):
        Settings(redis_url="redis+cluster://h", prefix=prefix)
