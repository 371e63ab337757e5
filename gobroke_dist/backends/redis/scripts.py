"""Lua scripts that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

INCLUDE = "--#include "
"""How a script's first line names the parts that it begins with."""


@dataclass(frozen=True, slots=True)
class Script:
    """One script: its text, and the name that Redis knows it by."""

    source: str
    sha: str


def made_of(source: str) -> Script:
    """The script of this text."""
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


def load(package: str, name: str) -> Script:
    """The script ``lua/<name>.lua`` of a package, with the part of this package that its first line may name."""
    text = (files(package) / "lua" / f"{name}.lua").read_text("utf-8")
    first, _, body = text.partition("\n")
    if not first.startswith(INCLUDE):
        return made_of(text)
    return made_of("\n".join([*map(part, first.removeprefix(INCLUDE).split()), body]))


def part(name: str) -> str:
    """A piece of Lua that several scripts share."""
    return (files(__package__) / "lua" / "parts" / f"{name}.lua").read_text("utf-8")
