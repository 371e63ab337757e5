"""``make bench``: the WORKER path beside other queues, and the cluster path beside other real-time servers.

Each part is one interleaved run on one Redis.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from tests.bench import cluster_path, table, worker_path
from tests.bench.cluster.plan import CLUSTER_NAMES
from tests.bench.field import ROOT
from tests.bench.part import Options
from tests.bench.plan import NAMES

DOCS = ROOT / "docs" / "benchmarks"
PARTS = {"queue": worker_path.measured, "cluster": cluster_path.measured}


def main() -> None:
    """Measure, show, and write the pages."""
    arguments = _arguments()
    options = Options(quick=arguments.quick, only=tuple(arguments.only), rounds=arguments.rounds)
    as_data = {}
    for name in arguments.part or PARTS:
        result = PARTS[name](options, Console(stderr=True))
        if result is None:
            continue
        as_data[name] = result.plain
        if not arguments.json:
            table.show(result.sheets, Console())
        if arguments.write or not (options.quick or options.only or options.rounds):
            result.page.write(arguments.write or DOCS)
    if arguments.json:
        json.dump(as_data, sys.stdout, indent=2)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of what matters most; under 5 minutes")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument(
        "--only", action="append", default=[], choices=(*NAMES, *CLUSTER_NAMES), help="only this case; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=0, help="how often each takes its turn (default 3)")
    parser.add_argument("--json", action="store_true", help="all figures as JSON, by part, instead of tables")
    parser.add_argument(
        "--write",
        nargs="?",
        const=DOCS,
        type=Path,
        metavar="FOLDER",
        help=f"write the pages, to {DOCS.relative_to(ROOT)}/ unless named; a full run always does",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
