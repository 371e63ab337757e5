"""The demo and its check, as a command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.eventually import eventually_sync

DEMO = (sys.executable, "-m", "examples.demo")


def test_the_check_passes_although_a_worker_is_killed() -> None:
    """A small run: nothing lost, duplicated or out of order, messages taken over, and a dead process replaced."""
    size = ("--clients", "20", "--rooms", "13", "--messages", "600", "--rate", "200")
    done = subprocess.run([*DEMO, "--check", "--json", *size], check=False, capture_output=True, text=True, timeout=100)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert (result["ok"], result["sent"], result["keys"]) == (True, 600, 13)
    assert result["received"] == result["expected"] > 600
    assert [result[kind] for kind in ("lost", "duplicated", "out_of_order", "misnumbered")] == [0, 0, 0, 0]
    assert result["handled_again"] > 0
    assert len(result["messages_by_worker"]) >= 2  # the replacement may come when all is done
    assert result["kill"]["replaced_by"]
    assert sorted(result["clients_by_edge"].values()) == [10, 10]


def test_the_check_without_a_cluster_can_not_be_tried() -> None:
    """Nobody there is exit code 2, not a verdict."""
    done = subprocess.run(
        [*DEMO, "--url", "ws://127.0.0.1:1/ws"], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "could not be run" in done.stderr


def test_the_demo_shows_what_runs_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    """The table names every process with its pid; after Ctrl+C none of them is left."""
    output = tmp_path / "output"
    with output.open("wb") as stdout:
        demo = subprocess.Popen([*DEMO, "--port", "0"], stdout=stdout, stderr=subprocess.STDOUT)
    try:
        eventually_sync(lambda: "side by side" in output.read_text(), within=60)
        rows = [line.split() for line in output.read_text().splitlines()]
        pids = {row[-1 if row[-1].isdigit() else -2] for row in rows if row and row[0] in ROLES}
        assert len(pids) == 8, output.read_text()
        assert len([row for row in rows if row and row[-1].startswith("http://127.0.0.1:")]) == 2
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0, output.read_text()
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    finally:
        demo.kill()
        demo.wait()


ROLES = {"edge", "worker", "scheduler", "redis", "supervisor"}
