"""What is decided of a period that is over, and how it is written down for good."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import md5
from typing import Any
from uuid import UUID

from pipelines.billing.allowance import Segment, allowance
from pipelines.billing.amounts import ZERO, Amounts, charge, plain
from pipelines.billing.periods import Period
from pipelines.errors import Permanent

KEY_CHARS = 12
# Webhooks send events of many thousand bytes without their content; this one must arrive whole.
EVENT_SEGMENTS_MAX = 50


@dataclass(frozen=True, slots=True)
class Usage:
    """Messages of a period by both counts; `late` are found of periods that were closed before."""

    counted: int
    logged: int
    late: int = 0

    @property
    def used(self) -> int:
        # Refused messages are not counted and imported ones not logged: neither count is whole.
        return max(self.counted, self.logged)


@dataclass(frozen=True, slots=True)
class Terms:
    """In force at the period's end; `unit_price` is None where the tier has none in `currency`."""

    tier: str
    currency: str
    tax_rate: Decimal
    unit_price: Decimal | None


@dataclass(frozen=True, slots=True)
class Closing:
    user_id: UUID
    period: Period
    usage: Usage
    parts: tuple[Segment, ...]
    allowance: int
    overage: int
    terms: Terms
    amounts: Amounts

    @property
    def is_charged(self) -> bool:
        """A few messages may cost less than the currency's smallest unit, or nothing at all."""
        return self.amounts.total > 0

    @property
    def idempotency_key(self) -> str:
        return f"overage:{self.user_id}:{self.period.start}"

    @property
    def transaction_id(self) -> UUID:
        """Made of the key: a second transaction of this period has no id left to take."""
        return UUID(md5(self.idempotency_key.encode(), usedforsecurity=False).hexdigest())

    @property
    def invoice_number(self) -> str:
        return f"AV-{self.period.start:%Y%m}-{self.transaction_id.hex[:KEY_CHARS].upper()}"


def close(
    user_id: UUID, period: Period, *, usage: Usage, parts: list[Segment], terms: Terms
) -> Closing:
    """Decide what a period costs. Raises Permanent where the messages have no price."""
    included = allowance(parts)
    overage = max(0, usage.used + usage.late - included)
    if overage and terms.unit_price is None:
        raise Permanent(
            f"{overage} messages over the allowance of {period.start} to {period.end} have no"
            f" price: tier {terms.tier} has none in {terms.currency} that was valid before the end"
        )
    amounts = charge(
        overage,
        unit_price=terms.unit_price or ZERO,
        tax_rate=terms.tax_rate,
        currency=terms.currency,
    )
    return Closing(user_id, period, usage, tuple(parts), included, overage, terms, amounts)


def frozen(closing: Closing) -> dict[str, Any]:
    """The closing as JSON; decimals are text, for a JSON number may lose their last digit."""
    charged = closing.is_charged
    return {
        "user_id": str(closing.user_id),
        "period_start": str(closing.period.start),
        "period_end": str(closing.period.end),
        "tier": closing.terms.tier,
        **frozen_usage(closing),
        **frozen_money(closing),
        "idempotency_key": closing.idempotency_key,
        "transaction_id": str(closing.transaction_id) if charged else None,
        "invoice_number": closing.invoice_number if charged else None,
    }


def announced(closing: Closing, *, subscription_tier: str) -> dict[str, Any]:
    """What the payment side hears: the frozen closing, and the tier that holds by now."""
    content = frozen(closing)
    parts = content["segments"]
    return {
        **content,
        "segments": parts[:EVENT_SEGMENTS_MAX],
        "segments_cut": len(parts) > EVENT_SEGMENTS_MAX,
        "subscription_tier": subscription_tier,
    }


def frozen_usage(closing: Closing) -> dict[str, Any]:
    return {
        "messages_counted": closing.usage.counted,
        "messages_logged": closing.usage.logged,
        "messages_used": closing.usage.used,
        "late_messages": closing.usage.late,
        "allowance": closing.allowance,
        "overage_messages": closing.overage,
        "segments": [
            {
                "from": stamp(part.start_at),
                "until": stamp(part.end_at),
                "tier": part.plan.tier,
                "message_limit": part.plan.message_limit,
            }
            for part in closing.parts
        ],
    }


def frozen_money(closing: Closing) -> dict[str, Any]:
    terms, amounts = closing.terms, closing.amounts
    return {
        "currency": terms.currency,
        "unit_price": None if terms.unit_price is None else plain(terms.unit_price),
        "amount": f"{amounts.amount:f}",
        "tax_rate": plain(terms.tax_rate),
        "tax": f"{amounts.tax:f}",
        "total": f"{amounts.total:f}",
    }


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def describe(closing: Closing) -> str:
    """One sentence for the customer; it needs a price."""
    period, usage, terms = closing.period, closing.usage, closing.terms
    late = f" and {usage.late:,} late ones of earlier periods" if usage.late else ""
    return (
        f"{period.start} to {period.end - timedelta(days=1)}: {usage.used:,} messages{late},"
        f" {closing.allowance:,} included, {closing.overage:,} more at"
        f" {plain(terms.unit_price or ZERO)} {terms.currency} each"
    )
