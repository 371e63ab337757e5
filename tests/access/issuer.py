"""Signs tokens, and serves the keys to check them with."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "a secret of the tests, that is long enough"


class Key:
    """A private key with an id."""

    def __init__(self, kid: str, algorithm: str = "RS256") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: Any = _made(algorithm)

    @property
    def pem(self) -> str:
        """Its public part."""
        public = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return str(public.decode())

    @property
    def jwk(self) -> dict[str, Any]:
        """Its public part, in a set."""
        kind = jwt.get_algorithm_by_name(self.algorithm)
        made = json.loads(kind.to_jwk(self.private.public_key()))
        return {**made, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, client: str = "ann", **claims: Any) -> str:
        """A token of this key; see ``claims_of``."""
        return jwt.encode(claims_of(client, **claims), self.private, self.algorithm, headers={"kid": self.kid})


def claims_of(client: str = "ann", *, seconds: float = 60, age: float = 0, **more: Any) -> dict[str, Any]:
    """Claims that are good; ``more`` adds some, or with None takes one away."""
    now = time.time()
    made = {"sub": client, "iat": int(now - age), "exp": now + seconds} | more
    return {name: value for name, value in made.items() if value is not None}


def signed(client: str = "ann", *, secret: str = SECRET, **claims: Any) -> str:
    """A token with a shared secret."""
    return jwt.encode(claims_of(client, **claims), secret, "HS256")


class Issuer:
    """An HTTP server with a key set.

    Attributes:
        keys: that it serves.
        asked: how often.
        answer: in place of the keys.
        elsewhere: the key of another set, to which a redirection leads.
        status: of its answers.
    """

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.status = 200
        self.answer: bytes | None = None
        self.elsewhere: Key | None = None
        self.url = ""

    @property
    def text(self) -> bytes:
        return self.answer if self.answer is not None else json.dumps({"keys": [key.jwk for key in self.keys]}).encode()


@contextmanager
def serving(*keys: Key) -> Iterator[Issuer]:
    """An issuer, for as long as the block runs."""
    issuer = Issuer(*keys)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            redirected = issuer.elsewhere is not None and self.path.endswith("/elsewhere")
            text = json.dumps({"keys": [issuer.elsewhere.jwk]}).encode() if redirected else issuer.text
            self.send_response(200 if redirected else issuer.status)
            self.send_header("Location", issuer.url + "/elsewhere")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}/keys"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _made(algorithm: str) -> PrivateKeyTypes:
    if algorithm.startswith("ES"):
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
