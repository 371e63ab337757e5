from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import redis
from pydantic import ValidationError

from gobroke_dist.backends.redis import overview
from gobroke_dist.cli.options import as_environment
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.keys import QueueKeys
from gobroke_dist.settings import Settings, effective
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
APP = "tests.roles.sample:broke"
NOWHERE = "redis://:secret@127.0.0.1:1/0"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "gobroke_dist.cli", *words]


def done(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


class Running:
    """A command that runs, with what it has printed so far."""

    def __init__(self, output: IO[str], process: subprocess.Popen[str]) -> None:
        self.process = process
        self._output = output

    @property
    def said(self) -> str:
        self._output.seek(0)
        return self._output.read()

    def await_saying(self, text: str) -> str:
        def said() -> bool:
            assert self.process.poll() is None, self.said
            return text in self.said

        eventually_sync(said, within=30)
        return self.said

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def running(*words: str, **environment: str) -> Iterator[Running]:
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command(*words), cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output, text=True
        )
        try:
            yield Running(output, process)
        finally:
            process.kill()
            process.wait(30)


@pytest.fixture
def folder() -> Iterator[str]:
    """A data folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gb-") as path:
        yield path


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def status(*words: str) -> dict[str, list[dict[str, object]]]:
    found = done("status", APP, "--json", *words)
    assert found.returncode == 0, found.stderr
    answer: dict[str, list[dict[str, object]]] = json.loads(found.stdout)
    return answer


def test_a1_run_starts_every_role_with_a_redis_of_its_own(folder: str) -> None:
    """All roles are members; a killed edge comes back at its address; SIGTERM ends all with 0, and quietly."""
    with running("run", APP, "--edges", "2", "--workers", "2", "--port", "0", "--data-dir", folder) as everything:
        said = everything.await_saying("Ctrl+C ends everything")
        members = status("--data-dir", folder)["members"]
        assert sorted(str(one["role"]) for one in members) == ["edge", "edge", "scheduler", "worker", "worker"]
        edge = next(one for one in members if str(one["node"]).startswith("edge-1"))
        (address,) = edge["addresses"]  # type: ignore[misc]
        assert address in said
        os.kill(int(str(edge["pid"])), signal.SIGKILL)
        eventually_sync(lambda: everything.said.count(f"edge is ready at {address}") == 2, within=30)
        pids = [int(str(one["pid"])) for one in status("--data-dir", folder)["members"]]
        assert everything.end() == 0
        assert "Traceback" not in everything.said
        assert not any(map(runs, pids))
    with pytest.raises(RedisUnavailable):
        overview.ping(Settings(redis_url=f"unix://{folder}/redis.sock"))


def test_a1_a_killed_run_leaves_nothing_behind(folder: str) -> None:
    """kill -9 of the supervisor ends roles and Redis as well."""
    with running("run", APP, "--port", "0", "--data-dir", folder) as everything:
        everything.await_saying("Ctrl+C ends everything")
        pids = [int(str(one["pid"])) for one in status("--data-dir", folder)["members"]]
        assert len(pids) == 3
        everything.end(signal.SIGKILL)
    eventually_sync(lambda: not any(map(runs, pids)))
    # The folder is free again only when its server has ended.
    with running("run", APP, "--port", "0", "--data-dir", folder) as everything:
        everything.await_saying("Ctrl+C ends everything")
        assert everything.end(signal.SIGINT) == 0


def test_p3_schedulers_and_workers_run_each_nominal_time_once(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """Two schedulers, two worker processes: every beat has another nominal time, a multiple of its period."""
    beats = tmp_path / "beats"
    beats.touch()
    where = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix, "BEATS": str(beats)}
    with (
        running("run", APP, "--edges", "0", "--workers", "2", "--schedulers", "2", **where) as everything,
    ):
        eventually_sync(lambda: len(beats.read_text().split()) >= 6, within=30)
        assert everything.end() == 0
    times = [float(line) for line in beats.read_text().split()]
    assert len(set(times)) == len(times)
    assert all(nominal % 0.25 == 0 for nominal in times)


def test_a1_worker_supervises_its_processes(redis_url: str, prefix: str) -> None:
    """``-p 2`` is two members of one name; SIGTERM ends both, with 0."""
    options = ("--redis-url", redis_url, "--prefix", prefix)
    with running("worker", APP, "-p", "2", "-t", "1", "-Q", "note", "--node-id", "blue", *options) as workers:
        eventually_sync(lambda: workers.said.count("worker is ready") == 3, within=30)
        members = status(*options)["members"]
        assert [str(one["node"])[:13] for one in members] == ["blue-worker-1", "blue-worker-2"]
        assert workers.end() == 0
        assert "Traceback" not in workers.said


@pytest.mark.parametrize("role", ["edge", "worker", "scheduler"])
def test_a1_each_role_runs_alone_and_ends_quietly(role: str, redis_url: str, prefix: str) -> None:
    """A single role logs JSON if asked to, says when it is ready, and exits with 0 at SIGTERM."""
    words = (role, APP, "--redis-url", redis_url, "--prefix", prefix, "--log-format", "json")
    with running(*words) as alone:
        alone.await_saying(f"{role} is ready")
        assert status(*words[2:6], "--here", role)["members"]
        other = "worker" if role == "edge" else "edge"
        assert done("status", APP, *words[2:6], "--here", other).returncode == 1
        assert alone.end() == 0
        lines = [json.loads(line) for line in alone.said.splitlines()]
    assert {line["role"] for line in lines} == {role}
    assert {line["level"] for line in lines} == {"info"}


@pytest.mark.parametrize("role", ["run", "edge", "worker", "scheduler"])
def test_redis_out_of_reach_is_exit_code_3(role: str) -> None:
    """One line that names the address without its password, and what to do."""
    ended = done(role, APP, "--redis-url", NOWHERE)
    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1
    assert "no Redis answers at redis://:***@127.0.0.1:1/0" in ended.stderr


def test_o6_status_without_redis_is_exit_code_1(folder: str) -> None:
    """Configured or not, a Redis that does not answer is a failure of the command."""
    for words in (("--redis-url", NOWHERE), ("--data-dir", folder)):
        ended = done("status", APP, *words)
        assert ended.returncode == 1
        assert ended.stderr.startswith("gobroke: no Redis answers at")
        assert "secret" not in ended.stderr


@pytest.mark.parametrize("path", ["nowhere", "no.such.module:broke", "tests.roles.sample:brok"])
def test_a_wrong_path_is_exit_code_2(path: str) -> None:
    """One line, no traceback."""
    ended = done("edge", path)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("gobroke: ")


def test_no_redis_configured_says_how(redis_url: str) -> None:
    """Only ``run`` brings its own."""
    ended = done("edge", APP)
    assert ended.returncode == 3
    assert "--redis-url or GOBROKE_REDIS_URL, or use `gobroke run`" in ended.stderr


def test_an_unknown_queue_is_exit_code_2(redis_url: str) -> None:
    """The logics that there are are listed."""
    ended = done("worker", APP, "--redis-url", redis_url, "-Q", "notes")
    assert ended.returncode == 2
    assert "no logic is named 'notes'; there are beat, note" in ended.stderr


def test_several_edges_can_not_share_the_port_of_a_second_endpoint() -> None:
    """It is said before anything is started."""
    ended = done("run", "tests.roles.sample:several", "--edges", "2", "--port", "0")
    assert ended.returncode == 2
    assert "port=0 for every endpoint after the first" in ended.stderr


def test_a_setting_that_can_not_be_used_is_exit_code_2() -> None:
    """The setting and its variable are named."""
    ended = done("edge", APP, "--prefix", "a b", GOBROKE_THREADS="8")
    assert ended.returncode == 2
    assert "prefix (GOBROKE_PREFIX)" in ended.stderr


@pytest.mark.parametrize("role", ["edge", "run"])
def test_a_port_in_use_is_exit_code_4(role: str, redis_url: str, prefix: str) -> None:
    """The text names the port; a supervisor passes on its child's code and words, and ends the others."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = done(role, APP, "--redis-url", redis_url, "--prefix", prefix, "--port", str(port))
    assert ended.returncode == 4
    assert f"port {port} of 127.0.0.1 can't be used" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_o6_status_counts_queues(redis_url: str, prefix: str) -> None:
    """Ready, waiting, delayed and dead come from Dramatiq's keys; one trip, nothing is written."""
    keys = QueueKeys(prefix, "note")
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(keys.ready, "1")
        client.hset(keys.messages, mapping={"1": "x", "2": "x"})
        client.zadd(keys.later, {"9": 1})
        client.hset(keys.delayed_messages, mapping={"9": "x"})
        client.hset(keys.halted, mapping={"k": "a"})
        client.sadd(keys.paused, "k", "l")
        client.hset(keys.counters, "halted", "a")
        client.zadd(keys.dead, dict.fromkeys("abcde", 1))
        before = sorted(client.keys(f"{prefix}*"))
        found = status("--redis-url", redis_url, "--prefix", prefix)
        assert sorted(client.keys(f"{prefix}*")) == before
    note = next(queue for queue in found["queues"] if queue["queue"] == "note")
    assert note == {
        "queue": "note", "ready": 1, "waiting": 2, "delayed": 1, "dead": 5, "halted_keys": 1, "paused_keys": 2,
        "stopped": True, "full": False,
    }  # fmt: skip
    assert (found["members"], found["clients"]) == ([], 0)


