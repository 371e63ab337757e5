"""What endpoints show to their clients."""

from __future__ import annotations

import ssl

from gobroke_dist.errors import CouldNotCreateServer
from gobroke_dist.settings import Settings


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS with ``tls_certificate`` and ``tls_key``, 1.2 or newer; None: it is not wanted.

    Raises:
        CouldNotCreateServer: the files can't be used, or one of them is missing.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise CouldNotCreateServer("TLS needs both GOBROKE_TLS_CERTIFICATE and GOBROKE_TLS_KEY")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise CouldNotCreateServer(f"{certificate} and {key} can't be used for TLS: {error}") from error
    return context
