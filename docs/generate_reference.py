"""Writes the pages of the reference that the code itself knows best: settings, errors, keys and codes.

python -m docs.generate_reference          # write them
python -m docs.generate_reference --check  # exit with 1 if one is out of date
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gobroke_dist import errors
from gobroke_dist.access.limits import LIMITS, Limit
from gobroke_dist.cli import app
from gobroke_dist.errors import BrokeError
from gobroke_dist.keys import Channel, ClusterKeys, QueueKeys
from gobroke_dist.ops import openapi
from gobroke_dist.ops.limits import API_LIMITS
from gobroke_dist.session import CloseCode
from gobroke_dist.settings import Settings
from tests.abuse.answers import Row
from tests.abuse.table import TABLE

PAGES = Path(__file__).parent / "reference"
NOTE = (
    "<!-- Written by docs/generate_reference.py: change the code, then run python -m docs.generate_reference. -->\n\n"
)


def settings_page() -> str:
    """Every setting, its default and its meaning."""
    rows = [
        f"| `GOBROKE_{name.upper()}` | `{field.default}` | {field.description or ''} |"
        for name, field in Settings.model_fields.items()
    ]
    head = (
        "# Settings\n\nFrom the environment, by keyword (`Settings(...)`), or by a command-line flag, which wins. "
        "Times are seconds, sizes are bytes.\n\n| variable | default | meaning |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def errors_page() -> str:
    """Every exception with its code."""
    rows = [
        f"| `{kind.__name__}` | `{kind.code}` | {_first_line(kind)} |"
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, BrokeError) and kind.__module__ == errors.__name__
    ]
    tree = inspect.getdoc(errors) or ""
    drawn = "\n".join(line[4:] for line in tree.splitlines() if line.startswith("    "))
    head = "# Errors\n\n```text\n" + drawn + "\n```\n\n"
    head += "The code is what a client sees in an error frame, and the reason under which drops are counted.\n\n"
    return head + "| exception | code | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def keys_page() -> str:
    """Every Redis key with its type and meaning."""
    rows = [*_key_rows(ClusterKeys("gobroke")), *_key_rows(QueueKeys("gobroke", "QUEUE"))]
    head = (
        "# Keys in Redis\n\nWith the default prefix. Keys below `gobroke:dramatiq:` are Dramatiq's own, with its type "
        "and meaning.\n\n| key | holds |\n| --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def codes_page() -> str:
    """Every close code."""
    rows = [f"| {code.value} | `{code.name}` | {_advice(code)} |" for code in CloseCode]
    head = (
        "# Close codes\n\n"
        + _first_paragraph(CloseCode)
        + "\n\n| code | name | connect again? |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def limits_page() -> str:
    """Every limit with its default, what is beyond it, and where that is counted."""
    head = (
        "# Limits\n\nAll of them are on. 0 turns one off that may be 0. `drops.…` and `counts.…` are the counters of "
        "`Metrics`, of one process.\n\n"
        "| what | settings and defaults | what is beyond it | close code | HTTP | error | counted as |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    return head + "\n".join(_limit_row(limit) for limit in (*LIMITS, *API_LIMITS)) + "\n"


def _limit_row(limit: Limit) -> str:
    settings = ", ".join(f"`{name}` {Settings.model_fields[name].default}" for name in limit.settings)
    code = f"{limit.code.value} `{limit.code.name}`" if limit.code else ""
    error = f"`{limit.error.code}`" if limit.error else ""
    cells = (limit.what, settings, limit.answer, code, str(limit.http or ""), error, f"`{limit.metric}`")
    return f"| {' | '.join(cells)} |"


def hostile_page() -> str:
    """Every hostile input that the tests send, with its answer."""
    count = sum(len(rows) for rows in TABLE.values())
    head = (
        f"# Hostile inputs\n\n{count} inputs, and what an edge answers. `tests/abuse` sends each of them to an edge, "
        "and serves another client right after; the edge logs no error, and its memory is what it was before.\n\n"
        "After an error frame the connection goes on. A handshake of 2 s, a ping after 1.5 s, 4 s of idleness and "
        "frames of 64 kB are allowed there; see [limits](limits.md) for the defaults, [close codes](close-codes.md) "
        "and [errors](errors.md) for what the words mean.\n"
    )
    return head + "".join(f"\n## {name}\n\n{_hostile_table(rows)}" for name, rows in TABLE.items())


def _hostile_table(rows: tuple[Row, ...]) -> str:
    lines = ["| input | over | answer |", "| --- | --- | --- |"]
    for row in rows:
        for answer in dict.fromkeys(row.answers.values()):
            ways = "; ".join(way.value for way, one in row.answers.items() if one == answer)
            lines.append(f"| {row.what} | {ways} | {answer} |")
    return "\n".join(lines) + "\n"


def command_line_page() -> str:
    """Every command with its options, as the command line itself knows them."""
    group: Any = typer.main.get_command(app)
    parts = [f"# Command line\n\n{_paragraph(group.help)}\n\n{_paragraph(group.epilog)}"]
    for name, command in _commands(group):
        rows = [_option_row(option) for option in command.params if not getattr(option, "hidden", False)]
        table = "| option | meaning |\n| --- | --- |\n" + "\n".join(rows)
        parts.append(f"## gobroke {name}\n\n{_paragraph(command.help)}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _commands(group: Any) -> Iterator[tuple[str, Any]]:
    """The commands, and those of groups with the group's name before them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", one) for inner, one in _commands(command))
        else:
            yield name, command


def _option_row(option: Any) -> str:
    names = option.opts if option.param_type_name == "option" else [option.metavar]
    return f"| {', '.join(f'`{name}`' for name in names)} | {option.help or ''} |"


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def _key_rows(keys: ClusterKeys | QueueKeys) -> Iterator[str]:
    for name, member in vars(type(keys)).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        if isinstance(member, property):
            value, doc = getattr(keys, name), inspect.getdoc(member.fget)
        else:
            arguments = [parameter.upper() for parameter in list(inspect.signature(member).parameters)[1:]]
            value, doc = member(keys, *arguments), inspect.getdoc(member)
        if isinstance(value, Channel):
            yield f"| `{value.name}` | Pub/sub channel. {' '.join((doc or '').split())} |"
            value, doc = value.log, f"STREAM of the last data on `{value.name}`."
        shown = value if isinstance(value, str) else "`, `".join(value)
        yield f"| `{shown}` | {' '.join((doc or '').split())} |"


def _advice(code: CloseCode) -> str:
    if code >= 4500:
        return "no: it would end the same way"
    return (
        "yes" if code >= 4000 or code in (CloseCode.GOING_AWAY, CloseCode.INTERNAL_ERROR) else "after mending the cause"
    )


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]


def _first_paragraph(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0]


def pages() -> dict[Path, str]:
    """What each page should hold."""
    made = {
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "keys.md": keys_page(),
        "close-codes.md": codes_page(),
        "limits.md": limits_page(),
        "hostile-inputs.md": hostile_page(),
        "command-line.md": command_line_page(),
    }
    pages = {PAGES / name: text.replace("\n\n", "\n\n" + NOTE, 1) for name, text in made.items()}
    return pages | {PAGES / "openapi.json": json.dumps(openapi.document(), indent=2) + "\n"}


def main() -> int:
    """Write the pages, or only look."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is out of date: run python -m docs.generate_reference")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages()[path])
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
