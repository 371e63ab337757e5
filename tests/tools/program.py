"""An application for Dramatiq's own tools, as its users would write it: they add middleware to ``broke.broker``."""

from __future__ import annotations

import os

import sentry_sdk
from dramatiq.middleware.prometheus import Prometheus
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dramatiq import DramatiqIntegration
from sentry_sdk.transport import Transport

from endpoints import StubEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Message


class Printing(Transport):
    """What would go to Sentry goes to standard output."""

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            event = item.get_event()
            if event is not None:
                raised = event["exception"]["values"][-1]["value"]
                print(f"sentry: {event['transaction']}: {raised}: {sorted(event['contexts'])}", flush=True)


class Fragile(LogicBase):
    """Fails on a message's first run if told to."""

    logic_type = LogicType.WORKER
    min_backoff = 0.05

    def run_logic(self, message: Message) -> None:
        if message.message_raw == b"fail once" and message.delivery.attempt == 1:
            raise ValueError("as told")
        if message.message_raw == b"fail":
            raise ValueError("for ever")


if os.environ.get("WITH_SENTRY"):
    sentry_sdk.init("http://key@127.0.0.1:1/1", transport=Printing, integrations=[DramatiqIntegration()])

broke = Broke(StubEndpoint())
broke.add_logic(Fragile())
if os.environ.get("WITH_PROMETHEUS"):
    broke.broker.add_middleware(Prometheus())
