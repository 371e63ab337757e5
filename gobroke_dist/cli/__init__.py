"""The command line: ``gobroke run|edge|worker|scheduler|status|audit module:attribute``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gobroke_dist import __version__
from gobroke_dist.cli.audit import audit
from gobroke_dist.cli.exits import EXIT_CODES
from gobroke_dist.cli.roles import edge, scheduler, worker
from gobroke_dist.cli.run import run
from gobroke_dist.cli.status import status

__all__ = ["app", "main"]

app = typer.Typer(
    name="gobroke",
    help="Distributed real-time messaging on Redis. Every command takes an application as module:attribute.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, edge, worker, scheduler, status, audit):
    app.command(epilog=EXIT_CODES)(command)


def main() -> None:
    """Run the command line, and exit."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


def _version(value: bool | None) -> None:
    if value:
        typer.echo(f"gobroke_dist {__version__}")
        raise typer.Exit


@app.callback()
def _gobroke(
    version: Annotated[
        bool | None, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = None,
) -> None:
    pass
