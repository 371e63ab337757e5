"""Programs made up from the OpenAPI document, against an edge in a process of its own (contract O4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from gobroke_dist.ops.openapi import document
from tests.ops.test_processes import TOKEN, edge_with_api

# Who shows no token is tried elsewhere: after ten of those nobody from this address is answered.
schema = schemathesis.openapi.from_dict({name: part for name, part in document().items() if name != "security"})


@pytest.fixture(scope="module")
def url(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("document")
    environment = {
        "GOBROKE_REDIS_URL": redis_url,
        "GOBROKE_PREFIX": f"t{uuid4().hex[:12]}",
        "GOBROKE_API_TOKENS": TOKEN,
        "FUNDS": str(folder / "funds"),
    }
    with edge_with_api(environment) as address:
        yield address


@schema.parametrize()
@settings(max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_o4_every_call_is_answered_as_the_document_says(case: Case, url: str) -> None:
    """Status, media type and body are documented, whatever is sent that the document allows, or does not."""
    # JSON Schema can't say all that a call must be: one form of a payload, the cursor of a page that there was.
    beyond = [positive_data_acceptance]
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=beyond)
