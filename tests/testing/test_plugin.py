"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CHEAP = """
import sys

def test_nothing_is_imported_before_it_is_used():
    assert "pytest_gobroke" in sys.modules
    assert not {"gobroke_dist", "dramatiq", "aiohttp", "redis"} & sys.modules.keys()
"""

USED = """
import pytest
from gobroke_dist import LogicBase, Message

class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))

@pytest.mark.asyncio
async def test_a_cluster(gobroke_cluster):
    async with gobroke_cluster(Echo()) as cluster:
        ann = await cluster.connect("ann")
        await ann.send({"to_logic": "echo", "data": 1})
        await ann.expect(data=1)

@pytest.mark.asyncio
async def test_a_proxy(gobroke_proxy):
    async with gobroke_proxy("127.0.0.1:1") as proxy:
        assert proxy.url.startswith("tcp://127.0.0.1:")
"""


def run_pytest(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a test file as a user would, with the plugin, whether or not it is installed."""
    file = folder / "test_it.py"
    file.write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_gobroke", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "--rootdir", str(folder), "-c", "/dev/null", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("code", "passed"), [(CHEAP, 1), (USED, 2)])
def test_o8_the_plugin_gives_fixtures_and_costs_nothing_before(tmp_path: Path, code: str, passed: int) -> None:
    """pytest starts with neither the project nor a server library imported."""
    ran = run_pytest(tmp_path, code)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{passed} passed" in ran.stdout


def test_o8_the_test_in_the_documentation_passes(tmp_path: Path) -> None:
    """The chat's test on the page for newcomers is run as it stands there, and is short."""
    page = (ROOT / "docs/how-to/test.md").read_text()
    code = next(block for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "examples.chat" in block)
    assert len(code.splitlines()) < 25
    ran = run_pytest(tmp_path, code)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
