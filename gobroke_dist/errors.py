"""Every error that gobroke_dist raises, in one tree.

::

    BrokeError
    ├── ClientError                       .uuid
    │   ├── ClientAlreadyExists
    │   ├── ClientDoesNotExist
    │   └── ClientCouldNotBeDisconnected
    ├── LogicError                        .logic
    │   ├── LogicAlreadyExists
    │   ├── LogicDoesNotExist
    │   ├── LogicIsPassive
    │   ├── LogicInvalid
    │   └── DeadLetterError               .id
    │       ├── DeadLetterDoesNotExist
    │       └── DeadLetterUnreadable
    ├── GroupError                        .group
    │   ├── GroupInvalid
    │   └── GroupNotAllowed
    ├── ProcessorError
    │   ├── CouldNotStartProcessor
    │   └── ProcessorAlreadyExists
    ├── ServerError
    │   ├── CouldNotCreateServer
    │   ├── NoEndpointProvided
    │   ├── ApplicationNotFound
    │   └── NotRunning
    ├── MessageError
    │   ├── MessageRejected
    │   ├── TagDoesNotExist
    │   ├── FrameInvalid
    │   ├── CallInvalid                   .status .field
    │   ├── FrameTooLarge                 .size .limit
    │   └── PayloadInvalid
    ├── RequestError                      .request
    │   ├── RequestInvalid
    │   ├── RequestTimedOut
    │   └── RequestFailed
    ├── AccessError
    │   ├── Unauthorised
    │   │   └── Revoked
    │   └── NotAuthorised                 .kind .name
    └── Unavailable                       send it again later, with the same uuid
        ├── RedisUnavailable
        ├── QueueFull
        ├── RateLimited                   .retry_after
        ├── TooManyConnections            .limit .retry_after
        ├── AuthenticationUnavailable
        └── Draining

Each class has a ``code``: the word that a client sees in an error frame and that metrics carry as the
reason. A text says what was wrong, with which value, and what to do; the fields hold the same facts.
"""

from __future__ import annotations

from typing import ClassVar


class BrokeError(Exception):
    """The root: ``except BrokeError`` catches everything that this package raises on purpose."""

    code: ClassVar[str] = "error"


# --- clients -----------------------------------------------------------------


class ClientError(BrokeError):
    """Something about one client. ``uuid`` says which."""

    def __init__(self, uuid: str, text: str) -> None:
        super().__init__(text)
        self.uuid = uuid


class ClientAlreadyExists(ClientError):
    """The client is connected already, here or on another node (the seed's ``ErrorClientAlreadyExists``)."""

    code = "client_already_exists"

    def __init__(self, uuid: str, node: str | None = None) -> None:
        where = f" on node {node!r}" if node else ""
        super().__init__(uuid, f"client {uuid!r} is already connected{where}; close that connection first")
        self.node = node


class ClientDoesNotExist(ClientError):
    """No node has this client (the seed's ``ErrorClientDoesNotExist``)."""

    code = "client_does_not_exist"

    def __init__(self, uuid: str) -> None:
        super().__init__(uuid, f"client {uuid!r} is not connected to any node; it may have left")


class ClientCouldNotBeDisconnected(ClientError):
    """The node that holds the connection did not confirm that it closed it."""

    code = "client_could_not_be_disconnected"

    def __init__(self, uuid: str, node: str, why: str) -> None:
        super().__init__(uuid, f"client {uuid!r} on node {node!r} could not be disconnected: {why}; try again")
        self.node = node


# --- logic -------------------------------------------------------------------


class LogicError(BrokeError):
    """Something about one logic. ``logic`` is its name."""

    def __init__(self, logic: str, text: str) -> None:
        super().__init__(text)
        self.logic = logic


class LogicAlreadyExists(LogicError):
    """A logic of this name was added before (the seed's ``ErrorLogicAlreadyExists``)."""

    code = "logic_already_exists"

    def __init__(self, logic: str) -> None:
        super().__init__(logic, f"a logic named {logic!r} was added already; give this one another name")


class LogicDoesNotExist(LogicError):
    """A message names a logic that this application does not have."""

    code = "logic_does_not_exist"

    def __init__(self, logic: str) -> None:
        super().__init__(logic, f"no logic is named {logic!r}; add it with add_logic() or correct to_logic")


