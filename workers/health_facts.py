"""What one look reads, and from where on it is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.health import (
    Calls,
    Canary,
    Counted,
    Crew,
    Discards,
    LateSchedule,
    Lost,
    QueueState,
    Server,
    UnknownKind,
)
from db.lanes import Pause

# A job that could run waits for milliseconds.
BEHIND_S = 30.0
# One is sent every minute.
CANARY_S = 180.0
# What died so long ago and was not replaced was given up on purpose.
LOST_S = 3_600.0
CRASH_S = 900.0
CRASHES_MIN = 3
DISCARD_S = 900.0
# Three failures at night are no alarm: this many are, where hardly any are usual.
DISCARDS_MIN = 10
DISCARDS_TIMES = 3.0
PROVIDER_S = 600.0
FAILED_CALLS_MIN = 5
FAILED_SHARE = 0.5
STOPPED_S = 3_600.0
STOPPED_MIN = 5
# The mark that repairs a day is served within minutes.
DIFFERENCE_S = 3_600.0
TRANSACTION_S = 900.0
CONNECTIONS_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Facts:
    """All that Postgres knows of the flow, at `now` by its clock."""

    now: datetime
    crews: Mapping[str, Crew]
    queues: Sequence[QueueState]
    promotion_at: datetime | None
    late: Sequence[LateSchedule]
    pauses: Sequence[Pause]
    lost: Sequence[Lost]
    discards: Sequence[Discards]
    calls: Sequence[Calls]
    mails: Counted
    webhooks: Counted
    differences: Counted
    server: Server
    canary: Canary | None
    unknown: Sequence[UnknownKind] = ()

    def age_s(self, at: datetime) -> float:
        return (self.now - at).total_seconds()
