"""TLS, with an authority that is made for the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from gobroke_dist.backends.redis import overview
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from tests.eventually import eventually
from tests.topologies.failover import neighbours
from tests.topologies.product import works
from tests.topologies.servers import HOST, SLOTS, Server, running

Files = tuple[Path, Path, Path]


@pytest.fixture
def files(folder: Path) -> Files:
    """An authority's certificate, and a certificate of it with its key."""
    authority = trustme.CA()
    issued = authority.issue_cert(HOST, "localhost")
    made = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(str(made[0]))
    issued.cert_chain_pems[0].write_to_path(str(made[1]))
    issued.private_key_pem.write_to_path(str(made[2]))
    return made


async def test_c9_everything_works_with_tls_and_a_certificate_of_the_client(
    folder: Path, files: Files, settings_for: Callable[..., Settings]
) -> None:
    authority, certificate, key = files
    server = Server(folder, "tls-auth-clients yes", tls=files)
    url = f"rediss://{HOST}:{server.port}/0"
    with running([server]):
        with pytest.raises(RedisUnavailable):
            overview.ping(settings_for(url, redis_tls_ca=authority))
        await works(settings_for(url, redis_tls_ca=authority, redis_tls_certificate=certificate, redis_tls_key=key))


def test_c9_a_certificate_of_an_unknown_authority_is_refused(
    folder: Path, files: Files, settings_for: Callable[..., Settings]
) -> None:
    server = Server(folder, "tls-auth-clients no", tls=files)
    url = f"rediss://{HOST}:{server.port}/0"
    with running([server]):
        overview.ping(settings_for(url, redis_tls_ca=files[0]))
        with pytest.raises(RedisUnavailable, match="certificate verify failed"):
            overview.ping(settings_for(url))


async def test_c9_a_cluster_is_reached_with_tls_by_threads_and_event_loops(
    folder: Path, files: Files, settings_for: Callable[..., Settings]
) -> None:
    """One of a single node, which has all slots."""
    options = ("cluster-enabled yes", "tls-cluster yes", "tls-auth-clients no")
    server = Server(folder, *options, tls=files)
    settings = settings_for(f"rediss+cluster://{HOST}:{server.port}", redis_tls_ca=files[0])
    with running([server]):
        server.client.execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS))
        await eventually(lambda: b"cluster_state:ok" in server.client.execute_command("CLUSTER", "INFO"))
        async with neighbours(settings) as check:
            await check()
            assert [member.node for member in overview.read(settings, {}).members] == ["n1"]
