"""``gobroke audit`` against worker processes: good ones, hurt ones, broken ones, and none."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gobroke_dist.embedded import EmbeddedRedis
from tests.audit.running import APP, ROOT, Workers, audit
from tests.chaos.sabotage import VARIABLE
from tests.eventually import eventually_sync

SMALL = ("--keys", "8", "--messages", "5", "--work", "2", "--failing", "0.2")
SPREAD = ("--keys", "40", "--messages", "16", "--work", "120", "--rate", "100")
"""Six seconds, in which a worker always has messages in its hands."""


@pytest.fixture
def workers(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(redis_url, prefix, tmp_path)
    yield made
    made.stop()


# --- good ------------------------------------------------------------------------


def test_w2_a_deployment_that_keeps_its_promises_is_exit_code_0(
    workers: Workers, client: redis.Redis, prefix: str
) -> None:
    """Tables for people, how far it is on standard error, and nothing left in Redis."""
    workers.start()
    ended = audit(*SMALL, environment=workers.environment)
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.rstrip().endswith("Nothing is wrong.")
    assert re.search(r"messages +40 +for audit, async_audit", ended.out)
    assert re.search(r"worker processes +[12]\b", ended.out), "one may be quick enough to handle all"
    for kind in ("lost", "duplicate", "inversion", "overlap", "doubled"):
        assert re.search(rf"^{kind} +0 ", ended.out, re.M)
    assert ended.err.splitlines()[-1].endswith("40 of 40 accepted, 40 finished")
    assert not client.keys(f"{prefix}:audit:*")


def test_the_result_as_json_is_one_object_and_nothing_else(workers: Workers, tmp_path: Path) -> None:
    """The numbers are those of what was asked for, and the whole record is kept."""
    workers.start(1)
    record = tmp_path / "record"
    ended = audit(*SMALL, "--logic", "async_audit", "--json", "--save", str(record), environment=workers.environment)
    assert (ended.code, ended.err) == (0, ""), ended.out + ended.err
    found = ended.json
    assert (found["good"], found["logics"], found["sent"], found["keys"]) == (True, ["async_audit"], 40, 8)
    assert found["raised"] == found["again"] == found["runs"] - 40 > 0
    assert found["latency_ms"]["count"] == found["effect_latency_ms"]["count"] == 40
    assert (found["by_key"], found["violations"], found["takeovers"], found["notes"]) == ({}, [], [], [])
    assert len(found["workers"]) == 1
    lines = record.read_text().splitlines()
    assert sum('["Sent",' in line for line in lines) == 40
    assert sum('["Started",' in line for line in lines) == found["runs"]


def test_a_terminal_gets_bars(workers: Workers) -> None:
    workers.start(1)
    ours, theirs = pty.openpty()
    words = (sys.executable, "-m", "gobroke_dist.cli", "audit", APP, *SMALL, "--json")
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **workers.environment, "TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.PIPE, stderr=theirs, close_fds=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown: list[bytes] = []
        reading = threading.Thread(target=_read_all, args=(ours, shown))
        reading.start()
        out, _ = process.communicate(timeout=60)
        reading.join(10)
    os.close(ours)
    assert process.returncode == 0
    assert out.startswith(b"{")
    assert re.search(rb"finished.*40/40", b"".join(shown))


def _read_all(descriptor: int, into: list[bytes]) -> None:
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # the other side is closed
            return
        if not data:
            return
        into.append(data)


# --- hurt ------------------------------------------------------------------------


def test_w9_workers_that_are_killed_and_paused_lose_and_double_nothing(workers: Workers) -> None:
    """One is killed, one is stopped beyond its lease; what a command could not do is said."""
    workers.start(3)
    victim, sleeper = (workers.processes[place].pid for place in (0, 1))
    threading.Thread(target=workers.processes[0].wait).start()  # a process that nobody waits for can be killed again
    kill = f"sh -c 'kill -9 {victim}'"
    pause = f"sh -c 'kill -STOP {sleeper}; sleep 2.5; kill -CONT {sleeper}'"
    ended = audit(
        *(*SPREAD, "--kill-cmd", kill, "--kill-cmd", pause, "--kill-every", "1", "--takeover-bound", "4", "--json"),
        environment=workers.environment,
    )
    assert ended.code == 0, ended.out + ended.err
    found = ended.json
    assert found["sent"] == 640
    assert found["disturbances"][kill] == 1, "it can be killed once"
    assert found["disturbances"][pause] >= 1
    assert any(f"{kill!r} ended with code 1" in note for note in found["notes"])
    assert found["recovered"] > 0
    assert found["refused"] > 0, "the one that woke up tried to commit"
    assert found["takeover_ms"]["count"] > 0
    slowest = found["takeovers"][0]
    assert slowest["from_worker"].endswith((f":{victim}", f":{sleeper}"))
    assert slowest["key"].startswith("k000")
    assert 500 < found["takeover_ms"]["max"] < 4000


def test_w9_a_takeover_beyond_the_bound_is_exit_code_1(workers: Workers) -> None:
    workers.start(2)
    kill = f"sh -c 'kill -9 {workers.processes[0].pid}'"
    ended = audit(
        *("--keys", "20", "--messages", "12", "--work", "300", "--rate", "50", "--kill-cmd", kill, "--kill-every", "3"),
        *("--takeover-bound", "0.01", "--json"),
        environment=workers.environment,
    )
    assert ended.code == 1, ended.out + ended.err
    found = ended.json
    assert found["late"] > 0
    assert {one["kind"] for one in found["violations"]} == {"late"}


def test_kills_that_never_happen_are_exit_code_5(workers: Workers) -> None:
    """Nothing is wrong, and nothing of what was asked has been shown."""
    workers.start(1)
    ended = audit(*SMALL, "--kill-cmd", "false", "--kill-every", "0.1", environment=workers.environment)
    assert ended.code == 5
    assert "Note: no message was cut short" in ended.out
    assert ended.err.splitlines()[-1].startswith("gobroke: no --kill-cmd ended well")


# --- broken ----------------------------------------------------------------------


def test_w2_a_deployment_without_one_head_per_key_is_exit_code_1_and_its_keys_are_named(
    workers: Workers, tmp_path: Path
) -> None:
    """The guard that keeps a key's messages apart is taken out of the workers' and the sender's scripts."""
    broken = {**workers.environment, VARIABLE: "order"}
    workers.start(2, program=("tests.chaos.worker", str(tmp_path)), **{VARIABLE: "order"})
    words = ("--keys", "4", "--messages", "30", "--work", "20")
    command = [sys.executable, "-m", "tests.chaos.worker", str(tmp_path), "audit", APP, *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **broken}, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("Something is wrong.")
    (titles,) = re.findall(r"^Key .*$", done.stdout, re.M)
    row = next(line for line in done.stdout.splitlines() if line.startswith("k00000 "))
    counts = dict(zip(titles.split()[1:], map(int, row.split()[1:]), strict=True))
    assert counts["inversion"] > 0
    assert counts["overlap"] > 0
    assert re.search(r"^inversion k\d{5}: message \d+ \(fence \d+\) was started before", done.stdout, re.M)


