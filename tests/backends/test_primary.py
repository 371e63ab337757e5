"""Where the primary is, by the answers of others."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from gobroke_dist.backends.redis.errors import not_the_primary
from gobroke_dist.backends.redis.primary import Primary, check_role
from gobroke_dist.topology import read

SENTINELS = "redis+sentinel://a:1,b:2,c:3?master=main"
CLUSTER = "redis+cluster://a:1,b:2"
SLOTS: list[Any] = [
    [0, 8191, [b"10.0.0.1", 6379, b"id1"], [b"10.0.0.4", 6379, b"id4"]],
    [8192, 16383, [b"10.0.0.2", 6379, b"id2"]],
]


def primary(url: str, prefix: str = "{foo}") -> Primary:
    return Primary(read(url), prefix, {"socket_timeout": 1})


def test_c9_a_sentinel_names_the_primary() -> None:
    one = primary(SENTINELS)
    assert one.question == ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
    assert one.learn(("a", 1), [b"10.0.0.9", b"6380"]) == ("10.0.0.9", 6380)
    assert one.address == ("10.0.0.9", 6380)
    with pytest.raises(RedisConnectionError, match="'main'"):
        one.learn(("b", 2), None)


@pytest.mark.parametrize(("prefix", "owner"), [("{foo}", ("10.0.0.2", 6379)), ("{bar}", ("10.0.0.1", 6379))])
def test_c9_a_node_of_the_cluster_names_the_owner_of_the_slot(prefix: str, owner: tuple[str, int]) -> None:
    """The slot is that of the hash tag: 12182 of foo, 5061 of bar, as the Cluster specification has them."""
    assert primary(CLUSTER, prefix).learn(("a", 1), SLOTS) == owner


def test_c9_a_slot_that_nobody_serves_is_an_outage() -> None:
    with pytest.raises(RedisConnectionError, match="slot 12182"):
        primary(CLUSTER).learn(("a", 1), SLOTS[:1])


@pytest.mark.parametrize("host", [b"", None, b"?"])
def test_c9_a_node_that_does_not_know_its_host_is_where_it_was_asked(host: bytes | None) -> None:
    assert primary(CLUSTER).learn(("a", 1), [[0, 16383, [host, 7000, b"id"]]]) == ("a", 7000)


def test_c9_who_is_of_no_use_is_asked_last() -> None:
    one = primary(SENTINELS)
    with pytest.raises(TimeoutError), one.doubted_on_error():
        raise TimeoutError
    assert one.whom_to_ask() == (("b", 2), ("c", 3), ("a", 1))


def test_c9_nodes_are_learned_and_forgotten_with_the_cluster_s_answers() -> None:
    """Those of the URL stay: they may be all that is left."""
    one = primary(CLUSTER)
    one.learn(("a", 1), SLOTS)
    assert set(one.whom_to_ask()) == {("a", 1), ("b", 2), *((f"10.0.0.{n}", 6379) for n in (1, 2, 4))}
    one.learn(("a", 1), [[0, 16383, [b"10.0.0.5", 6379, b"id5"]]])
    assert set(one.whom_to_ask()) == {("a", 1), ("b", 2), ("10.0.0.5", 6379)}


def test_c9_a_replica_is_not_taken_for_the_primary() -> None:
    check_role([b"master", 0, []], ("h", 1))
    with pytest.raises(RedisConnectionError, match="h:1"):
        check_role([b"slave", b"h2", 1, b"connected", 0], ("h", 1))


OTHERS = [
    ReadOnlyError("You can't write against a read only replica."),
    ResponseError("Error running script (call to f_0): @user_script:1: @user_script: 1: -READONLY You can't write"),
    MovedError("12182 10.0.0.2:6379"),
    AskError("12182 10.0.0.2:6379"),
    ClusterDownError("The cluster is down"),
    TryAgainError("Multiple keys request during rehashing of slot"),
    ResponseError("NOREPLICAS Not enough good replicas to write."),
    ResponseError("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"),
]


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_c9_what_a_server_says_that_is_not_the_primary(error: ResponseError) -> None:
    assert not_the_primary(error)


@pytest.mark.parametrize("text", ["WRONGTYPE Operation against a key", "OOM command not allowed", "ERR READONLYISH"])
def test_c9_other_refusals_leave_the_connection_alone(text: str) -> None:
    assert not not_the_primary(ResponseError(text))
