"""Lua scripts that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """One script: its text, and the name that Redis knows it by."""

    source: str
    sha: str


def made_of(source: str) -> Script:
    """The script of this text."""
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


def load(package: str, name: str) -> Script:
    """The script ``lua/<name>.lua`` of a package."""
    return made_of((files(package) / "lua" / f"{name}.lua").read_text("utf-8"))
