"""Every Redis key, as a function.

Dramatiq's own keys (``namespace:…``) keep their type and meaning; ours never look like one of them.
``{q}`` is a queue, which is a logic's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Channel(NamedTuple):
    """Where data are published, numbered and kept for those that miss them.

    Attributes:
        name: of the pub/sub channel.
        log: STREAM of the last data.
        field: in ``ClusterKeys.posts``: the number of the last one.
    """

    name: str
    log: str
    field: str


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """Members, clients and channels of one application.

    Args:
        prefix: ``Settings.prefix``.
    """

    prefix: str

    @property
    def members(self) -> str:
        """ZSET node -> lease end, in milliseconds of Redis' own clock."""
        return f"{self.prefix}:members"

    @property
    def member_info(self) -> str:
        """HASH node -> Member as JSON, with the number of the lease that it holds."""
        return f"{self.prefix}:member-info"

    @property
    def clients(self) -> str:
        """HASH uuid -> registration as JSON: node, session, metadata, in this order."""
        return f"{self.prefix}:clients"

    @property
    def last_messages(self) -> str:
        """HASH uuid -> Unix milliseconds of the last message."""
        return f"{self.prefix}:last-messages"

    def node_clients(self, node: str) -> str:
        """SET of the uuids on a node: what goes when it goes."""
        return f"{self.prefix}:node-clients:{node}"

    @property
    def secrets(self) -> str:
        """HASH uuid -> of a client that may come back lines with the SHA-256 of its secret, its sessions, and ``number
        node``: where it was, and from which number on.
        """
        return f"{self.prefix}:secrets"

    @property
    def away(self) -> str:
        """HASH uuid -> registration of a client that may come back: whose log has what is sent to it meanwhile."""
        return f"{self.prefix}:away"

    @property
    def away_until(self) -> str:
        """ZSET uuid -> when it is too late to come back, in milliseconds of Redis' own clock."""
        return f"{self.prefix}:away-until"

    @property
    def places(self) -> list[str]:
        """What the scripts read that find clients: ``parts/whereabouts.lua``, in its order."""
        return [self.members, self.clients, self.secrets, self.away, self.away_until]

    @property
    def retired(self) -> str:
        """ZSET node -> when the last client of a node that is gone was removed, in milliseconds of Redis' own clock."""
        return f"{self.prefix}:retired"

    @property
    def memberships(self) -> str:
        """ZSET of "group NUL node NUL uuid": the members of every group."""
        return f"{self.prefix}:memberships"

    @property
    def away_memberships(self) -> str:
        """ZSET of the same: those that are away, and may come back."""
        return f"{self.prefix}:away-memberships"

    @property
    def client_groups(self) -> str:
        """ZSET of "node NUL uuid NUL group": the groups of every client."""
        return f"{self.prefix}:client-groups"

    @property
    def group_changes(self) -> str:
        """HASH: ``holder``, the node that hears who joins and leaves; ``until``, until when it alone does, and
        ``grace``, in milliseconds; ``number`` of the last change.
        """
        return f"{self.prefix}:group-changes"

    @property
    def group_change_log(self) -> str:
        """ZSET of "number NUL joined|left NUL group NUL uuid" by number: the changes that nobody has seen to yet."""
        return f"{self.prefix}:group-change-log"

    @property
    def group_absent(self) -> str:
        """ZSET of "group NUL uuid": who has gone without leaving, by when that is a change, in milliseconds of Redis'
        own clock.
        """
        return f"{self.prefix}:group-absent"

    @property
    def changes(self) -> list[str]:
        """What ``parts/changes.lua`` writes, in its order."""
        return [self.group_changes, self.group_change_log, self.group_absent]

    @property
    def groups(self) -> list[str]:
        """What ``parts/joining.lua`` writes, in its order."""
        return [self.memberships, self.away_memberships, self.client_groups, *self.changes]

    @property
    def sending(self) -> list[str]:
        """What ``parts/sending.lua`` reads, in its order, but for the logs of the nodes that it finds."""
        return [self.posts, *self.places, self.memberships, self.away_memberships]

    def revoked(self, uuid: str) -> str:
        """STRING Unix milliseconds of Redis' own clock: what the client was given until then does not count."""
        return f"{self.prefix}:revoked:{uuid}"

    def channel(self, node: str) -> Channel:
        """Of one node."""
        return Channel(f"{self.prefix}:node:{node}", f"{self.prefix}:log:node:{node}", node)

    @property
    def everyone(self) -> Channel:
        """Of all nodes."""
        return Channel(f"{self.prefix}:everyone", f"{self.prefix}:log:everyone", "#everyone")

    @property
    def posts(self) -> str:
        """HASH: ``#epoch``, another one whenever this Redis lost what it had; ``#`` -> the number of the last datum of
        all channels; channel -> the number of its last.
        """
        return f"{self.prefix}:posts"

    def reply(self, token: str) -> str:
        """LIST that holds the answer to one request, for a few seconds."""
        return f"{self.prefix}:reply:{token}"

    @property
    def schedule(self) -> str:
        """HASH PASSIVE logic -> last fired nominal time, in Unix milliseconds."""
        return f"{self.prefix}:schedule"


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """One queue: Dramatiq's keys, and ours beside them.

    Args:
        prefix: ``Settings.prefix``.
        queue: the queue's name.
    """

    prefix: str
    queue: str

    @property
    def _stock(self) -> str:
        return f"{self.prefix}:dramatiq:{self.queue}"

    @property
    def _own(self) -> str:
        return f"{self.prefix}:queue:{self.queue}"

    @property
    def ready(self) -> str:
        """LIST of message ids that may start now: at most the head of each key. Dramatiq's."""
        return self._stock

    @property
    def messages(self) -> str:
        """HASH id -> message, for all that wait or run. Dramatiq's."""
        return f"{self._stock}.msgs"

    @property
    def delayed_messages(self) -> str:
        """HASH id -> message, for all that wait for a time. Dramatiq's."""
        return f"{self._stock}.DQ.msgs"

    @property
    def delayed_ready(self) -> str:
        """LIST of delayed message ids that a stock producer pushed. Dramatiq's."""
        return f"{self._stock}.DQ"

    @property
    def dead(self) -> str:
        """ZSET id -> time of death, Unix milliseconds. Dramatiq's."""
        return f"{self._stock}.XQ"

    @property
    def dead_messages(self) -> str:
        """HASH id -> dead message. Dramatiq's."""
        return f"{self._stock}.XQ.msgs"

    def acks(self, worker: str) -> str:
        """SET of the ids that a worker has fetched and not finished. Dramatiq's."""
        return f"{self.prefix}:dramatiq:__acks__.{worker}.{self.queue}"

    @property
    def heartbeats(self) -> str:
        """ZSET worker -> last heartbeat, Unix milliseconds of Redis' own clock. Dramatiq's; one for all queues."""
        return f"{self.prefix}:dramatiq:__heartbeats__"

    def lane(self, key: str) -> str:
        """LIST of the ids that wait behind the head of one ordering key."""
        return f"{self._own}:lane:{key}"

    @property
    def heads(self) -> str:
        """HASH ordering key -> id of its head, or a mark (first byte 0xFF): paused, halted. A key here is taken."""
        return f"{self._own}:heads"

    @property
    def halted(self) -> str:
        """HASH ordering key -> id of the dead letter that it waits for."""
        return f"{self._own}:halted"

    @property
    def paused(self) -> str:
        """SET of the ordering keys that an operator has paused."""
        return f"{self._own}:paused"

    @property
    def keys(self) -> str:
        """HASH id -> ordering key, for heads only."""
        return f"{self._own}:keys"

    @property
    def fences(self) -> str:
        """HASH id -> fence of its running delivery. Who can't show it can't acknowledge."""
        return f"{self._own}:fences"

    @property
    def deliveries(self) -> str:
        """HASH id -> how often it was delivered; beside it, what is known of deliveries whose process died."""
        return f"{self._own}:deliveries"

    def done(self, worker: str) -> str:
        """HASH of what a worker did last: ``call`` -> number of its last call; ``settled`` -> fences that it settled;
        ``threads`` -> how many messages it can run at once.
        """
        return f"{self._own}:done:{worker}"

    @property
    def workers(self) -> str:
        """ZSET worker -> its last renewal, in milliseconds of Redis' own clock; 0: it ended with messages in hand. A
        worker is here for as long as it lives, or has messages of this queue.
        """
        return f"{self._own}:workers"

    @property
    def later(self) -> str:
        """ZSET id -> when it is due, in milliseconds of Redis' own clock."""
        return f"{self._own}:later"

    @property
    def counters(self) -> str:
        """HASH: ``fence``; ``seq``: how many were accepted; ``seen_since``; ``halted``: nothing is handed out; the dead
        letter's id, or who said so.
        """
        return f"{self._own}:counters"

    @property
    def seen(self) -> tuple[str, str]:
        """Two SETs of accepted message uuids: this window's, and the last one's."""
        return f"{self._own}:seen:new", f"{self._own}:seen:old"

    @property
    def bell(self) -> str:
        """LIST that idle workers block on; an element says: there is something to fetch."""
        return f"{self._own}:bell"
