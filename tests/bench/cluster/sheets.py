"""The result as tables."""

from __future__ import annotations

from tests.bench.cluster.field import BARE, CLUSTER, OURS
from tests.bench.cluster.goals import CLUSTER_GOALS
from tests.bench.cluster.plan import Case, ClusterPlan
from tests.bench.figures import Book, Subject
from tests.bench.sheets import Sheet, failure_sheet, goal_sheet, number

_SPENT = (
    ("requests", "requests to Redis", ".2f"),
    ("commands", "commands, those in scripts included", ".1f"),
    ("redis_us", "CPU of Redis, µs", ".0f"),
    ("nodes_us", "CPU of the nodes, µs", ".0f"),
)


def cluster_sheets(book: Book, plan: ClusterPlan) -> list[Sheet]:
    """All tables of a run that have something to show."""
    makers = {
        "latency": _latency,
        "rate": _rate,
        "broadcast": _broadcast,
        "listing": _listing,
    }
    made = [goal_sheet(book, CLUSTER_GOALS)]
    made += [makers[case.kind](book, case) for case in plan.cases if case.kind in makers]
    made += [_unicast(book, plan), _idle(book, plan), failure_sheet(book, CLUSTER)]
    return [sheet for sheet in made if sheet.rows]


def _latency(book: Book, case: Case) -> Sheet:
    rows = tuple(
        (
            CLUSTER[name].label,
            *(number(book.median(case.name, name, figure), ".2f", 1000) for figure in ("p50", "p99")),
            number(book.ratio(Subject(case.name, name, "p50"), Subject(case.name, BARE, "p50")), ".2f"),
        )
        for name in _measured(book, case, "p50")
    )
    columns = ("", "p50, ms", "p99, ms", "p50 by the bare hop")
    words = (
        "From before the send of a client on the one node to the arrival at a client on the other, in processes of "
        f"their own: {case.clients} clients send, {case.rate} messages a second in all, to as many others. The bare "
        "hop is one process that publishes and another that is subscribed, with redis-py and without clients: one way "
        "through Redis, where a message between clients has two more ways over sockets, and a lookup."
    )
    return Sheet("From node to node, latency", words, columns, rows)


def _rate(book: Book, case: Case) -> Sheet:
    spent = (*_SPENT, ("clients_us", "CPU of the clients, µs", ".0f"))
    rows = tuple(
        (
            CLUSTER[name].label,
            number(book.median(case.name, name, "rate"), ",.0f"),
            number(book.ratio(Subject(case.name, OURS, "rate"), Subject(case.name, name, "rate")), ".2f"),
            *(number(book.median(case.name, name, figure), form) for figure, _, form in spent),
        )
        for name in _measured(book, case, "rate")
    )
    columns = ("", "messages per second", "gobroke_dist by it", *(title for _, title, _ in spent))
    words = (
        f"{case.clients} clients on the one node send to as many on the other, for {case.seconds:g} s, until all has "
        f"arrived; never more than {case.window:,} messages are under way. What is used is per message."
    )
    return Sheet("From node to node, highest rate", words, columns, rows)


def _broadcast(book: Book, case: Case) -> Sheet:
    rows = tuple(
        (
            CLUSTER[name].label,
            number(book.median(case.name, name, "seconds"), ",.0f", 1000),
            number(book.worst(case.name, name, "longest"), ",.0f", 1000),
            number(book.median(case.name, name, "connects"), ",.0f"),
        )
        for name in _measured(book, case, "seconds")
    )
    columns = ("", "until the last has it, ms", "the longest, ms", "clients that connect per second")
    words = (
        f"One of {case.clients:,} clients, spread over {case.nodes} nodes, sends to all of them. {case.times} times a "
        "round. They connect 50 at a time, to one node after the other."
    )
    return Sheet("To everybody", words, columns, rows)


def _listing(book: Book, case: Case) -> Sheet:
    rows = tuple(
        (
            CLUSTER[name].label,
            number(book.median(case.name, name, "seconds"), ",.0f", 1000),
            number(book.worst(case.name, name, "longest"), ",.0f", 1000),
            number(book.median(case.name, name, "requests"), ",.0f"),
        )
        for name in _measured(book, case, "seconds")
    )
    words = (
        f"All of {case.clients:,} clients with four facts each and their last-message times, by `get_all_clients` on "
        "a node that holds none of them; stand-ins hold them, with leases of the nodes' kind. The seed's way is KEYS, "
        "and two GETs for each client, one after another: a replica in Python on redis-py, not the seed itself in Go."
    )
    return Sheet("List of clients", words, ("", "ms", "the longest, ms", "requests to Redis"), rows)


def _unicast(book: Book, plan: ClusterPlan) -> Sheet:
    cases = [case for case in plan.cases if case.kind == "unicast"]
    rows = tuple(
        (
            CLUSTER[name].label,
            str(case.nodes),
            *(number(book.median(case.name, name, figure), form) for figure, _, form in _SPENT),
        )
        for name in CLUSTER
        for case in cases
        if book.median(case.name, name, "commands") is not None
    )
    pace = f"{cases[0].rate} messages a second" if cases else ""
    words = (
        f"Clients on one node send to clients on one other, {pace}, and all further nodes have one client each, which "
        "gets nothing. Per message, and less what the same nodes use in the same time when nobody sends."
    )
    return Sheet("What a unicast costs", words, ("", "nodes", *(title for _, title, _ in _SPENT)), rows)


def _idle(book: Book, plan: ClusterPlan) -> Sheet:
    rows = tuple(
        (
            f"{case.clients:,} clients on {case.nodes} nodes",
            *(number(book.median(case.name, OURS, figure), ".2f") for figure in ("commands", "requests")),
            number(book.median(case.name, OURS, "nodes_cpu"), ".2%"),
        )
        for case in plan.cases
        if case.kind == "idle" and book.median(case.name, OURS, "commands") is not None
    )
    words = (
        "Nobody sends anything. By Redis' own count of the commands that it carried out, those in scripts included; "
        "per node and second."
    )
    return Sheet("Idle", words, ("", "commands/s", "requests/s", "CPU of a node"), rows)


def _measured(book: Book, case: Case, figure: str) -> list[str]:
    return [name for name in case.contestants if book.median(case.name, name, figure) is not None]
