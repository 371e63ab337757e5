"""gobroke_dist: clients on many edge nodes, business code in strict order on Dramatiq workers, one Redis.

What is imported here is the public interface; everything else may change between minor versions.
"""

from gobroke_dist.broke import Broke
from gobroke_dist.client import Client
from gobroke_dist.endpoint import Endpoint, Gateway
from gobroke_dist.errors import (
    ApplicationNotFound,
    BrokeError,
    ClientAlreadyExists,
    ClientCouldNotBeDisconnected,
    ClientDoesNotExist,
    CouldNotCreateServer,
    CouldNotStartProcessor,
    Draining,
    FrameInvalid,
    GroupInvalid,
    GroupNotAllowed,
    LogicAlreadyExists,
    LogicDoesNotExist,
    LogicInvalid,
    LogicIsPassive,
    MessageRejected,
    NoEndpointProvided,
    NotRunning,
    PayloadInvalid,
    ProcessorAlreadyExists,
    QueueFull,
    RedisUnavailable,
    RequestError,
    RequestFailed,
    RequestInvalid,
    RequestTimedOut,
    TagDoesNotExist,
    Unavailable,
)
from gobroke_dist.logic import LogicBase, LogicType, Tick
from gobroke_dist.message import (
    Delivery,
    Message,
    MessageState,
    ReplyTo,
    new_client_message,
    new_logic_message,
    new_simple_client_message,
    new_simple_logic_message,
)
from gobroke_dist.middleware import Middleware
from gobroke_dist.request import ClientReply, ClientRequest
from gobroke_dist.session import CloseCode, FrameProtocol, Session, SessionState
from gobroke_dist.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "ApplicationNotFound",
    "Broke",
    "BrokeError",
    "Client",
    "ClientAlreadyExists",
    "ClientCouldNotBeDisconnected",
    "ClientDoesNotExist",
    "ClientReply",
    "ClientRequest",
    "CloseCode",
    "CouldNotCreateServer",
    "CouldNotStartProcessor",
    "Delivery",
    "Draining",
    "Endpoint",
    "FrameInvalid",
    "FrameProtocol",
    "Gateway",
    "GroupInvalid",
    "GroupNotAllowed",
    "LogicAlreadyExists",
    "LogicBase",
    "LogicDoesNotExist",
    "LogicInvalid",
    "LogicIsPassive",
    "LogicType",
    "Message",
    "MessageRejected",
    "MessageState",
    "Middleware",
    "NoEndpointProvided",
    "NotRunning",
    "PayloadInvalid",
    "ProcessorAlreadyExists",
    "QueueFull",
    "RedisUnavailable",
    "ReplyTo",
    "RequestError",
    "RequestFailed",
    "RequestInvalid",
    "RequestTimedOut",
    "Session",
    "SessionState",
    "Settings",
    "TagDoesNotExist",
    "Tick",
    "Unavailable",
    "__version__",
    "new_client_message",
    "new_logic_message",
    "new_simple_client_message",
    "new_simple_logic_message",
]