# --- not to be tried -------------------------------------------------------------


def test_without_a_worker_it_is_exit_code_5(redis_url: str, prefix: str) -> None:
    ended = audit("--redis-url", redis_url, "--prefix", prefix, environment={})
    assert ended.code == 5
    assert f"no worker runs with the prefix '{prefix}'" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_worker_of_other_queues_only_is_exit_code_5(workers: Workers) -> None:
    workers.start(1)
    ended = audit(
        *SMALL, "--patience", "1", app="tests.audit.elsewhere:broke",
        environment=workers.environment,
    )  # fmt: skip
    assert ended.code == 5
    assert "no handler wrote anything down" in ended.err


@pytest.mark.parametrize("where", [("--redis-url", "redis://:secret@127.0.0.1:1/0"), ("--data-dir", "/no/such/dir")])
def test_a_redis_out_of_reach_is_exit_code_3(where: tuple[str, str]) -> None:
    ended = audit(*where, environment={})
    assert ended.code == 3
    assert ended.err.startswith("gobroke: no Redis answers at")
    assert len(ended.err.splitlines()) == 1
    assert "secret" not in ended.err


@pytest.mark.parametrize(
    ("app", "words", "why"),
    [
        ("tests.roles.sample:broke", (), "no audited logic; add one: broke.add_logic(gobroke_dist.audit.AuditLogic())"),
        (APP, ("--logic", "audits"), "no audited logic is named 'audits'; there are audit, async_audit"),
        (APP, ("--kill-cmd", "no-such-program worker-1"), "there is no program 'no-such-program'"),
        (APP, ("--takeover-bound", "3"), "--takeover-bound needs a --kill-cmd"),
        (APP, ("--save", "/no/such/folder/record"), "/no/such/folder/record: No such file or directory"),
        ("no.such.module:broke", (), "there is no module"),
    ],
)
def test_what_can_not_be_understood_is_exit_code_2(
    app: str, words: tuple[str, ...], why: str, redis_url: str, prefix: str
) -> None:
    ended = audit(*words, app=app, environment={"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix})
    assert (ended.code, len(ended.err.splitlines())) == (2, 1), ended.err
    assert why in ended.err


def test_a_redis_that_goes_away_in_the_middle_is_exit_code_3_and_the_record_is_kept(
    prefix: str, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        server = EmbeddedRedis(Path(folder))
        workers = Workers(server.start(), prefix, tmp_path)
        try:
            workers.start(1)
            record = tmp_path / "record"
            words = ("--work", "50", "--rate", "50", "--patience", "1", "--save", str(record))
            with subprocess.Popen(
                [sys.executable, "-m", "gobroke_dist.cli", "audit", APP, *words], cwd=ROOT, text=True,
                env={**os.environ, **workers.environment, "GOBROKE_REDIS_TIMEOUT": "0.5"},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            ) as process:  # fmt: skip
                with redis.Redis.from_url(server.url) as client:
                    eventually_sync(lambda: client.keys(f"{prefix}:audit:*"), within=30)
                server.stop()
                out, err = process.communicate(timeout=60)
        finally:
            workers.stop()
            server.stop()
    assert process.returncode == 3, err
    assert "Traceback" not in out + err
    assert err.splitlines()[-1].startswith("gobroke: Redis is unavailable")
    assert '["Sent",' in record.read_text()


def test_the_help_says_what_to_add_and_where_to_read_on() -> None:
    ended = audit("--help", environment={"COLUMNS": "200"}, app="x")
    for word in ("AuditLogic()", "AsyncAuditLogic()", "gobroke_dist.audit.app:broke", "docs/how-to/audit.md"):
        assert word in ended.out
    assert (ROOT / "docs/how-to/audit.md").exists()
