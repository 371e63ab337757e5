"""The application object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from gobroke_dist.access.policy import Authorise, checked
from gobroke_dist.client import Client
from gobroke_dist.declaration import check
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.errors import LogicAlreadyExists, NoEndpointProvided, NotRunning
from gobroke_dist.identity import Authenticator
from gobroke_dist.logic import LogicBase, Operations, logic_name
from gobroke_dist.message import Message
from gobroke_dist.middleware import Middleware
from gobroke_dist.roles import run_together, together
from gobroke_dist.runner import OnLogicError
from gobroke_dist.runtime import Application
from gobroke_dist.settings import Settings, effective
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.lifecycle import make_default
from gobroke_dist.worker import WorkerRole


class Broke:
    """One application: its endpoints, logics, middleware and settings. Make one at module level; every role
    loads the same object unchanged (contract A1). ::

        broke = Broke(WebSocketEndpoint(port=8080))
        broke.add_logic(Chat())

    The calls that send, look up and remove follow the colour of their caller: on an event loop they return an
    awaitable, on any other thread they block and return the value.

    Args:
        endpoint: how clients reach an edge: one endpoint, or several.
        redis: URL of Redis, as ``Settings.redis_url``.
        channel_size: messages that one client's outbox holds, as ``Settings.channel_size``.
        on_logic_error: called with the logic's name, the message, the exception and the formatted stack
            whenever a logic raises (the seed's ``WithOnLogicPanic``). It must not block.
        authenticator: says who a client is that connects (``JWTAuthenticator``, or an ``async def`` function of a
            ``ConnectRequest``); None: everybody may, as whoever they say.
        authorise: says which recipients a client may address: ``(client, kind, name) -> bool``, with the kind
            ``"logic"``, ``"client"``, ``"group"`` or ``"all"``; None: all. It must not block, and can't be async.
        settings: everything else. What the environment says (``GOBROKE_…``) wins over what is said here.

    Raises:
        NoEndpointProvided: there is none.
        TypeError: ``authorise`` is async.
    """

    def __init__(
        self,
        endpoint: Endpoint | Iterable[Endpoint] | None = None,
        *,
        redis: str | None = None,
        channel_size: int | None = None,
        on_logic_error: OnLogicError | None = None,
        authenticator: Authenticator | None = None,
        authorise: Authorise | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.endpoints = _several(endpoint)
        if not self.endpoints:
            raise NoEndpointProvided
        given = {"redis_url": redis, "channel_size": channel_size}
        said = {name: value for name, value in given.items() if value is not None}
        self.settings = effective((settings or Settings()).model_copy(update=said))
        self._logics: dict[str, LogicBase] = {}
        self._receive_middleware: list[Middleware] = []
        self._send_middleware: list[Middleware] = []
        self._on_logic_error = on_logic_error
        self._authenticator = authenticator
        self._authorise = checked(authorise)
        self._operations: Operations | None = None
        self._worker_role: WorkerRole | None = None

    # --- declaring ---------------------------------------------------------------

    @property
    def logics(self) -> Mapping[str, LogicBase]:
        """The logics by name; a live, read-only view."""
        return MappingProxyType(self._logics)

    def add_logic(self, logic: LogicBase) -> None:
        """Add a logic, also while running.

        Raises:
            LogicAlreadyExists: one of this name was added before.
            LogicInvalid: its attributes contradict each other; the text says which.
        """
        check(logic)
        name = logic_name(logic)
        if name in self._logics:
            raise LogicAlreadyExists(name)
        logic.name = name
        self._logics[name] = logic
        if self._operations is not None:
            logic._operations = self._operations
        if self._worker_role is not None:
            self._worker_role.declare(logic)

    def remove_logic(self, name: str) -> None:
        """Remove a logic from this process; nothing happens if there is none of this name."""
        self._logics.pop(name, None)

    def attach_receive_middleware(self, middleware: Middleware) -> None:
        """Run a function on every message that a node receives from a client, after those attached before."""
        self._receive_middleware.append(middleware)

    def attach_send_middleware(self, middleware: Middleware) -> None:
        """Run a function on every message that is sent, before it is routed, after those attached before."""
        self._send_middleware.append(middleware)

    def get_endpoint(self, index: int = 0) -> Endpoint:
        """One of the application's endpoints, the first by default."""
        return self.endpoints[index]

    # --- calling -----------------------------------------------------------------

    def send_message(self, message: Message) -> Any:
        """Send to clients and logics. See ``LogicBase.send_message`` for what it raises."""
        return self._ask("send_message").send_message(message)

    def send_message_quickly(self, message: Message) -> Any:
        """Send to clients past every logic; the send middleware runs once."""
        return self._ask("send_message_quickly").send_message_quickly(message)

    def get_client(self, uuid: str, local_only: bool = False) -> Any:
        """The client of this uuid, wherever it is connected. Raises ``ClientDoesNotExist``."""
        return self._ask("get_client").get_client(uuid, local_only)

    def get_all_clients(self, local_only: bool = False) -> Any:
        """All clients of the cluster, or of this node."""
        return self._ask("get_all_clients").get_all_clients(local_only)

    def remove_client(self, client: Client | str) -> Any:
        """Close a client's connection wherever it is. Raises ``ClientDoesNotExist``, or
        ``ClientCouldNotBeDisconnected`` if its node does not confirm.
        """
        return self._ask("remove_client").remove_client(client)

    def revoke(self, client: Client | str) -> Any:
        """Let nothing count any more that a client has been given to show until now, on any node, and close its
        connection with ``REVOKED``. What is issued to it from the next second on lets it in again.

        Returns whether it was connected, or away. Raises ``ClientCouldNotBeDisconnected`` if its node does not confirm:
        the client can't connect again, and calling this again closes its connection; ``RedisUnavailable``: it is not
        known whether it is revoked.
        """
        return self._ask("revoke").revoke(client)

    def request(self, message: Message, timeout: float = 5.0) -> Any:
        """Ask one logic or one client, and wait for the answer. See ``LogicBase.request`` for what it raises."""
        return self._ask("request").request(message, timeout)

    def join_group(self, client: Client | str, group: str) -> Any:
        """Make a client a member of a group until it disconnects. Raises ``ClientDoesNotExist``."""
        return self._ask("join_group").join_group(client, group)

    def leave_group(self, client: Client | str, group: str) -> Any:
        """Take a client out of a group; nothing happens if it is not in it."""
        return self._ask("leave_group").leave_group(client, group)

    def get_group(self, group: str) -> Any:
        """The members of a group in the whole cluster."""
        return self._ask("get_group").get_group(group)

    def count_group(self, group: str) -> Any:
        """How many members a group has."""
        return self._ask("count_group").count_group(group)

    async def register_client(self, client: Client) -> None:
        """Connect a client through the first endpoint that takes clients from code, such as the stub endpoint.

        Other endpoints register who connects by themselves.

        Raises:
            ClientAlreadyExists: it is connected already.
            NotRunning: no endpoint of this process takes clients from code.
        """
        for endpoint in self.endpoints:
            register = getattr(endpoint, "register", None)
            if register is not None:
                await register(client)
                return
        raise NotRunning("register_client")

    def _ask(self, what: str) -> Operations:
        if self._operations is None:
            raise NotRunning(what)
        return self._operations

    # --- running -----------------------------------------------------------------

    @property
    def application(self) -> Application:
        """What was declared, as the roles see it."""
        return Application(
            logics=self._logics,
            receive_middleware=self._receive_middleware,
            send_middleware=self._send_middleware,
            on_logic_error=self._on_logic_error,
            authenticator=self._authenticator,
            authorise=self._authorise,
        )

    @property
    def worker_role(self) -> WorkerRole:
        """This application's workers, with an actor for each logic that they run."""
        if self._worker_role is None:
            self._worker_role = WorkerRole(self.application, self.settings)
            for logic in self._logics.values():
                self._worker_role.declare(logic)
        return self._worker_role

    @property
    def broker(self) -> OrderedBroker:
        """Dramatiq's broker of this application: add middleware to it, or hand it to Dramatiq's tools.

        It connects when it is first used, so it may be asked for while the module is loaded.
        """
        return self.worker_role.broker

    def __call__(self) -> None:
        """Make ``dramatiq module:attribute`` run this application's workers: it calls what it is given."""
        make_default(self.broker)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Broke]:
        """Run every role in this process while the block runs: an edge, a worker and a scheduler.

        Without a Redis configured, a server of our own is started (see ``Settings.data_dir``).

        Raises:
            RedisUnavailable: the configured Redis can't be reached.
            CouldNotCreateServer: an address can't be used, or there is no Redis server to start.
        """
        async with together(self) as operations:
            self._operations = operations
            try:
                yield self
            finally:
                self._operations = None

    def start(self) -> None:
        """Run every role in this process until SIGTERM or SIGINT (the seed's ``Start``).

        ``gobroke run`` does the same in a process of its own for each role, which is what production wants.
        """
        asyncio.run(run_together(self))


def _several(endpoint: Endpoint | Iterable[Endpoint] | None) -> tuple[Endpoint, ...]:
    if endpoint is None:
        return ()
    return tuple(endpoint) if isinstance(endpoint, Iterable) else (endpoint,)
