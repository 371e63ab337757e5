"""Sets of public keys (RFC 7517), read from a file or a URL, and kept."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gobroke_dist.errors import AuthenticationUnavailable

if TYPE_CHECKING:
    from jwt import PyJWK

log = logging.getLogger(__name__)

FETCH_TIMEOUT: Final = 5.0
"""Seconds that a URL may be silent."""

MAX_SIZE: Final = 1 << 20
"""How many bytes a set may have."""

_FAMILIES: Final = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


def family(algorithm: str) -> str | None:
    """The type of key (``kty``) that an algorithm needs; None: it is no algorithm for signing tokens."""
    known = {f"{kind}{bits}" for kind in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA"}
    return _FAMILIES[algorithm[:2]] if algorithm in known else None


class KeySet:
    """Keys by their ids. They are read when they are first needed, again when they are old, and when a token names one
    that is not known, but not more often than every ``cooldown`` seconds. While that fails, the last ones count.

    Args:
        source: a file, or a URL.
        refresh: seconds after which they are old.
        cooldown: seconds from one reading to the next.
        monotonic: seconds that never go back.

    Raises:
        ValueError: the URL is none of http or https.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        refresh: float,
        cooldown: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        text = str(source)
        self._url = text if "://" in text else None
        if self._url is not None and not text.startswith(("https://", "http://")):
            raise ValueError(f"jwks is a file, or an https or http URL, not {text.partition('://')[0]}://")
        self._path = Path(source) if self._url is None else None
        self._refresh = refresh
        self._cooldown = cooldown
        self._monotonic = monotonic
        self._keys: tuple[PyJWK, ...] = ()
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def find(self, kid: object, algorithm: str) -> PyJWK | None:
        """The key of this id for this algorithm; without an id, the only key for it. None: there is none.

        Raises:
            AuthenticationUnavailable: there are no keys at all.
        """
        old = self._monotonic() - self._read_at >= self._refresh
        if old and self._may_read():
            reading = self._start()
            if not self._keys:
                await asyncio.shield(reading)
        found = self._known(kid, algorithm)
        if found is None and (self._may_read() or self._is_reading()):
            await asyncio.shield(self._start())
            found = self._known(kid, algorithm)
        if not self._keys:
            raise AuthenticationUnavailable("there are no keys to check tokens with")
        return found

    def _known(self, kid: object, algorithm: str) -> PyJWK | None:
        fitting = [key for key in self._keys if _fits(key, algorithm) and (kid is None or key.key_id == kid)]
        return fitting[0] if len(fitting) == 1 else None

    def _may_read(self) -> bool:
        return not self._is_reading() and self._monotonic() - self._tried_at >= self._cooldown

    def _is_reading(self) -> bool:
        reading = self._reading
        return reading is not None and not reading.done() and reading.get_loop() is asyncio.get_running_loop()

    def _start(self) -> asyncio.Task[None]:
        """Read them now, or join who does."""
        if self._reading is None or not self._is_reading():
            self._tried_at = self._monotonic()
            self._reading = asyncio.get_running_loop().create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._load)
            self._read_at = self._monotonic()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the last set counts
            kept = f"the last {len(self._keys)} keys stay in use" if self._keys else "no token can be checked"
            log.warning("the keys at %s can't be read (%s); %s", self._url or self._path, error, kept)

    def _load(self) -> tuple[PyJWK, ...]:
        text = _fetch(self._url) if self._url is not None else _file(self._path)
        listed = json.loads(text)["keys"]
        keys = [key for one in listed if (key := _parsed(one)) is not None]
        if not keys:
            raise ValueError("there is no key in it that can be used")
        return tuple(keys)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever could redirect to anywhere could choose the keys."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - KeySet looks at it
    with opener.open(request, timeout=FETCH_TIMEOUT) as answer:
        return _bounded(answer.read(MAX_SIZE + 1))


def _file(path: Path | None) -> bytes:
    assert path is not None
    with path.open("rb") as file:
        return _bounded(file.read(MAX_SIZE + 1))


def _bounded(text: bytes) -> bytes:
    if len(text) > MAX_SIZE:
        raise ValueError(f"it has more than {MAX_SIZE} bytes")
    return text


def _parsed(listed: object) -> PyJWK | None:
    """One key of a set; None: it is of a kind that is not known, or not for signatures, which is no error."""
    import jwt  # noqa: PLC0415

    if not isinstance(listed, dict) or listed.get("use", "sig") != "sig":
        return None
    try:
        return jwt.PyJWK(listed)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def _fits(key: PyJWK, algorithm: str) -> bool:
    # RFC 8725, section 3.1: a key is used with one algorithm; without one of its own, with those of its type
    own = key._jwk_data.get("alg")
    return key.key_type == family(algorithm) and own in (None, algorithm)
