"""What Redis holds: one short list of tickets per queue, and the epoch they belong to.

Losing any of it loses no job. A push is refused unless Redis still knows the epoch.
"""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import redis

from db.jobs import Ticket
from workers.runway_errors import EpochLost, RunwayDown

EPOCH_KEY = "avivro:epoch"
PUSH_MAX = 1000
SOCKET_TIMEOUT_S = 5.0

PUSH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
return redis.call('RPUSH', KEYS[2], unpack(ARGV, 2))
"""


class Runway:
    """The tickets of jobs that are about to run."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url, timeout_s=SOCKET_TIMEOUT_S)

    def push(self, queue: str, tickets: Sequence[Ticket], *, epoch: UUID) -> None:
        """Append tickets. Raises EpochLost or RunwayDown; then some may have been appended."""
        for name in (queue, alone(queue)):
            members = [
                f"{ticket.job_id}:{ticket.seq}"
                for ticket in tickets
                if ticket.alone == (name != queue)
            ]
            for start in range(0, len(members), PUSH_MAX):
                self._push(name, members[start : start + PUSH_MAX], epoch)

    def _push(self, name: str, members: list[str], epoch: UUID) -> None:
        with translated():
            pushed = self._redis.eval(PUSH, 2, EPOCH_KEY, key(name), str(epoch), *members)
        if pushed == -1:
            raise EpochLost

    def pop(self, queue: str, count: int) -> list[Ticket]:
        """Take up to `count` tickets from the head, at once."""
        with translated():
            return parse(cast(Any, self._redis.lpop(key(queue), count)))

    def wait(self, queue: str, timeout_s: int) -> None:
        """Return when the queue has a ticket, or after the time (under SOCKET_TIMEOUT_S).

        Moving the head of a list to its own head changes nothing, and blocks while it is empty.
        """
        with translated():
            self._redis.blmove(key(queue), key(queue), timeout_s, "LEFT", "LEFT")

    def is_empty(self, queue: str) -> bool:
        with translated():
            return not self._redis.exists(key(queue))

    def list_tickets(self, queue: str) -> set[Ticket]:
        """All that lies on the queue's runway, in both of its lists."""
        with translated():
            return {
                ticket
                for name in (queue, alone(queue))
                for ticket in parse(cast(Any, self._redis.lrange(key(name), 0, -1)))
            }

    def holds_epoch(self, epoch: UUID) -> bool:
        with translated():
            return self._redis.get(EPOCH_KEY) == str(epoch).encode()

    def begin_epoch(self, epoch: UUID, queues: Sequence[str]) -> None:
        """Forget every ticket, then accept pushes of this epoch."""
        with translated():
            pipe = self._redis.pipeline(transaction=True)
            pipe.delete(*(key(name) for queue in queues for name in (queue, alone(queue))))
            pipe.set(EPOCH_KEY, str(epoch))
            pipe.execute()

    def close(self) -> None:
        self._redis.close()


def connect(url: str, *, timeout_s: float) -> "redis.Redis":
    """A client that neither retries nor waits by itself: the callers know what to do."""
    # A Unix socket has no cable to be cut, and its connection class knows no keep-alive.
    wired: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    return redis.Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None, **wired
    )


class translated:  # noqa: N801 - reads as a statement
    """Turn what redis-py raises into the one answer its callers have: wait."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, redis.RedisError | OSError):
            raise RunwayDown(str(error) or type(error).__name__) from error


def alone(queue: str) -> str:
    """The list beside the queue's own: jobs that run alone in a process."""
    return f"{queue}:alone"


def key(queue: str) -> str:
    return f"avivro:runway:{queue}"


def parse(members: list[bytes] | None) -> list[Ticket]:
    """Tickets from `id:seq`; anything else that lies in the list is nobody's ticket."""
    tickets = []
    for member in members or ():
        job_id, _, seq = member.partition(b":")
        if job_id.isdigit() and seq.isdigit():
            tickets.append(Ticket(int(job_id), int(seq)))
    return tickets
