"""Guards of the queues that a test can take out, to see that the audit notices."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from gobroke_dist.tasks import scripts

VARIABLE = "CHAOS_SABOTAGE"


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of Lua, and what stands in its place."""

    file: str
    line: str
    instead: str


CUTS = {
    "fencing": Cut(
        "parts/settle.lua",
        "if fences[number] == one.fence and acked[number] == 1 then",
        "if true then",
    ),
    "renewal": Cut(
        "renew.lua", 'redis.call("ZADD", workers, now, ARGV[1])', 'redis.call("ZADD", workers, "NX", now, ARGV[1])'
    ),
    "takeover": Cut("recover.lua", 'in_order(redis.call("SMEMBERS", acks), KEYS[4])', "{}"),
    "order": Cut(
        "parts/queue.lua",
        "make_head(queue, key, id, payload, lane)\n            return",
        "make_head(queue, key, id, payload, lane)",
    ),
}
"""Dedup needs none: its window is a setting."""


def carry_out(folder: Path) -> None:
    """Take out the guard that the environment names, if it names one, in this process.

    Raises:
        AssertionError: the line is not there any more; a guard that was not taken out proves nothing.
    """
    cut = CUTS.get(os.environ.get(VARIABLE, ""))
    if cut is None:
        return
    assert scripts.__file__ is not None
    changed = folder / str(os.getpid())
    shutil.copytree(Path(scripts.__file__).parent / "lua", changed / "lua")
    file = changed / "lua" / cut.file
    text = file.read_text()
    assert text.count(cut.line) == 1, f"{cut.file} has no line {cut.line!r}"
    file.write_text(text.replace(cut.line, cut.instead))
    scripts.files = lambda _: changed  # type: ignore[attr-defined]
    scripts.script.cache_clear()
