from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gobroke_dist import Broke
from gobroke_dist.application import load
from gobroke_dist.errors import ApplicationNotFound


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a package in it; what a test imports from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "shop" / "app.py").write_text(text)
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def test_a1_the_current_folder_is_looked_in(folder: Path) -> None:
    """As with uvicorn: what lies beside you can be named; dotted attributes as well."""
    write(folder, "from tests.roles.sample import broke\nclass box: inner = broke\n")
    sys.path.insert(0, str(Path(__file__).parents[2]))
    assert isinstance(load("shop.app:broke"), Broke)
    assert load("shop.app:box.inner") is load("shop.app:broke")


@pytest.mark.parametrize("path", ["", "shop.app", "shop.app:", ":broke"])
def test_a_path_without_both_parts_says_how_to_write_it(path: str) -> None:
    """The form and an example are in the text."""
    with pytest.raises(ApplicationNotFound, match=r"module:attribute, e.g. chat.app:broke"):
        load(path)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("shop.ap:broke", r"no module shop.ap; looked in"),
        ("shopp.app:broke", r"no module shopp.app \(no shopp\)"),
        ("shop.app.deep:broke", r"no module shop.app.deep"),
    ],
)
def test_a_missing_module_is_said(folder: Path, path: str, says: str) -> None:
    """With the part that is missing, and where was looked."""
    write(folder, "x = 1\n")
    with pytest.raises(ApplicationNotFound, match=says):
        load(path)


def test_an_import_error_of_the_application_itself_is_not_a_missing_module(folder: Path) -> None:
    """The cause is shown, with file and line."""
    write(folder, "import json\nimport surely_not_installed\n")
    with pytest.raises(ApplicationNotFound, match=r"No module named 'surely_not_installed' \(.*app.py, line 2\)") as e:
        load("shop.app:broke")
    assert isinstance(e.value.__cause__, ModuleNotFoundError)


def test_any_failure_of_the_application_is_shown(folder: Path) -> None:
    """What the module raises while it is imported is named, with its place."""
    write(folder, "def deep():\n    raise ValueError('the price is negative')\n\ndeep()\n")
    with pytest.raises(ApplicationNotFound, match=r"ValueError: the price is negative \(.*app.py, line 2\)"):
        load("shop.app:broke")


def test_a_missing_attribute_suggests_what_is_there(folder: Path) -> None:
    """A typing error is answered with the near names."""
    write(folder, "broker = 1\n")
    with pytest.raises(ApplicationNotFound, match=r"no 'broke'; did you mean broker\?"):
        load("shop.app:broke")
    with pytest.raises(ApplicationNotFound, match=r"no 'zzz'; it must be a name in shop.app"):
        load("shop.app:zzz")


def test_something_else_than_a_broke_is_named(folder: Path) -> None:
    """The text says what it is instead."""
    write(folder, "from gobroke_dist import Broke\nnumber = 1\n")
    with pytest.raises(ApplicationNotFound, match="is of type int, not a Broke"):
        load("shop.app:number")
    with pytest.raises(ApplicationNotFound, match="is the class Broke, not a Broke"):
        load("shop.app:Broke")
