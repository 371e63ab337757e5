"""Which of redis-py's errors are outages."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.backends.redis.errors import translate, translated
from gobroke_dist.errors import RedisUnavailable

OUTAGES = [
    RedisConnectionError("Error 111 connecting"),
    RedisTimeoutError("Timeout reading from socket"),
    OSError(9, "Bad file descriptor"),
    TimeoutError(),
    OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    ReadOnlyError("You can't write against a read only replica."),
    ResponseError("MISCONF Redis is configured to save RDB snapshots"),
    ResponseError("Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command not allowed"),
    ResponseError("NOREPLICAS Not enough good replicas to write."),
    ResponseError("BUSY Redis is busy running a script."),
]
BUGS = [
    ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
    ResponseError("ERR unknown command 'BUSYBODY'"),
    DataError("Invalid input of type: 'NoneType'"),
]


@pytest.mark.parametrize("error", OUTAGES, ids=str)
def test_c8_an_outage_says_to_try_again(error: Exception) -> None:
    with pytest.raises(RedisUnavailable) as caught, translated():
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", BUGS, ids=str)
def test_a_wrong_command_stays_a_bug(error: Exception) -> None:
    assert translate(error) is error
    with pytest.raises(type(error)), translated():
        raise error
