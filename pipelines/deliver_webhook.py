"""The story of `deliver_webhook`: load, sign, send, judge, store.

It runs on the event loop, so that an endpoint that is slow to answer holds no thread.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from db.batches import Batches
from db.deliveries import Asked, Letter, Result
from db.fence import LeaseLost
from db.pool import Connection
from pipelines import deliveries
from pipelines.deliveries import WAITING, Outcome, is_sendable
from pipelines.errors import Permanent, Postponed, Snooze
from pipelines.gateways.http import Client, Request, Response
from pipelines.gateways.http_failures import HttpFailure, HttpPermanent, HttpTransient
from pipelines.webhooks.headers import UnusableHeader, write_headers
from pipelines.webhooks.judge import RESPONSE_BYTES_MAX, Try, Verdict, judge, refuse
from pipelines.webhooks.plan import RetryRules
from pipelines.webhooks.signing import UnusableSecret, sign

# What is due later than in a day is looked at again meanwhile.
SNOOZE_S_MAX = 86_400.0
DEACTIVATED = "cancelled: the webhook was deactivated before this was delivered"


@dataclass(frozen=True, slots=True)
class Desk:
    """What deliveries share. `schedule_s` is the wait before each attempt, the first one's too."""

    letters: Batches[Asked, Letter | None]
    outcomes: Batches[Outcome, str | None]
    client: Client
    schedule_s: Sequence[float]
    timeout_s: float
    luck: Callable[[], float] = random.random


def open_desk(
    open_connection: Callable[[], Connection],
    client: Client,
    *,
    schedule_s: Sequence[float],
    timeout_s: float,
) -> Desk:
    """With its two threads started: one loads, one stores."""
    letters = Batches(open_connection, deliveries.load, name="letters", waits=False)
    storing = partial(deliveries.store, plan_s=sum(schedule_s))
    outcomes = Batches(open_connection, storing, name="outcomes", waits=True)
    letters.start()
    outcomes.start()
    return Desk(letters, outcomes, client, schedule_s, timeout_s)


async def run(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Raises Postponed or Permanent where it did not arrive, Snooze where it is not its time."""
    letter = await desk.letters.ask(asked)
    if letter is None:
        return {"status": "gone"}
    if letter.status not in WAITING:
        return {"status": letter.status}
    if not is_sendable(letter):
        outcome = cancel(asked, letter)
    elif (left_s := early_s(letter, desk.schedule_s)) > 0:
        raise Snooze(min(left_s, SNOOZE_S_MAX))
    else:
        outcome = await deliver(desk, asked, letter)
    status = await desk.outcomes.ask(outcome)
    return conclude(outcome.result, status)


def early_s(letter: Letter, schedule_s: Sequence[float]) -> float:
    """How long to wait still: the row knows when, also if the job was given back and is early."""
    if letter.is_asked_anew and letter.attempt_count > 0:
        return 0.0
    if letter.due_in_s is not None:
        return letter.due_in_s
    # A row may come from a clock that is ahead of ours.
    return schedule_s[0] - max(0.0, letter.age_s) if letter.attempt_count == 0 else 0.0


def cancel(asked: Asked, letter: Letter) -> Outcome:
    now_s = time.monotonic()
    result = Result(
        asked=asked,
        webhook_id=letter.webhook_id,
        attempt=letter.attempt_count + 1,
        status="cancelled",
        error_message=DEACTIVATED,
    )
    return Outcome(result, letter.edited_at, started_s=now_s, ended_s=now_s)


async def deliver(desk: Desk, asked: Asked, letter: Letter) -> Outcome:
    """One attempt, whatever comes of it."""
    started_s = time.monotonic()
    try:
        request = write_request(letter, at_s=int(time.time()), timeout_s=desk.timeout_s)
    except (UnusableHeader, UnusableSecret) as error:
        verdict, failure = refuse(str(error)), None
    else:
        answer = await send(desk.client, request)
        attempt = Try(
            number=letter.attempt_count + 1,
            rules=RetryRules(desk.schedule_s, letter.retry_failed, letter.max_retries),
            ended_at=datetime.now(UTC),
            luck=desk.luck(),
        )
        verdict = judge(answer, attempt)
        failure = None if isinstance(answer, Response) else answer.failure_class
    ended_s = time.monotonic()
    return Outcome(
        result_of(verdict, asked, letter, duration_ms=round((ended_s - started_s) * 1000)),
        letter.edited_at,
        started_s=started_s,
        ended_s=ended_s,
        is_gone=verdict.is_gone,
        timed_out=failure == "timeout",
    )


def write_request(letter: Letter, *, at_s: int, timeout_s: float) -> Request:
    assert letter.body is not None
    body = letter.body.encode()
    message_id = f"msg_{letter.event_id}"
    signature = sign(message_id, at_s, body, secrets=letter.secrets)
    return Request(
        url=letter.url,
        method="POST",
        headers=write_headers(
            message_id, at_s=at_s, signature=signature, custom=letter.custom_headers
        ),
        body=body,
        deadline_s=timeout_s,
        body_bytes_max=RESPONSE_BYTES_MAX,
        body_optional=True,
        repeatable=True,
    )


async def send(client: Client, request: Request) -> Response | HttpFailure:
    try:
        return await client.send(request)
    except (HttpPermanent, HttpTransient) as failure:
        return failure


def result_of(verdict: Verdict, asked: Asked, letter: Letter, *, duration_ms: int) -> Result:
    return Result(
        asked=asked,
        webhook_id=letter.webhook_id,
        attempt=letter.attempt_count + 1,
        status=verdict.status,
        http_status=verdict.http_status,
        error_message=verdict.error_message,
        response_body=verdict.response_body,
        duration_ms=duration_ms,
        wait_s=verdict.wait_s,
    )


def conclude(result: Result, status: str | None) -> dict[str, Any]:
    """What the job makes of it; `status` is what the delivery's row says, None: no longer ours.

    It is another one than the result's where an owner cancelled the delivery meanwhile, or asked
    for it anew: then it is pending again.
    """
    match status:
        case None:
            raise LeaseLost(f"job {result.asked.job_id}, attempt {result.asked.job_attempt}")
        case "retrying" if result.wait_s is not None:
            raise Postponed(result.error_message or "", delay_s=result.wait_s)
        case "failed" | "blocked":
            raise Permanent(result.error_message or status)
        case "pending" | "retrying":
            raise Snooze(0.0)
        case _:
            return {
                "status": status,
                "attempt": result.attempt,
                "http_status": result.http_status,
                "duration_ms": result.duration_ms,
            }
