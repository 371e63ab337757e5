"""``make chaos``: break everything under load, and check that nothing was lost, doubled or reordered.

The part ``queue`` is about WORKER logic, the part ``cluster`` about clients, edges and what is sent between them.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.chaos import queue_path
from tests.chaos.cluster import cluster_path
from tests.chaos.part import Options, Result

DOCS = Path(__file__).parents[2] / "docs"


class Part(NamedTuple):
    """What is run, and the name of the page about it."""

    broken: Callable[[Options], Result]
    page: Path


PARTS = {"queue": Part(queue_path.broken, queue_path.PAGE), "cluster": Part(cluster_path.broken, cluster_path.PAGE)}


def main() -> int:
    """Run, print and write the pages. Returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args()
    parts = arguments.part or list(PARTS)
    if arguments.page and len(parts) > 1:
        parser.error("--page names one page; say with --part which")
    logging.disable(logging.CRITICAL)
    results = [_written(PARTS[name], _options(arguments), arguments.page) for name in parts]
    for name, result in zip(parts, results, strict=True):
        print(f"{name}: {result.sentence}")
    return 0 if all(result.good for result in results) else 1


def _written(part: Part, options: Options, page: Path | None) -> Result:
    result = part.broken(options)
    path = page or DOCS / part.page
    path.write_text(result.page)
    print(result.page)
    print(f"{path.name} is written.")
    return result


def _options(arguments: argparse.Namespace) -> Options:
    words = [word for word in sys.argv[1:] if not word.startswith(("/", "--keep", "--page"))]
    return Options(
        seed=arguments.seed,
        minutes=arguments.minutes,
        quick=arguments.quick,
        controls=not arguments.no_controls,
        keys=arguments.keys,
        messages=arguments.messages,
        clients=arguments.clients,
        redis_server=arguments.redis_server,
        keep=arguments.keep,
        arguments=" ".join(words),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of messages, clients and faults, and of what is cut")
    parser.add_argument("--minutes", type=float, default=6.0, help="for which faults go on, in each part")
    parser.add_argument("--keys", type=int, default=1000, help="of the queues")
    parser.add_argument("--messages", type=int, default=100, help="of each key")
    parser.add_argument("--clients", type=int, default=2000, help="of the edges")
    parser.add_argument("--quick", action="store_true", help="less of everything, in about two minutes for each part")
    parser.add_argument("--redis-server", help="path of the server to use")
    parser.add_argument("--no-controls", action="store_true", help="do not take guards out")
    parser.add_argument("--keep", type=Path, help="a folder for the record and what processes have said")
    parser.add_argument("--page", type=Path, help="where the result of the one part is written; else in docs/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
