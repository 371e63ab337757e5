"""The real dramatiq-dashboard over an application's queues."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from gobroke_dist import LogicBase, LogicType, Message
from gobroke_dist.tasks.broker import OrderedBroker
from tests.eventually import eventually_sync
from tests.tools.conftest import send

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from dramatiq_dashboard import DashboardApp


class Flaky(LogicBase):
    """Fails until it is mended."""

    logic_type = LogicType.WORKER
    max_attempts = 1

    def __init__(self) -> None:
        super().__init__("flaky")
        self.mended = threading.Event()
        self.runs: list[bytes] = []

    def run_logic(self, message: Message) -> None:
        if not self.mended.is_set():
            raise ValueError("not yet")
        self.runs.append(message.message_raw)


class Browser:
    """Asks the dashboard as a browser would, cookie and token included."""

    def __init__(self, broker: OrderedBroker) -> None:
        self._app = DashboardApp(broker=broker, prefix="")
        self._cookie = ""

    def get(self, path: str) -> str:
        return self._ask("GET", path, b"")[1]

    def post(self, path: str, seen: str, **form: str) -> str:
        token = re.search(r'name="__dd_csrf" value="(\w+)"', seen)
        assert token is not None
        return self._ask("POST", path, urlencode({"__dd_csrf": token[1], **form}).encode())[0]

    def _ask(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        answered: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            answered.update(status=status, headers=dict(headers))

        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
        environ |= {"CONTENT_LENGTH": str(len(body)), "HTTP_COOKIE": self._cookie}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses datetime.utcfromtimestamp
            content = b"".join(self._app(environ, start_response)).decode()
        self._cookie = answered["headers"].get("set-cookie", self._cookie).split(";")[0]
        return answered["status"], content


def test_w17_the_dashboard_shows_queues_and_requeues_a_dead_letter(start: Callable[..., OrderedBroker]) -> None:
    """A failed message is listed, its page shows its payload, and its requeue button runs it again."""
    logic = Flaky()
    broker = start(logic)
    send(broker, logic, b"the payload")
    browser = Browser(broker)
    page = eventually_sync(lambda: _with(browser.get("/queues/flaky/failed"), "/queues/flaky/failed/"), within=10)
    redis_id = re.search(r"/queues/flaky/failed/([\w-]+)", page)
    assert redis_id is not None
    assert "flaky" in browser.get("/")
    seen = browser.get(f"/queues/flaky/failed/{redis_id[1]}")
    assert "the payload" in seen
    logic.mended.set()
    assert browser.post("/requeue-message", seen, queue="flaky.XQ", id=redis_id[1]) == "302 Found"
    eventually_sync(lambda: logic.runs == [b"the payload"], within=10)
    eventually_sync(lambda: broker.do_qsize("flaky") == 0, within=10)
    assert "/queues/flaky/failed/" not in browser.get("/queues/flaky/failed")


def test_w17_the_dashboard_deletes_a_waiting_head_and_its_key_goes_on(start: Callable[..., OrderedBroker]) -> None:
    """A message that an operator deletes while others of its key wait behind it does not hold them up."""
    logic = Waiting()
    broker = start(logic)
    first = send(broker, logic, b"running")
    eventually_sync(lambda: logic.runs == [b"running"], within=10)
    second = send(broker, logic, b"deleted")
    send(broker, logic, b"after")
    browser = Browser(broker)
    assert {first, second} <= set(re.findall(r"/queues/waiting/standard/([\w-]+)", browser.get("/queues/waiting")))
    seen = browser.get(f"/queues/waiting/standard/{second}")
    assert browser.post("/delete-message", seen, queue="waiting", id=second) == "302 Found"
    logic.go.set()
    eventually_sync(lambda: logic.runs == [b"running", b"after"], within=10)


class Waiting(LogicBase):
    """Waits until it may go on."""

    logic_type = LogicType.WORKER

    def __init__(self) -> None:
        super().__init__("waiting")
        self.go = threading.Event()
        self.runs: list[bytes] = []

    def run_logic(self, message: Message) -> None:
        self.runs.append(message.message_raw)
        assert self.go.wait(20)


def _with(page: str, text: str) -> str | None:
    return page if text in page else None