class LogicIsPassive(LogicError):
    """A message names a PASSIVE logic, which never receives any (contract P1)."""

    code = "logic_is_passive"

    def __init__(self, logic: str) -> None:
        super().__init__(logic, f"logic {logic!r} is PASSIVE and receives no messages; it runs on its schedule")


class LogicInvalid(LogicError):
    """A logic is declared in a way that can't work; raised by ``add_logic``."""

    code = "logic_invalid"


class DeadLetterError(LogicError):
    """Something about one dead letter. ``id`` says which."""

    def __init__(self, logic: str, id_: str, text: str) -> None:
        super().__init__(logic, text)
        self.id = id_


class DeadLetterDoesNotExist(DeadLetterError):
    """There is no such dead letter, or not any more."""

    code = "dead_letter_does_not_exist"

    def __init__(self, logic: str, id_: str) -> None:
        super().__init__(logic, id_, f"logic {logic!r} has no dead letter {id_!r}; it may have been requeued")


class DeadLetterUnreadable(DeadLetterError):
    """A dead letter that is no message, so it can't run again."""

    code = "dead_letter_unreadable"

    def __init__(self, logic: str, id_: str) -> None:
        super().__init__(logic, id_, f"dead letter {id_!r} of logic {logic!r} is no message that could run; discard it")


# --- groups ------------------------------------------------------------------


class GroupError(BrokeError):
    """Something about one group. ``group`` is its name."""

    def __init__(self, group: str, text: str) -> None:
        super().__init__(text)
        self.group = group


class GroupInvalid(GroupError):
    """No group can have this name."""

    code = "group_invalid"

    def __init__(self, group: str, why: str) -> None:
        super().__init__(group, f"{group!r} can't be the name of a group: {why}")


class GroupNotAllowed(GroupError):
    """A client's frame names a group that this client may not send to. ``field`` is the frame's."""

    code = "group_not_allowed"
    field = "to_group"


# --- processors and servers --------------------------------------------------


class ProcessorError(BrokeError):
    """A worker or a scheduler."""


class CouldNotStartProcessor(ProcessorError):
    """The seed's ``ErrorCouldNotStartProcessor``."""

    code = "could_not_start_processor"


class ProcessorAlreadyExists(ProcessorError):
    """The seed's ``ErrorProcessorAlreadyExists``."""

    code = "processor_already_exists"


class ServerError(BrokeError):
    """An edge, or the application object itself."""


class CouldNotCreateServer(ServerError):
    """The seed's ``ErrorCouldNotCreateServer``: a port in use, a bad address, no Redis server to start."""

    code = "could_not_create_server"


class NoEndpointProvided(ServerError):
    """The seed's ``ErrorNoEndpointProvided``."""

    code = "no_endpoint_provided"

    def __init__(self) -> None:
        super().__init__("an edge needs at least one endpoint: Broke(WebSocketEndpoint(...))")


class ApplicationNotFound(ServerError):
    """The ``module:attribute`` path given on the command line names no application."""

    code = "application_not_found"


class NotRunning(ServerError):
    """The call needs a running node, worker or scheduler."""

    code = "not_running"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs a running application: call it from a logic or an endpoint, "
            "or inside `async with broke.running():`"
        )


# --- messages ----------------------------------------------------------------


class MessageError(BrokeError):
    """Something about one message."""


class MessageRejected(MessageError):
    """A middleware rejected the message. ``reason`` is what it gave to ``reject()``."""

    code = "rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the message was rejected: {reason}")
        self.reason = reason


class TagDoesNotExist(MessageError):
    """The seed's ``ErrorTagDoesNotExist``."""

    code = "tag_does_not_exist"

    def __init__(self, tag: str) -> None:
        super().__init__(f"the message has no tag {tag!r}; set it with add_tag() or pass a default")
        self.tag = tag


class FrameInvalid(MessageError):
    """A client's frame can't be read. ``field`` names the part that is wrong, if one is."""

    code = "frame_invalid"

    def __init__(self, text: str, *, field: str | None = None) -> None:
        super().__init__(text)
        self.field = field


