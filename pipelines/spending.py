"""Whether a tenant may pay for one more embedding request, and what happens when it may not.

What is guaranteed: what was paid this month and what is in flight stay within the cap together,
over all jobs and workers, as far as the provider bills the tokens that were counted.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid5

from db import notifications, spending
from db.fence import Fence
from db.notifications import Notice
from db.sources import Source
from db.spending import Allowance
from pipelines.errors import Snooze
from pipelines.vectors.buying import IN_FLIGHT_MAX

# Any constant would do: it keeps these ids apart from those made of other things.
NAMESPACE = UUID("b6b0a8f4-5a3e-4d0f-9a0c-0f1d6b1f3c58")


class BudgetSpent(Snooze):
    """The tenant's budget is used up; the job goes on when it may spend again."""


@dataclass(slots=True)
class Budget:
    """What one attempt spends in its tenant's name."""

    db: Fence
    source: Source
    # In flight; what failed is among them until it is pushed out, which errs on the safe side.
    asked: deque[Decimal] = field(default_factory=lambda: deque(maxlen=IN_FLIGHT_MAX + 1))
    is_capped: bool = True

    def may_spend(self, usd: Decimal) -> None:
        """Raises BudgetSpent, and tells the owner, where the cap does not allow `usd` more."""
        if usd == 0:
            return
        self.asked.append(usd)
        allowance = self._reserve()
        self.is_capped = allowance.cap_usd is not None
        if not allowance.allowed:
            self._pause(allowance, usd)

    def note_payment(self) -> None:
        """One request was paid, and counts among what was spent now. Which one is not known here:
        forgetting the smallest errs on the safe side.
        """
        if self.asked:
            self.asked.remove(min(self.asked))
            if self.is_capped:
                self._reserve()

    def _reserve(self) -> Allowance:
        with self.db.write() as conn:
            return spending.reserve_spending(
                conn,
                job_id=self.db.job_id,
                attempt=self.db.attempt,
                tenant=self.source.user_id,
                usd=sum(self.asked, Decimal(0)),
            )

    def _pause(self, allowance: Allowance, needs_usd: Decimal) -> None:
        tenant, note = self.source.user_id, describe(allowance)
        notice = write_notice(self.source, note)
        with self.db.write() as conn:
            spending.pause_job(conn, job_id=self.db.job_id, tenant=tenant, needs_usd=needs_usd)
            spending.explain_pause(conn, self.source.id, note)
            notifications.tell(conn, notice, id=notice_id(tenant, allowance.asked_at))
            self.db.note(conn, {"stage": "paused", "note": note})
        raise BudgetSpent((allowance.resumes_at - allowance.asked_at).total_seconds())


def describe(allowance: Allowance) -> str:
    assert allowance.cap_usd is not None
    resumes_on = f"{allowance.resumes_at.astimezone(UTC):%-d %B %Y}"
    return (
        f"Paused: this month's embedding budget of {dollars(allowance.cap_usd)} is used up. "
        f"It goes on by itself on {resumes_on} (UTC), or as soon as the budget is raised."
    )


def dollars(usd: Decimal) -> str:
    """To the cent; smaller amounts as they are."""
    return f"${usd:,.2f}" if usd == usd.quantize(Decimal("0.01")) else f"${usd.normalize():f}"


def write_notice(source: Source, note: str) -> Notice:
    return Notice(
        user_id=source.user_id,
        agent_id=None,
        type="embedding_budget_reached",
        title="Your embedding budget is used up",
        message=f"{note} What is indexed already stays searchable.",
        priority="high",
        action_url="/knowledge",
        action_label="Open knowledge",
    )


def notice_id(tenant: UUID, now: datetime) -> UUID:
    """One notice a tenant and month."""
    return uuid5(NAMESPACE, f"{tenant}:{now.astimezone(UTC):%Y-%m}")
