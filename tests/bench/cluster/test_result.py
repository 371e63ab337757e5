"""What is made of the figures of the cluster path: goals, tables and the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.cluster import stage
from tests.bench.cluster.field import BARE, OURS
from tests.bench.cluster.goals import CLUSTER_GOALS
from tests.bench.cluster.plan import full, quick
from tests.bench.cluster_path import fitted, result
from tests.bench.figures import Book


def _measured(book: Book, words: str) -> tuple[float | None, bool | None]:
    (goal,) = [goal for goal in CLUSTER_GOALS if goal.what == words]
    return goal.measured(book), goal.reached(book)


def test_nothing_is_reached_that_was_not_measured() -> None:
    """Nor missed."""
    assert {goal.reached(Book()) for goal in CLUSTER_GOALS} == {None}


def test_the_best_peer_is_found_in_each_round() -> None:
    """It need not be the same one; for a rate it is the highest, for a latency the lowest."""
    book = Book()
    for number, (ours, one, other) in enumerate([(9.0, 3.0, 1.0), (9.0, 1.0, 3.0), (8.0, 2.0, 2.0)]):
        book.note(number, "cross-rate", OURS, {"rate": ours})
        book.note(number, "cross-rate", "socketio", {"rate": one})
        book.note(number, "cross-rate", "channels", {"rate": other})
        book.note(number, "cross-latency", OURS, {"p50": 1.0})
        book.note(number, "cross-latency", "socketio", {"p50": one})
        book.note(number, "cross-latency", "channels", {"p50": other})
    assert _measured(book, "highest rate from node to node, by the best peer") == (3.0, True)
    assert _measured(book, "from node to node, p50, by the quickest peer") == (1.0, True)


def test_a_peer_that_was_not_measured_is_none_to_be_better_than() -> None:
    """The ratio is taken with the others, and there is none without any."""
    book = Book()
    book.note(0, "cross-rate", OURS, {"rate": 8.0})
    assert _measured(book, "highest rate from node to node, by the best peer") == (None, None)
    book.note(0, "cross-rate", "channels", {"rate": 4.0})
    assert _measured(book, "highest rate from node to node, by the best peer") == (2.0, False)


def test_a_cost_may_not_grow_with_the_nodes() -> None:
    """Eight by two, within a round."""
    book = Book()
    book.note(0, "unicast-2", OURS, {"redis_us": 50.0})
    book.note(0, "unicast-8", OURS, {"redis_us": 60.0})
    assert _measured(book, "CPU of Redis for a unicast, 8 nodes by 2") == (1.2, False)


def test_the_page_shows_what_was_measured_and_what_was_not(tmp_path: Path) -> None:
    """With a plot beside it."""
    book = Book()
    book.note(0, "cross-latency", OURS, {"p50": 0.0012, "p99": 0.004})
    book.note(0, "cross-latency", BARE, {"p50": 0.0004, "p99": 0.001})
    book.failures["cross-latency", "socketio"] = "it is not installed"
    made = result(book, quick(), {"cores": "2"})
    made.page.write(tmp_path)
    text, plot = (tmp_path / "cluster.md").read_text(), (tmp_path / "cluster.svg").read_text()
    assert "| gobroke_dist | 1.20 | 4.00 | 3.00 |" in text
    assert "| from node to node, p50, by the bare pub/sub hop | ≤ 2× | 3.00× | **not reached** |" in text
    assert "it is not installed" in text
    assert "## List of clients" not in text
    assert "1.20" in plot
    assert [goal["reached"] for goal in made.plain["goals"]].count(None) == len(CLUSTER_GOALS) - 1


def test_a_run_has_as_many_clients_as_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the page says so."""
    cases = full().cases
    monkeypatch.setattr("tests.bench.cluster_path.open_files", lambda most: min(most, 1000))
    made, note = fitted(cases)
    assert {case.name: case.clients for case in made if case.kind in ("broadcast", "idle")} == {
        "broadcast": 2000,
        "idle-0": 0,
        "idle": 2000,
    }
    assert list(note.values()) == ["allows 1,000 clients on a node instead of 5,000"]
    monkeypatch.setattr("tests.bench.cluster_path.open_files", lambda most: most)
    assert fitted(cases) == (cases, {})


def test_a_limit_that_is_high_enough_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not is raised as far as it may be."""
    raised = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: raised.append(limits))
    assert stage.open_files(500) == 500
    assert raised == []
    assert stage.open_files(2500) == 2500
    assert stage.open_files(100_000) == 4096 - 200
    assert raised == [(2700, 4096), (4096, 4096)]


def test_the_turns_of_a_round_come_before_those_of_the_next() -> None:
    """Whoever is named; a quick run has one round, and no case without contestants."""
    plan = full(("cross-rate",))
    assert [(number, name) for number, _, name in plan.turns()][:5] == [
        (0, "gobroke"),
        (0, "socketio"),
        (0, "channels"),
        (0, "channels-list"),
        (1, "gobroke"),
    ]
    assert {number for number, _, _ in quick().turns()} == {0}
    assert all(case.contestants for case in quick().cases)
    assert full(("base",)).cases == ()
