"""What `deliver_webhook` reads and writes, for many deliveries in one transaction."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from db import deliveries
from db.deliveries import Asked, Hold, Letter, Result, Stored
from db.pool import Connection
from pipelines.webhooks import health
from pipelines.webhooks.body import Event, write_body
from pipelines.webhooks.health import Health

WAITING = frozenset({"pending", "retrying"})
# It shows whether an endpoint works, also before it is switched on.
TEST_EVENT = "webhook.test"
GONE = "gone"
WELL = Health()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, and when its attempt began and ended on this machine's monotonic clock.

    `edited_at` is when the webhook that was tried had last been changed by its owner.
    """

    result: Result
    edited_at: datetime
    started_s: float
    ended_s: float
    is_gone: bool = False
    timed_out: bool = False

    @property
    def job(self) -> tuple[int, int]:
        return self.result.asked.job_id, self.result.asked.job_attempt


def is_sendable(letter: Letter) -> bool:
    return letter.status in WAITING and (letter.is_active or letter.event_type == TEST_EVENT)


def load(conn: Connection, asked: Sequence[Asked]) -> list[Letter | None]:
    """In their order. A letter that will be sent has its body, which is kept from then on."""
    letters = deliveries.load_letters(conn, asked)
    new = [letter for letter in letters if letter and letter.body is None and is_sendable(letter)]
    bodies = {letter.id: write_letter(letter) for letter in new}
    kept = keep_bodies(conn, bodies) if bodies else {}
    return [letter and with_body(letter, kept) for letter in letters]


def keep_bodies(conn: Connection, bodies: Mapping[UUID, str]) -> Mapping[UUID, str]:
    """What has to be sent: what another worker kept first stays."""
    stored = deliveries.store_bodies(conn, bodies)
    if len(stored) == len(bodies):
        return bodies
    others = deliveries.list_bodies(conn, bodies.keys() - stored)
    return {id: bodies[id] for id in stored} | others


def write_letter(letter: Letter) -> str:
    named = {"id": letter.data_id, "agent_id": letter.data_agent_id}
    ids = {name: json_text for name, json_text in named.items() if json_text is not None}
    event = Event(letter.id, letter.event_type, letter.created_at, letter.data, ids)
    return write_body(event, app_url=letter.app_url or "").decode()


def with_body(letter: Letter, kept: Mapping[UUID, str]) -> Letter | None:
    if letter.body is not None or not is_sendable(letter):
        return letter
    # Deleted since it was loaded.
    return replace(letter, body=kept[letter.id]) if letter.id in kept else None


def store(
    conn: Connection,
    outcomes: Sequence[Outcome],
    *,
    plan_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[str | None]:
    """What each delivery's row says now, GONE without one; None where the job was lost.

    `plan_s` is how long a delivery is tried; outcomes are timed by the `clock`.
    """
    held = deliveries.hold_jobs(conn, (o.job for o in outcomes))
    ours = [o for o in outcomes if o.job in held]
    deliveries.lock_webhooks(conn, (o.result.webhook_id for o in ours))
    stored = deliveries.store_results(conn, [o.result for o in ours])
    news = [o for o in ours if is_news(o, stored)]
    judge_endpoints(conn, news, now_s=clock(), plan_s=plan_s)
    return [status_of(o, stored) if o.job in held else None for o in outcomes]


def is_news(outcome: Outcome, stored: Mapping[UUID, Stored]) -> bool:
    """What was cancelled says nothing of the endpoint, and what was stored before nothing new."""
    found = stored.get(outcome.result.asked.delivery_id)
    return found is not None and found.is_new and outcome.result.status != "cancelled"


def status_of(outcome: Outcome, stored: Mapping[UUID, Stored]) -> str:
    found = stored.get(outcome.result.asked.delivery_id)
    return GONE if found is None else found.status


def judge_endpoints(
    conn: Connection, outcomes: Iterable[Outcome], *, now_s: float, plan_s: float
) -> None:
    """Let the health of the webhooks' endpoints follow from how attempts ended."""
    by_webhook: dict[UUID, list[Outcome]] = {}
    for outcome in outcomes:
        by_webhook.setdefault(outcome.result.webhook_id, []).append(outcome)
    known = deliveries.list_endpoints(conn, by_webhook)
    was = {id: Health(**known[id]) if id in known else WELL for id in by_webhook}
    concerned = {id for id in by_webhook if needs_judging(was[id], by_webhook[id])}
    if not concerned:
        return
    now = deliveries.read_clock(conn)
    edited_at = deliveries.list_edits(conn, concerned)
    came = {
        id: health.after(
            was[id],
            [
                timed(each, now=now, now_s=now_s)
                for each in tried_since(edited_at[id], by_webhook[id])
            ],
            now=now,
            plan_s=plan_s,
        )
        for id in sorted(edited_at)
    }
    store_health(conn, was, came, now=now)


def tried_since(edited_at: datetime, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Attempts from before an edit tell of another address, or of a fault that is mended."""
    return [outcome for outcome in outcomes if outcome.edited_at == edited_at]


def needs_judging(was: Health, outcomes: Iterable[Outcome]) -> bool:
    """All is well and stays well, mostly: then nothing is written."""
    is_well = was.consecutive_failures == 0 and was.open_until is None and not was.is_slow
    return not is_well or any(
        each.result.status != "delivered" or each.ended_s - each.started_s >= health.SLOW_S
        for each in outcomes
    )


def timed(outcome: Outcome, *, now: datetime, now_s: float) -> health.Result:
    """As health wants it: by the database's clock."""
    return health.Result(
        started_at=now - timedelta(seconds=now_s - outcome.started_s),
        ended_at=now - timedelta(seconds=now_s - outcome.ended_s),
        succeeded=outcome.result.status == "delivered",
        for_good=outcome.result.status in ("failed", "blocked"),
        gone=outcome.is_gone,
        timed_out=outcome.timed_out,
    )


def store_health(
    conn: Connection, was: Mapping[UUID, Health], came: Mapping[UUID, Health], *, now: datetime
) -> None:
    deliveries.store_endpoints(conn, {id: asdict(each) for id, each in came.items()})
    holds = {id: hold_of(each) for id, each in came.items()}
    changed = {id for id in came if holds[id] != hold_of(was[id])}
    held = [(id, hold) for id, hold in holds.items() if hold and id in changed]
    deliveries.hold_lanes(conn, [Hold(id, h.cap, h.open_until, h.reason) for id, h in held])
    deliveries.release_lanes(conn, changed - {id for id, _ in held})
    for id, each in came.items():
        if each.disabled_reason and each.disabled_reason != was[id].disabled_reason:
            deliveries.disable_webhook(
                conn,
                id,
                reason=each.disabled_reason,
                failing_since=each.failing_since or now,
            )


def hold_of(endpoint: Health) -> health.Hold | None:
    """None once it is given up: what is sent then is its owner's test, who waits for it."""
    return None if endpoint.disabled_reason else health.hold_of(endpoint)