def test_o6_status_of_an_idle_cluster_is_readable(redis_url: str, prefix: str) -> None:
    """Tables for people."""
    shown = done("status", APP, "--redis-url", redis_url, "--prefix", prefix).stdout
    assert "No process is running." in shown
    assert "Clients: 0" in shown
    assert "beat" in shown


def test_the_version_and_the_exit_codes_are_told() -> None:
    """``--version`` and every ``--help``."""
    assert done("--version").stdout.startswith("gobroke_dist 0.")
    for words in ((), ("run",), ("status",)):
        assert "4 an address can't be used" in " ".join(done(*words, "--help").stdout.replace("│", " ").split())


def test_a_flag_wins_over_the_environment_which_wins_over_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody sets stays the application's; what can't be used is refused."""
    declared = Settings(threads=2, prefix="own", drain_timeout=7)
    monkeypatch.setenv("GOBROKE_THREADS", "3")
    monkeypatch.setenv("GOBROKE_PREFIX", "env")
    found = effective(declared, prefix="flag", threads=None)
    assert (found.threads, found.prefix, found.drain_timeout) == (3, "flag", 7)
    with pytest.raises(ValidationError):
        effective(declared, port=70000)


def test_o7_a_childs_settings_are_the_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """They travel in the environment, where a password is not shown to every user of the machine."""
    settings = Settings(redis_url="redis://:secret@h/0", threads=3, data_dir=Path("/x/y"), node_id="edge-1")
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
