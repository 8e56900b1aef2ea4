"""The watchdog: looks whether work flows, and tells operators, once, when it does not, and when it
does again.

It runs as a thread of scheduler and dispatcher: either of them suffices, and of many one looks at
a time. It needs no worker, no job and no Redis. What it is about to send it claims in Postgres
first, so that no two send it; when one dies in between, the claim runs out and the message is sent
again under the same id: at least once. While Postgres is away nothing can be claimed, so each
watchdog tells of that by itself.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from db import alerts, health
from db.alerts import Notice
from db.pool import Connection, connect
from db.times import bound_times
from workers import alert_messages
from workers.alert_rules import Rules, sign, wait_s
from workers.alert_ways import NotSent, Way, open_ways
from workers.config import Config
from workers.finding import Finding
from workers.health import examine, look_at_redis
from workers.metrics import Borrow
from workers.sampling import try_sample

CLOSE_S = 2.0
# Of one way in one round: looking must go on.
SENT_MAX = 20
NO_LOOK = "watchdog_blind"

log = logging.getLogger(__name__)


class Watchdog:
    """One round after the other; the caller says when."""

    def __init__(
        self,
        borrow: Borrow,
        ways: Sequence[Way],
        *,
        role: str,
        redis_url: str | None,
        public_url: str | None,
        rules: Rules | None = None,
    ) -> None:
        self.rules = rules or Rules()
        self._borrow = borrow
        self._ways = ways
        self._name = f"{role} {os.getpid()} on {socket.gethostname()}"
        self._redis_url = redis_url
        self._public_url = public_url
        self._blindness = Blindness(self._name, ways, self.rules.away_s, public_url)

    def round(self, at: datetime | None = None) -> None:
        """Look, and send what is due. Raises nothing: the next round may do better."""
        now_s = time.monotonic() if at is None else at.timestamp()
        try:
            with self._borrow() as conn:
                bound_times(conn)
                self.look(conn, at)
                try_sample(conn)
                self.tell(conn, at)
        except Exception as error:  # noqa: BLE001 - a watchdog that dies of a bug warns nobody
            log.warning("cannot look after alerts: %s", str(error).strip().partition("\n")[0])
            self._blindness.suffer(error, now_s)
        else:
            self._blindness.end(now_s)

    def look(self, conn: Connection, at: datetime | None = None) -> bool:
        """Compare what is found with what is known; False when another watchdog does."""
        of_redis = [] if self._redis_url is None else look_at_redis(self._redis_url)
        with conn.transaction():
            # A table that somebody locked is a failed look, and not one that never ends.
            health.limit_looking(conn)
            at = at or alerts.read_clock(conn)
            if not alerts.take_turn(conn, at=at, by=self._name, every_s=self.rules.every_s / 2):
                return False
            self._compare(conn, examine(conn, of_redis), at)
            health.sample_provider_calls(conn)
            health.forget_old(conn)
            alerts.delete_old(conn, at=at)
        return True

    def _compare(self, conn: Connection, found: Sequence[Finding], at: datetime) -> None:
        """What follows from something else opens no alert, but keeps one open that is."""
        signs = [sign(finding, self.rules) for finding in found if finding.cause is None]
        alerts.note_signs(conn, [s.key for s in signs], at=at, gap_s=self.gap_s)
        alerts.renew_alerts(conn, [finding.key for finding in found], at=at)
        opened = alerts.open_alerts(conn, signs, at=at)
        recovered = alerts.recover_alerts(conn, at=at, calm=self.rules.calm)
        ways = [way.name for way in self._ways]
        alerts.add_notices(conn, opened, event="opened", ways=ways, at=at)
        alerts.add_notices(conn, recovered, event="recovered", ways=ways, at=at)
        if opened or recovered:
            log.warning("%d alerts open, %d are over", len(opened), len(recovered))

    @property
    def gap_s(self) -> float:
        return max(self.rules.gap_s, 2 * self.rules.every_s)

    def tell(self, conn: Connection, at: datetime | None = None) -> None:
        """Send what is due, by every way; one that fails is left alone until the next round."""
        for way in self._ways:
            for _ in range(SENT_MAX):
                notice = self._claim(conn, way, at)
                if notice is None or not self._send(conn, way, notice, at):
                    break

    def _claim(self, conn: Connection, way: Way, at: datetime | None) -> Notice | None:
        with conn.transaction():
            health.limit_looking(conn)
            return alerts.claim_notice(conn, way=way.name, at=at or alerts.read_clock(conn))

    def _send(self, conn: Connection, way: Way, notice: Notice, at: datetime | None) -> bool:
        try:
            way.send(alert_messages.compose(notice, public_url=self._public_url))
        except NotSent as error:
            log.warning("cannot tell %s of %s: %s", way.target, notice.key, error)
            self._note_failed(conn, notice, str(error), at)
            return False
        with conn.transaction():
            alerts.note_sent(conn, notice, at=at or alerts.read_clock(conn))
        log.info("told %s: %s %s", way.target, notice.key, notice.event)
        return True

    def _note_failed(
        self, conn: Connection, notice: Notice, error: str, at: datetime | None
    ) -> None:
        with conn.transaction():
            alerts.note_failed(
                conn,
                notice,
                error=error,
                wait_s=wait_s(notice.attempts),
                at=at or alerts.read_clock(conn),
            )


@dataclass
class Blindness:
    """The alert of one watchdog that cannot look, most likely because Postgres is away.

    It is kept in memory and sent directly, so each process tells of it, and a restart forgets it.
    """

    name: str
    ways: Sequence[Way]
    away_s: float
    public_url: str | None
    began_s: float | None = None
    began_at: datetime | None = None
    error: str = ""

    def __post_init__(self) -> None:
        # By way: told of it, and owed the news of its end; and when to try again, how often tried.
        self._told: set[str] = set()
        self._owed: dict[str, Notice] = {}
        self._next_s: dict[str, tuple[float, int]] = {}

    def suffer(self, error: Exception, now_s: float) -> None:
        if self.began_s is None:
            self.began_s, self.began_at = now_s, datetime.now(UTC)
            self.error = f"{type(error).__name__}: {str(error).strip()}"[:300]
            # Of an end that could not be told nobody needs to hear any more.
            self._told.update(self._owed)
            self._owed.clear()
            self._next_s.clear()
        if now_s - self.began_s < self.away_s:
            return
        for way in self.ways:
            if way.name not in self._told and self._try(way, self._notice("opened"), now_s):
                self._told.add(way.name)

    def end(self, now_s: float) -> None:
        if self.began_s is not None:
            self._owed = {name: self._notice("recovered") for name in self._told}
            self._told.clear()
            self._next_s.clear()
            self.began_s = None
        for way in self.ways:
            notice = self._owed.get(way.name)
            if notice is not None and self._try(way, notice, now_s):
                del self._owed[way.name]

    def _try(self, way: Way, notice: Notice, now_s: float) -> bool:
        due_s, attempts = self._next_s.get(way.name, (now_s, 0))
        if now_s < due_s:
            return False
        try:
            way.send(alert_messages.compose(notice, public_url=self.public_url))
        except NotSent as error:
            log.warning("cannot tell %s that the watchdog is blind: %s", way.target, error)
            self._next_s[way.name] = (now_s + wait_s(attempts + 1), attempts + 1)
            return False
        return True

    def _notice(self, event: str) -> Notice:
        assert self.began_at is not None
        return Notice(
            alert_id=0,
            event=event,
            way="",
            attempts=1,
            key=NO_LOOK,
            level="stop",
            title="The watchdog cannot look into Postgres",
            evidence=f"The {self.name} tries in vain since {self.began_at:%H:%M:%S} UTC. "
            f"{self.error}. Each process that watches says so by itself.",
            advice="Start Postgres, or check DATABASE_URL. Processes connect again by themselves.",
            runbook="postgres-down",
            began_at=self.began_at,
            opened_at=self.began_at,
            recovered_at=datetime.now(UTC) if event == "recovered" else None,
        )


class Patrol(threading.Thread):
    """Rounds in the background of another process, every few seconds until closed."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__(name="alerts", daemon=True)
        self._watchdog = watchdog
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._watchdog.rules.every_s):
            self._watchdog.round()

    def close(self) -> None:
        """A message under way may go on: it is claimed, and the process may end meanwhile."""
        self._ended.set()
        if self.is_alive():
            self.join(CLOSE_S)


def begin(config: Config, *, role: str, borrow: Borrow | None = None) -> Patrol:
    """Watch from now on, beside what this process does; by default on connections of its own."""
    url = config.database_url
    assert url is not None
    watchdog = Watchdog(
        borrow or (lambda: connect(url, autocommit=True, name="avivro watchdog")),
        open_ways(config),
        role=role,
        redis_url=config.redis_url,
        public_url=config.public_url,
    )
    patrol = Patrol(watchdog)
    patrol.start()
    return patrol
