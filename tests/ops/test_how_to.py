"""The examples of the how-to run as they stand there, against an API (contract O4)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.eventually import eventually_sync
from tests.ops.test_processes import edge_with_api

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/use-the-http-api.md").read_text()
TOKEN = "a-long-secret-of-yours"
[CURL] = re.findall(r"^    (curl .*?)\n\n", PAGE, re.M | re.S)
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


def test_o4_each_example_does_what_it_says(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """curl, and every Python block; nobody takes the three messages, so they are in Redis."""
    environment = {
        "GOBROKE_REDIS_URL": redis_url,
        "GOBROKE_PREFIX": prefix,
        "GOBROKE_API_TOKENS": TOKEN,
        "FUNDS": str(tmp_path / "funds"),
    }
    with edge_with_api(environment) as url, redis.Redis.from_url(redis_url) as store:
        said = [_run(["bash", "-c", CURL], url)]
        said += [_run([sys.executable, "-c", block.replace("wait=10", "wait=0.5")], url) for block in PYTHON]
        assert '"state":"accepted"' in said[0]
        assert "count=0" in said[1]
        assert said[2] == ""
        assert said[3] == "accepted \n"
        eventually_sync(lambda: store.hlen(f"{prefix}:dramatiq:ledger.msgs") == 3, within=5)


def _run(command: list[str], url: str) -> str:
    words = [word.replace("http://127.0.0.1:8081", url) for word in command]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", ["APIClient", "AsyncAPIClient"])
def test_o4_the_clients_are_where_the_page_says(name: str) -> None:
    """And there is nothing else."""
    from gobroke_dist import ops  # noqa: PLC0415

    assert f"from gobroke_dist.ops import {name}" in PAGE
    assert getattr(ops, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = ops.Nothing
