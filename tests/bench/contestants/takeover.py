"""gobroke_dist's worker process, to be killed in the middle of a handler."""

from __future__ import annotations

import os
import time

import redis

from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message
from gobroke_dist.runtime import Application
from gobroke_dist.settings import Settings
from gobroke_dist.worker import WorkerRole, run_worker
from tests.bench.contestants.roles import main
from tests.bench.job import Job

LOGIC = "bench"
_WORK, _HOLD = 0.1, 120.0


def settings(job: Job) -> Settings:
    """The job's prefix and lease; all else is the default."""
    lease = {"worker_lease": job.lease} if job.lease else {}
    return Settings(redis_url=job.url, prefix=job.prefix, threads=job.threads, **lease)


def work(job: Job) -> None:
    """One worker process. A message ``held`` says when it starts and, the first time, does not end."""
    log = redis.Redis.from_url(job.url)

    class Bench(LogicBase):
        name, logic_type = LOGIC, LogicType.WORKER

        def run_logic(self, message: Message) -> None:
            if message.message_raw != b"held":
                time.sleep(_WORK)
                return
            now = time.monotonic()
            if log.rpush(f"{job.prefix}:starts", f"{os.getpid()} {now}") == 1:
                time.sleep(_HOLD)

    logic, chosen = Bench(), settings(job)
    role = WorkerRole(Application(logics={LOGIC: logic}), chosen)
    role.declare(logic)
    run_worker(role, chosen, ready=lambda: log.rpush(f"{job.prefix}:ready", os.getpid()))


if __name__ == "__main__":
    main({"work": work})
