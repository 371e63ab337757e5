"""From ``module:attribute`` on the command line to the application object."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
from types import ModuleType

from gobroke_dist.broke import Broke
from gobroke_dist.errors import ApplicationNotFound


def load(path: str) -> Broke:
    """Import the application that ``path`` names; the current folder is looked in first.

    Args:
        path: ``module:attribute``, e.g. ``chat.app:broke``; the attribute may be dotted.

    Raises:
        ApplicationNotFound: the path is not of this form, there is no such module or attribute, the module
            fails while it is imported (the cause is attached), or the attribute is no ``Broke``.
    """
    module, colon, attribute = path.partition(":")
    if not (module and colon and attribute):
        raise ApplicationNotFound(f"{path!r} names no application: write module:attribute, e.g. chat.app:broke")
    return _checked(path, _attribute(path, _import(path, module), attribute))


def _import(path: str, name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(path, name, error) from error
        what = name if error.name == name else f"{name} (no {error.name})"
        raise ApplicationNotFound(f"{path!r}: there is no module {what}; looked in {folder} and the path") from None
    except Exception as error:
        raise _broken(path, name, error) from error


def _broken(path: str, name: str, error: Exception) -> ApplicationNotFound:
    where = _innermost(error)
    return ApplicationNotFound(
        f"{path!r}: module {name} fails while it is imported: {type(error).__name__}: {error}{where}"
    )


def _innermost(error: Exception) -> str:
    """Where an application's own code raised: the last frame that is not the import system's."""
    place = ""
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file != __file__ and not file.startswith("<frozen") and "importlib" not in file:
            place = f" ({file}, line {step.tb_lineno})"
        step = step.tb_next
    return place


def _attribute(path: str, module: ModuleType, dotted: str) -> object:
    found: object = module
    for name in dotted.split("."):
        if not hasattr(found, name):
            near = difflib.get_close_matches(name, [one for one in dir(found) if not one.startswith("__")], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; it must be a name in {module.__name__}"
            raise ApplicationNotFound(f"{path!r}: module {module.__name__} has no {dotted!r}{hint}")
        found = getattr(found, name)
    return found


def _checked(path: str, found: object) -> Broke:
    if isinstance(found, Broke):
        return found
    kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
    raise ApplicationNotFound(f"{path!r} is {kind}, not a Broke: name the object that Broke(...) returned")
