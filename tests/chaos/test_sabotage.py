"""A guard that was not taken out proves nothing, so each cut must still find its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gobroke_dist.tasks import scripts
from tests.chaos.controls import controls
from tests.chaos.sabotage import CUTS, VARIABLE, carry_out

LUA = Path(str(scripts.__file__)).parent / "lua"


@pytest.mark.parametrize("guard", CUTS)
def test_the_line_that_a_cut_takes_out_is_in_its_file_once(guard: str) -> None:
    cut = CUTS[guard]
    assert (LUA / cut.file).read_text().count(cut.line) == 1, f"{cut.file}: {cut.line}"


@pytest.mark.parametrize("guard", CUTS)
def test_what_stands_in_its_place_is_something_else(guard: str) -> None:
    assert CUTS[guard].instead not in ("", CUTS[guard].line)


def test_every_cut_has_a_control_and_every_control_a_cut_that_is_there() -> None:
    assert {one.scenario.sabotage for one in controls(1)} - {""} == set(CUTS)


@pytest.fixture
def whole() -> Iterator[None]:
    """The scripts are whole again after the test."""
    before = scripts.files
    yield
    scripts.files = before
    scripts.script.cache_clear()


def test_a_cut_changes_what_this_process_runs(whole: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: scripts.script(name).sha for name in ("enqueue", "renew")}
    monkeypatch.setenv(VARIABLE, "order")
    carry_out(tmp_path)
    assert scripts.script("enqueue").sha != before["enqueue"]
    assert scripts.script("renew").sha == before["renew"], "the others stay as they are"


def test_without_a_name_nothing_is_cut(whole: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    carry_out(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_is_not_there_any_more_is_an_error(
    whole: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = CUTS["order"]
    monkeypatch.setitem(CUTS, "order", type(cut)(cut.file, "no such line", cut.instead))
    monkeypatch.setenv(VARIABLE, "order")
    with pytest.raises(AssertionError, match="has no line 'no such line'"):
        carry_out(tmp_path)