class CallInvalid(MessageError):
    """A call of the HTTP API that can't be understood. ``field`` names the part that is wrong, if one is; ``allow`` the
    methods that would be right, if the method is wrong."""

    code = "call_invalid"

    def __init__(self, text: str, *, status: int = 400, field: str | None = None, allow: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.field = field
        self.allow = allow


class FrameTooLarge(MessageError):
    """A message for a client does not fit into what its endpoint can send, and was not sent. Sizes are bytes."""

    code = "frame_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a message for you was not sent: its frame has {size} bytes, and {limit} fit into a datagram")
        self.size = size
        self.limit = limit


class PayloadInvalid(MessageError):
    """A payload does not validate against the logic's model. ``field`` is the path of the first wrong field."""

    code = "payload_invalid"

    def __init__(self, logic: str, field: str, why: str) -> None:
        super().__init__(f"the payload for logic {logic!r} is invalid at {field!r}: {why}")
        self.logic = logic
        self.field = field


# --- requests ----------------------------------------------------------------


class RequestError(BrokeError):
    """Something about one request. ``request`` is its message's uuid."""

    def __init__(self, request: str, text: str) -> None:
        super().__init__(text)
        self.request = request


class RequestInvalid(RequestError):
    """A request that can't be asked, or a reply to what is no request of its sender, or not any more."""

    code = "request_invalid"


class RequestTimedOut(RequestError):
    """No answer came in time. Whether the request was processed is not known."""

    code = "request_timed_out"

    def __init__(self, request: str, timeout: float) -> None:
        text = f"request {request!r} was not answered within {timeout:g} s; it may still be processed"
        super().__init__(request, text)
        self.timeout = timeout


class RequestFailed(RequestError):
    """There will be no answer: who was asked failed, or is gone. ``reason`` is a word; no more is told."""

    code = "request_failed"

    def __init__(self, request: str, reason: str) -> None:
        super().__init__(request, f"request {request!r} will not be answered: {reason}")
        self.reason = reason


# --- who may what ------------------------------------------------------------


class AccessError(BrokeError):
    """Something that a client may not do."""


class Unauthorised(AccessError):
    """It is not known who this is, or it is somebody who may not connect. The text is told to the client."""

    code = "unauthorised"

    def __init__(self, why: str) -> None:
        super().__init__(f"unauthorised: {why}")


class Revoked(Unauthorised):
    """What the client shows was issued before it was revoked."""

    code = "revoked"

    def __init__(self) -> None:
        super().__init__("this token was revoked; sign in again")


class NotAuthorised(AccessError):
    """The client may not address one of the recipients. ``kind`` and ``name`` say which; nobody got the message."""

    code = "not_authorised"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"this client may not send to {kind} {name!r}" if name else f"this client may not send to {kind}"
        )
        self.kind = kind
        self.name = name
        self.field = f"to_{kind}"


# --- not now -----------------------------------------------------------------


class Unavailable(BrokeError):
    """Not now. The message was not accepted, or, when Redis did not answer, it is not known whether it was.

    Sending it again later with the same uuid is safe either way: a logic accepts a uuid once (contract W12).
    """

    code = "unavailable"


class RedisUnavailable(Unavailable):
    """Redis did not answer in time, can't be reached, or refuses writes."""

    code = "redis_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"Redis is unavailable: {why}; send the message again later")


class QueueFull(Unavailable):
    """A bounded queue has no room."""

    code = "queue_full"

    def __init__(self, queue: str, limit: int) -> None:
        super().__init__(f"{queue} holds its limit of {limit} messages; send the message again later")
        self.queue = queue
        self.limit = limit


class RateLimited(Unavailable):
    """The client sends too fast; this message was refused. ``retry_after`` is seconds."""

    code = "rate_limited"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"you send too fast; send this message again in {retry_after:.2g} s")
        self.retry_after = retry_after


class TooManyConnections(Unavailable):
    """The node, or an address, has all the connections that it may, or too many are made at once; see ``limit``."""

    code = "too_many_connections"

    def __init__(self, limit: str, text: str, *, retry_after: float) -> None:
        super().__init__(f"{text}; connect again in {retry_after:.2g} s")
        self.limit = limit
        self.retry_after = retry_after


class AuthenticationUnavailable(Unavailable):
    """Who a client is can't be known now: the authenticator took too long, or has no keys to check tokens with."""

    code = "authentication_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"who you are can't be checked now: {why}; try again later")


class Draining(Unavailable):
    """This node is shutting down and takes no new work."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__("this node is shutting down; connect again")
