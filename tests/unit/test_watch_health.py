"""When the job of every minute is missed."""

from datetime import UTC, datetime, timedelta

import pytest

from db.health import Canary
from tests.unit.test_findings import facts
from workers.finding import Finding
from workers.health_flow import judge_canary

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def canary(*, landed_s: float | None, begins_s: float) -> Canary:
    landed_at = None if landed_s is None else NOW - timedelta(seconds=landed_s)
    return Canary(landed_at, landed_at, NOW - timedelta(seconds=begins_s))


@pytest.mark.parametrize(
    ("landed_s", "begins_s", "is_missed"),
    [(60, 9_000, False), (181, 9_000, True), (None, 60, False), (None, 181, True)],
)
def test_it_is_missed_when_three_minutes_pass_without_one(
    landed_s: float | None, begins_s: float, is_missed: bool
) -> None:
    seen = facts(NOW, canary=canary(landed_s=landed_s, begins_s=begins_s))

    assert bool(list(judge_canary(seen, []))) is is_missed


def test_nobody_misses_it_where_it_was_stopped_on_purpose() -> None:
    assert list(judge_canary(facts(NOW, canary=None), [])) == []


def test_a_known_cause_explains_it() -> None:
    cause = Finding("no_dispatcher", "stop", "", "", "", "no-dispatcher")

    (finding,) = judge_canary(facts(NOW, canary=canary(landed_s=900, begins_s=9_000)), [cause])

    assert finding.cause == "no_dispatcher"
