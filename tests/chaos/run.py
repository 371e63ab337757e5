"""One run: a deployment, a load, and the faults of a schedule; and what came of it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gobroke_dist.audit.driver import Audit, Plan
from gobroke_dist.audit.journal import Journal, dump
from gobroke_dist.audit.load import Load
from gobroke_dist.audit.logic import RECORD_URL
from gobroke_dist.audit.record import Ended, Outage
from gobroke_dist.audit.verdict import Verdict, judge
from gobroke_dist.audit.violations import Violation
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from tests.chaos.residue import residue
from tests.chaos.sabotage import VARIABLE
from tests.chaos.schedule import Fault, Pace, plan
from tests.chaos.servers import ProxyProcess, RedisServer
from tests.chaos.workers import Workers, find_faketime
from tests.eventually import eventually

TAKEOVER_BOUND = 3.0
LEASE = 2.0
CLOCK_AHEAD = 3600
_STREAM = "record"
_READY_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is run.

    Attributes:
        name: for people.
        seed: of everything that is chosen.
        seconds: for which messages are sent, and faults happen.
        load: the messages.
        pace: the faults.
        workers, threads: the deployment.
        cut: share of requests, and of replies, that are cut.
        patience: seconds without progress after which what is missing is lost.
        sabotage: the guard that is taken out; none.
        dedup_window: seconds.
        skewed: the place whose clock is an hour ahead; None: no place.
        server: path of the redis-server; None: as the embedded Redis finds it.
    """

    name: str
    seed: int
    seconds: float
    load: Load
    pace: Pace = field(default_factory=Pace)
    workers: int = 4
    threads: int = 8
    cut: float = 0.05
    patience: float = 40.0
    sabotage: str = ""
    dedup_window: float = 300.0
    skewed: int | None = None
    server: str | None = None

    @property
    def schedule(self) -> tuple[Fault, ...]:
        """The faults, in order."""
        return plan(self.seed, self.seconds, workers=self.workers, lease=LEASE, pace=self.pace)


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        verdict: of the audit.
        facts: what was done, and how the deployment bore it, by name.
        froze: seconds for which each freeze kept a command waiting.
        refusals: why messages were refused, with counts.
        residue: what the queues still hold when all is done, by key.
        gave_up: why the audit ended early; empty: it did not.
    """

    scenario: Scenario
    verdict: Verdict
    facts: Counter[str]
    froze: list[float]
    refusals: Counter[str]
    residue: dict[str, int]
    gave_up: str = ""
    redis_version: str = ""

    @property
    def violations(self) -> Sequence[Violation]:
        """Every broken promise about messages."""
        return self.verdict.violations

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.verdict.good and not self.residue and not self.gave_up


@dataclass(slots=True)
class _Stage:
    """Everything that runs."""

    scenario: Scenario
    folder: Path
    server: RedisServer
    notebook: RedisServer
    proxy: ProxyProcess
    settings: Settings
    journal: Journal
    audit: Audit
    workers: Workers
    facts: Counter[str] = field(default_factory=Counter)
    froze: list[float] = field(default_factory=list)


async def run(scenario: Scenario, *, keep: Path | None = None) -> Outcome:
    """Carry a scenario out.

    Args:
        scenario: what to run.
        keep: a folder for the record and the workers' logs; None: they are not kept.
    """
    with tempfile.TemporaryDirectory(prefix="gb-chaos-", ignore_cleanup_errors=True) as folder:
        async with _staged(scenario, Path(folder)) as stage:
            gave_up = await _played(stage)
            outcome = await _judged(stage, gave_up)
        outcome.facts.update(stage.workers.counts)
        if keep is not None:
            _keep(stage, keep)
        return outcome


@asynccontextmanager
async def _staged(scenario: Scenario, folder: Path) -> AsyncIterator[_Stage]:
    server, notebook = RedisServer(folder / "r", program=scenario.server), RedisServer(folder / "n", append_only=False)
    server.start()
    notebook.start()
    proxy = ProxyProcess(server.socket, scenario.seed)
    settings = Settings(
        redis_url=proxy.url,
        prefix="chaos",
        worker_lease=LEASE,
        redis_timeout=2.0,
        drain_timeout=5.0,
        dedup_window=scenario.dedup_window,
        threads=scenario.threads,
        log_level="warning",
    )
    journal = Journal(notebook.url, _STREAM)
    rate = scenario.load.total / scenario.seconds
    audit = Audit(
        settings,
        ["audit", "async_audit"],
        Plan(scenario.load, rate=rate, patience=scenario.patience, linger=LEASE + 2),
        journal=journal,
        stream=_STREAM,
    )
    workers = Workers(
        scenario.workers,
        command=["-m", "tests.chaos.worker", str(folder), "worker", "tests.chaos.app:broke"],
        environment=_environment(settings, notebook, scenario),
        folder=folder,
        note=audit.note,
        now=audit.now,
        own_environment=_skewed(scenario),
    )
    stage = _Stage(scenario, folder, server, notebook, proxy, settings, journal, audit, workers)
    try:
        yield stage
        await workers.stop()
    finally:
        workers.kill_all()
        proxy.stop()
        journal.close()
        server.stop()
        notebook.stop()


def _environment(settings: Settings, notebook: RedisServer, scenario: Scenario) -> dict[str, str]:
    values = settings.model_dump(mode="json", exclude_none=True)
    named = {f"GOBROKE_{name.upper()}": str(value) for name, value in values.items()}
    return {**named, RECORD_URL: notebook.url, VARIABLE: scenario.sabotage, "PYTHONPATH": os.getcwd()}


def _skewed(scenario: Scenario) -> dict[int, dict[str, str]]:
    library = find_faketime()
    if scenario.skewed is None or library is None:
        return {}
    fake = {"LD_PRELOAD": library, "FAKETIME": f"+{CLOCK_AHEAD}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return {scenario.skewed: {**fake, "NO_FAKE_STAT": "1"}}


async def _played(stage: _Stage) -> str:
    """Sends, disturbs, and waits until it is over. Returns why it gave up, or nothing."""
    stage.workers.start()
    await _until_ready(stage)
    stage.proxy.order(cut=stage.scenario.cut)
    disturbing = asyncio.create_task(_disturb(stage), name="chaos")
    limit = 2 * stage.scenario.seconds + 4 * stage.scenario.patience
    try:
        await asyncio.wait_for(stage.audit.run(), limit)
    except RedisUnavailable as error:
        return str(error)
    except TimeoutError:
        return f"no end after {limit:g} s"
    finally:
        disturbing.cancel()
        await asyncio.wait([disturbing])
        if not disturbing.cancelled():
            disturbing.result()
    return ""


async def _until_ready(stage: _Stage) -> None:
    await eventually(lambda: len(_heartbeats(stage)) >= stage.scenario.workers, within=_READY_TIMEOUT)


def _heartbeats(stage: _Stage) -> Sequence[bytes]:
    found: Sequence[bytes] = stage.server.client.zrange("chaos:dramatiq:__heartbeats__", 0, -1)  # type: ignore[assignment]
    return found


async def _disturb(stage: _Stage) -> None:
    """Carries the schedule out. Faults of different kinds overlap, as they fall."""
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for fault in stage.scenario.schedule:
            await asyncio.sleep(max(0.0, began + fault.at - asyncio.get_running_loop().time()))
            group.create_task(_inflict(stage, fault))


async def _inflict(stage: _Stage, fault: Fault) -> None:
    match fault.what:
        case "kill":
            stage.workers.kill(fault.slot)
        case "term":
            stage.workers.term(fault.slot)
        case "stop":
            await stage.workers.pause(fault.slot, fault.seconds)
        case "freeze":
            since = stage.audit.now()
            stage.froze.append(round(await stage.server.freeze(fault.seconds), 1))
            stage.audit.note(Outage("freeze", since, stage.audit.now()))
        case "redis":
            since = stage.audit.now()
            stage.facts["Redis came back with its data"] += await asyncio.to_thread(stage.server.kill_and_restart)
            stage.audit.note(Outage("redis", since, stage.audit.now()))
        case "full":
            await _fill(stage, fault.seconds)
        case "hold":
            since = stage.audit.now()
            stage.facts["holds"] += 1
            stage.proxy.order(hold=0.5)
            await asyncio.sleep(fault.seconds)
            stage.proxy.order(release=1)
            # Half of the connections lead nowhere: those over which the others would find a dead worker, maybe.
            stage.audit.note(Outage("hold", since, stage.audit.now()))


async def _fill(stage: _Stage, seconds: float) -> None:
    since = stage.audit.now()
    stage.facts["commands refused for memory"] += await stage.server.fill(seconds)
    until = stage.audit.now()
    ends = (one for one in stage.audit.record if isinstance(one, Ended))
    stage.facts["runs ended while memory was full"] += sum(since <= one.at <= until for one in ends)


async def _judged(stage: _Stage, gave_up: str) -> Outcome:
    for name, count in stage.proxy.order(cut=0.0).items():
        stage.facts[name] = count
    stage.facts["duplicates refused"] = stage.audit.metrics.counts["duplicates"]
    left = await residue(stage.server.client, stage.settings, within=15.0)
    return Outcome(
        scenario=stage.scenario,
        verdict=judge(stage.audit.record, takeover_bound=int(TAKEOVER_BOUND * 1000)),
        facts=stage.facts,
        froze=stage.froze,
        refusals=stage.audit.refusals,
        residue=left,
        gave_up=gave_up,
        redis_version=stage.server.version(),
    )


def _keep(stage: _Stage, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record").write_text("".join(dump(stage.audit.record)))
    for log in stage.folder.glob("worker-*.log"):
        (folder / log.name).write_bytes(log.read_bytes())
