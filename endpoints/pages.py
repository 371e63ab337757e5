"""Files that a browser may have: those below one folder, and nothing that only looks as if it were there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import gobroke_dist

CLIENT: Final = "/gobroke.js"
"""Where pages find the client that comes with the package, unless their folder has a file of this name."""

_CLIENT_FILE: Final = Path(gobroke_dist.__file__).parent / "connection" / "gobroke.js"


def find_page(folder: Path, path: str) -> Path | None:
    """The file for a URL's decoded path; a folder's is its ``index.html``. None: there is none to give.

    No name may begin with a dot, and no link may lead out of the folder. It reads the disk: call it on a thread.
    """
    parts = [part for part in path.split("/") if part]
    if any(part.startswith(".") or "\\" in part or "\0" in part for part in parts):
        return None
    try:
        root = folder.resolve(strict=True)
        page = root.joinpath(*parts).resolve(strict=True)
        if page.is_dir():
            page = (page / "index.html").resolve(strict=True)
    except (OSError, ValueError):
        return None
    return page if page.is_file() and page.is_relative_to(root) else None


def find_page_or_client(folder: Path, path: str) -> Path | None:
    """As ``find_page``, and the client at ``CLIENT``."""
    return find_page(folder, path) or (_CLIENT_FILE if path == CLIENT else None)
