"""The result as tables, before they are drawn for a terminal or a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from tests.bench.field import FIELD, Program
from tests.bench.figures import Book, Subject
from tests.bench.goals import Goal, goals
from tests.bench.plan import HOT, OURS, STOCK, Case, Plan

NOT_MEASURED = "–"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: its title, what it says, its columns, and its rows of text."""

    title: str
    words: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(book: Book, plan: Plan) -> list[Sheet]:
    """All tables of a run that have something to show."""
    made = [goal_sheet(book, goals()), _rates(book, plan), _costs(book), _latency(book), _loop(book)]
    made += [_takeovers(book, plan), failure_sheet(book, FIELD)]
    return [sheet for sheet in made if sheet.rows]


def baseline(case: str) -> str:
    """The contestant that a case's ratios are taken by."""
    return HOT if case == "one-key" else STOCK


def _rates(book: Book, plan: Plan) -> Sheet:
    cases = [case for case in plan.cases if case.kind == "drain"]
    rows = [(FIELD[name].label, *(_rate(book, case, name) for case in cases)) for name in _of(cases)]
    words = (
        "Messages per second, from the first handler's run to the last one's; in brackets, how many times the baseline "
        f"of the same round: {FIELD[STOCK].label}, and for 1 key {FIELD[HOT].label}. Others than gobroke_dist keep no "
        "order, so keys mean nothing to them. `def` handlers and 1 process unless it says otherwise."
    )
    return Sheet("Drain rate", words, ("", *(case.title for case in cases)), tuple(rows))


def _of(cases: list[Case]) -> list[str]:
    present = {name for case in cases for name in case.contestants}
    return [name for name in FIELD if name in present]


def _rate(book: Book, case: Case, name: str) -> str:
    rate = book.median(case.name, name, "rate")
    if rate is None:
        return NOT_MEASURED
    ratio = book.ratio(Subject(case.name, name, "rate"), Subject(case.name, baseline(case.name), "rate"))
    return f"{rate:,.0f}" + (f" ({ratio:.2f} ×)" if ratio is not None and name != baseline(case.name) else "")


_COSTS = (
    ("send_rate", "sent per second", ",.0f"),
    ("requests", "requests to Redis per message", ".2f"),
    ("commands", "commands per message, those in scripts included", ".1f"),
    ("redis_us", "CPU of Redis per message, µs", ".0f"),
    ("cpu_10k", "CPU of the workers per 10,000 messages, s", ".2f"),
    ("memory", "memory of Redis per waiting message, bytes", ",.0f"),
)


def _costs(book: Book) -> Sheet:
    rows = [
        (FIELD[name].label, *(number(book.median("base", name, figure), form) for figure, _, form in _COSTS))
        for name in FIELD
        if book.median("base", name, "rate") is not None
    ]
    words = (
        "In the first case: 100 keys, 1 process, 100 B. Sending is one after another, or 100 at once where the client "
        "is asynchronous."
    )
    return Sheet("What a message costs", words, ("", *(title for _, title, _ in _COSTS)), tuple(rows))


def _latency(book: Book) -> Sheet:
    rows = [
        (
            FIELD[name].label,
            *(number(book.age(name, share), ".1f", 1000) for share in (0.5, 0.99)),
            str(len(book.ages[name])),
            *(
                number(book.median("latency", name, figure), form)
                for figure, form in (("idle_requests", ".1f"), ("idle_commands", ".1f"), ("idle_cpu", ".2%"))
            ),
        )
        for name in FIELD
        if book.ages.get(name)
    ]
    columns = ("", "p50, ms", "p99, ms", "messages", "requests/s when idle", "commands/s when idle", "CPU when idle")
    words = "From before the send in one process to the handler's first line in another, with gaps of 50 to 250 ms."
    return Sheet("Idle latency, and what idling costs", words, columns, tuple(rows))


def _loop(book: Book) -> Sheet:
    rows = [
        (
            label,
            *(number(book.worst("loop", name, figure), ".2f", 1000) for figure in ("blocked", "p99")),
            number(book.median("loop", name, "over_1ms"), ".0f"),
            number(book.median("loop", name, "turns"), ",.0f"),
        )
        for name, label in ((OURS, "making and enqueueing messages"), ("nothing", "making them, and nothing else"))
        if book.worst("loop", name, "blocked") is not None
    ]
    longest = book.worst("base", STOCK, "blocked")
    if rows and longest is not None:
        rows.append(("stock `send()`, the longest", number(longest, ".2f", 1000), *[NOT_MEASURED] * 3))
    columns = ("", "longest turn, ms", "p99, ms", "turns over 1 ms", "turns")
    words = "Turns of an edge's event loop while it enqueues 20,000 messages as fast as it can, ten at a time."
    return Sheet("Holding up the event loop", words, columns, tuple(rows))


def _takeovers(book: Book, plan: Plan) -> Sheet:
    rows = [
        (f"{case.title}, {state}", str(len(trials)), *(f"{figure(trials):.2f}" for figure in (min, median, max)))
        for case in plan.cases
        for state, trials in book.takeovers.get(case.name, {}).items()
    ]
    words = (
        "One of two worker processes is killed (SIGKILL) in the middle of a handler, at any time between two renewals "
        "of its lease: from the kill to the first line of the same message's handler in the other one. Idle: there is "
        "nothing else to do; busy: all threads of both have work, and more waits."
    )
    columns = ("", "trials", "shortest, s", "median, s", "longest, s")
    return Sheet("Takeover after a crash", words, columns, tuple(rows))


def goal_sheet(book: Book, goals: Iterable[Goal]) -> Sheet:
    """The figures to reach, and what was measured."""
    rows = []
    for goal in goals:
        value, reached = goal.measured(book), goal.reached(book)
        bound = f"{'≥' if goal.least else '≤'} {goal.bound:g}{goal.unit}"
        verdict = {True: "reached", False: "**not reached**", None: "not measured"}[reached]
        rows.append((goal.what, bound, number(value, ".2f") + (goal.unit if value is not None else ""), verdict))
    words = "Each a ratio within one round, or a time; the median of the rounds, or the worst where a bound is a bound."
    return Sheet("Figures to reach", words, ("", "goal", "measured", ""), tuple(rows))


def failure_sheet(book: Book, field: Mapping[str, Program]) -> Sheet:
    """What has no figures, and why."""
    rows = tuple((case, field[name].label, why) for (case, name), why in book.failures.items())
    return Sheet("Not measured", "What could not take part, and why.", ("case", "", "reason"), rows)


def number(value: float | None, form: str, scale: float = 1.0) -> str:
    """For people; a dash where there is none."""
    return NOT_MEASURED if value is None else format(value * scale, form)
