"""What Dramatiq sees of a lane."""

from __future__ import annotations

import time

import redis
from dramatiq.broker import Consumer, MessageProxy

from gobroke_dist.tasks.bell import DRAINING_SLICE, LONGEST_SLICE, Bell, pause_after
from gobroke_dist.tasks.lane import Lane
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.station import Station


class LaneConsumer(Consumer):
    """A consumer that never has a message for Dramatiq's threads.

    Args:
        lane: to wake when there is something to fetch.
        link: the way to Redis.
        station: this process as a worker.
        queue_name: which queue.
        timeout: milliseconds after which ``__next__`` answers None.
    """

    def __init__(self, lane: Lane, *, link: Link, station: Station, queue_name: str, timeout: int) -> None:
        self._lane = lane
        self._station = station
        self._desk = station.desk(queue_name)
        self._bell = Bell(link.blocking_client, link.keys(queue_name).bell, grace=link.settings.redis_timeout)
        self._slice = min(timeout / 1000, LONGEST_SLICE)
        self._grace = link.settings.drain_timeout
        self._rung = True
        self._failures = 0

    def __next__(self) -> MessageProxy | None:
        if self._station.draining.is_set():
            self._lane.wait_until_idle(self._grace)
            time.sleep(DRAINING_SLICE)
            return None
        try:
            self._listen()
            self._failures = 0
        except redis.RedisError:
            self._bell.close()
            self._rung = True
            self._failures += 1
            time.sleep(pause_after(self._failures, self._slice))
        return None

    def _listen(self) -> None:
        if self._rung:
            self._rung, answers = False, self._desk.answers
            self._lane.wake()
            self._desk.wait_for_answer(answers, self._slice)
        if not self._lane.wait_for_room(self._slice):
            return  # whatever rings is for others
        if not self._bell.armed:
            self._bell.arm(self._desk.due - time.monotonic())
        self._rung = self._bell.wait(self._slice)

    def ack(self, message: MessageProxy) -> None:
        """Never called: the lane settles."""

    def nack(self, message: MessageProxy) -> None:
        """Never called: the lane settles."""

    def close(self) -> None:
        """Stop listening; when the worker ends, end the lane as well."""
        self._bell.close()
        if self._station.draining.is_set():
            self._lane.close()
