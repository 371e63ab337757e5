"""What a client program gets: a light package, and a small file for browsers whose types are those it has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gobroke_dist.connection
from gobroke_dist import public

FOLDER = Path(gobroke_dist.connection.__file__).parent
JS, TYPES = ((FOLDER / name).read_text() for name in ("gobroke.js", "gobroke.d.ts"))


def test_a_client_loads_no_server() -> None:
    code = "import sys, gobroke_dist.connection; print(sorted({'redis', 'dramatiq', 'pydantic'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("first", ["endpoints", "gobroke_dist.settings", "gobroke_dist.testing", "gobroke_dist.cli"])
def test_it_does_not_matter_what_is_imported_first(first: str) -> None:
    """A module that asks the package for a module does not get all of the public names loaded in the middle of it."""
    subprocess.run([sys.executable, "-c", f"import {first}"], timeout=30, check=True)


def test_a2_every_public_name_is_the_packages() -> None:
    assert all(getattr(gobroke_dist, name) is getattr(public, name) for name in public.__all__)


def test_the_file_for_browsers_is_small() -> None:
    assert len(JS.encode()) < 12_000


def test_what_the_file_exports_is_what_its_types_say() -> None:
    exported = r"^export (?:class|function) (\w+)"
    assert set(re.findall(exported, JS, re.M)) == set(re.findall(exported, TYPES, re.M))
    methods = set(re.findall(r"^  (?:async )?(\w+)\(.*\{$", JS, re.M)) - {"constructor"}
    typed = set(re.findall(r"^  (\w+)\(", TYPES.split("export class Connection")[1], re.M)) - {"constructor"}
    assert methods == typed
    events = set(re.findall(r'#tell\("(\w+)"', JS))
    assert events == set(re.findall(r"^  (\w+): CustomEvent", TYPES, re.M))
