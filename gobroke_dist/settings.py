"""Everything that can be set, from the environment (``GOBROKE_…``) or by keyword."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gobroke_dist import topology

_SHORTEST_TOKEN = 16


class Settings(BaseSettings):
    """Times are seconds, sizes are bytes.

    In an application that runs, a command-line flag wins over the environment, and the environment over what the
    application's own code says: who deploys has the last word. See ``effective``.
    """

    model_config = SettingsConfigDict(env_prefix="GOBROKE_", extra="forbid", frozen=True, hide_input_in_errors=True)

    redis_url: str | None = Field(
        default=None,
        description="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL; unset: `run` starts one",
    )
    redis_tls_ca: Path | None = Field(
        default=None,
        description="file of authorities that may sign the certificate of a rediss:// Redis, besides the system's",
    )
    redis_tls_certificate: Path | None = Field(
        default=None, description="file of this client's certificate, if Redis asks for one"
    )
    redis_tls_key: Path | None = Field(default=None, description="file of the private key of that certificate")
    sentinel_username: str | None = Field(default=None, description="user name for the Sentinels themselves")
    sentinel_password: str | None = Field(default=None, description="password for the Sentinels themselves")
    prefix: str = Field(
        default="gobroke",
        pattern=r"^[A-Za-z0-9_.{}-]+$",
        validate_default=True,
        description="first part of every Redis key; a Redis Cluster needs it in braces, and it gets them there",
    )
    node_id: str | None = Field(
        default=None, description="name of this process in logs and status; a suffix makes it unique"
    )
    data_dir: Path = Field(default=Path(".gobroke"), description="where the embedded Redis keeps its append-only file")

    channel_size: int = Field(
        default=1024, ge=1, description="messages that one client's outbox, or the stub's channel, holds"
    )
    outbox_bytes: int = Field(default=1 << 20, ge=1024, description="bytes that one client's outbox holds")
    slow_consumers: Literal["disconnect", "drop_oldest", "drop_newest"] = Field(
        default="disconnect",
        description="what becomes of a client whose outbox is full: it is closed with 4001, or loses its oldest or "
        "newest frames and is told so; an endpoint may have its own answer",
    )
    max_frame: int = Field(default=1 << 20, ge=16, description="largest frame that a client may send")
    client_groups: bool = Field(
        default=False, description="whether a client's frame may name groups in to_group, of those that it is in"
    )
    presence_grace: float = Field(
        default=2.0,
        ge=0,
        description="how long a client may be gone that joins its groups again without having left them",
    )
    max_connections: int = Field(
        default=20_000, ge=0, description="clients that one edge holds; one more is refused; 0: any number"
    )
    max_connections_per_address: int = Field(
        default=1000,
        ge=0,
        description="clients of one edge that come from one address, or one /64 of IPv6; 0: any number",
    )
    max_connects: float = Field(
        default=500.0, ge=0, description="clients that one edge lets in per second, on average; 0: any number"
    )
    connect_burst: int = Field(default=1000, ge=1, description="clients that one edge lets in at once")
    max_messages: float = Field(
        default=100.0, ge=0, description="messages that a client may send per second, on average; 0: any number"
    )
    message_burst: int = Field(default=200, ge=1, description="messages that a client may send at once")
    handshake_timeout: float = Field(
        default=10.0, gt=0, description="time that a connection has to say what it wants, and again to be authenticated"
    )
    idle_timeout: float = Field(
        default=3600.0,
        ge=0,
        description="time without a message from or to a client, after which it is closed; 0: never",
    )
    trusted_proxies: str = Field(
        default="",
        description="networks, separated by commas, of the load balancers whose X-Forwarded-For is believed",
    )
    tls_certificate: Path | None = Field(
        default=None, description="file of the certificate chain that endpoints show to clients; unset: no TLS"
    )
    tls_key: Path | None = Field(default=None, description="file of the private key of that certificate")
    revocation_ttl: float = Field(
        default=86_400.0, gt=0, description="how long a revocation is remembered; tokens that live longer are refused"
    )
    ping_interval: float = Field(default=20.0, gt=0, description="time between pings to a client")
    ping_timeout: float = Field(default=10.0, gt=0, description="time a client has to answer a ping")

    duplicate_clients: Literal["reject", "replace"] = Field(
        default="reject",
        description="what becomes of a second connection of a client: it is refused, or it takes the place of the "
        "first, which is closed; `replace` is for endpoints that know who connects",
    )

    log_length: int = Field(
        default=10_000, ge=100, description="messages to one node that Redis keeps, for when the node misses some"
    )
    recovery_window: float = Field(
        default=120.0, gt=0, description="how long Redis keeps messages for nodes and clients that come back"
    )
    redis_timeout: float = Field(default=5.0, gt=0, description="longest wait for one answer of Redis")
    wait_replicas: int = Field(
        default=0,
        ge=0,
        description="how many replicas must have a message before it counts as accepted; a failover then loses none",
    )
    pending_limit: int = Field(
        default=10_000, ge=1, description="messages that wait in this process to be sent to Redis"
    )
    full_timeout: float = Field(
        default=5.0, ge=0, description="how long a message waits for room in a full queue before it is refused"
    )
    node_lease: float = Field(
        default=5.0,
        ge=0.5,
        description="after this silence an edge is gone, with its clients; a worker stays listed three times as long",
    )
    worker_lease: float = Field(default=10.0, ge=0.5, description="after this silence a worker loses its messages")
    dedup_window: float = Field(
        default=300.0, ge=0, description="how long a (logic, message uuid) is accepted only once"
    )
    dead_message_ttl: float = Field(default=7 * 86400.0, gt=0, description="how long a dead letter is kept")
    request_timeout: float = Field(default=5.0, gt=0, description="longest wait for another node's answer")
    drain_timeout: float = Field(
        default=25.0, gt=0, description="time that a process has to end: an edge sends its clients away, work finishes"
    )
    drain_rate: float = Field(
        default=500.0,
        gt=0,
        description="clients per second that an edge sends away at its end; more if half of drain_timeout needs it",
    )
    retry_spread: float = Field(
        default=2.0,
        ge=0,
        description="clients of an edge that ends are told to come back after a random time, at most this long",
    )

    processes: int = Field(default=1, ge=1, description="worker processes that `gobroke worker` starts")
    threads: int = Field(default=8, ge=1, description="threads of each worker process")
    host: str | None = Field(default=None, description="address that the endpoints listen on, instead of their own")
    port: int | None = Field(
        default=None, ge=0, le=65535, description="port of the first endpoint, instead of its own; 0: any"
    )

    api_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of each edge's HTTP API; unset: there is none; 0: any"
    )
    api_host: str = Field(default="127.0.0.1", description="address that the HTTP API listens on")
    api_tls_certificate: Path | None = Field(
        default=None, description="file of the certificate chain that the HTTP API shows; unset: no TLS"
    )
    api_tls_key: Path | None = Field(default=None, description="file of the private key of that certificate")
    api_tokens: str = Field(
        default="",
        repr=False,
        description="tokens of the HTTP API, separated by commas, of at least 16 characters; each of them is good",
    )

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis(cls, url: str | None) -> str | None:
        if url is not None:
            topology.read(url)
        return url

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in filter(None, map(str.strip, text.split(","))):
            ip_network(part)
        return text

    @field_validator("api_tokens")
    @classmethod
    def _are_tokens(cls, text: str) -> str:
        for token in filter(None, map(str.strip, text.split(","))):
            if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
                raise ValueError(f"a token has at least {_SHORTEST_TOKEN} visible ASCII characters")
        return text

    @field_validator("prefix")
    @classmethod
    def _fits_the_redis(cls, prefix: str, info: ValidationInfo) -> str:
        url = info.data.get("redis_url")
        return topology.in_one_slot(prefix) if url and topology.read(url).kind == "cluster" else prefix

    @property
    def redis_address(self) -> str:
        """The URL of the Redis in use: the one configured, else that of our own server in the data folder."""
        return self.redis_url or f"unix://{quote(str(self.data_dir.absolute() / 'redis.sock'))}"

    @property
    def api_token_list(self) -> list[str]:
        """The tokens of the HTTP API."""
        return [token for token in map(str.strip, self.api_tokens.split(",")) if token]

    @property
    def kept(self) -> tuple[int, int]:
        """How many messages to a node its log keeps, and for how many milliseconds."""
        return self.log_length, int(self.recovery_window * 1000)

    @property
    def namespace(self) -> str:
        """Dramatiq's namespace: the first part of every key that Dramatiq's own tools read."""
        return f"{self.prefix}:dramatiq"


def effective(declared: Settings | None = None, **given: Any) -> Settings:
    """What is in force: the environment wins over the application's own settings, and what is given over both.

    Args:
        declared: the application's.
        given: by the setting's name; None: not given.

    Raises:
        pydantic.ValidationError: a value can't be used.
    """
    environment = Settings()
    own = {} if declared is None else declared.model_dump(include=declared.model_fields_set)
    from_environment = environment.model_dump(include=environment.model_fields_set)
    return Settings(**own | from_environment | {name: value for name, value in given.items() if value is not None})
