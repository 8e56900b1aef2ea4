"""When disabled endpoints are tried."""

from datetime import UTC, datetime

from pipelines.probe_webhooks import HOUR_S, PROBES_MAX, WAITS_S
from pipelines.webhooks import health
from pipelines.webhooks.health import Health, Result

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_probes_back_off_and_end_after_ten_days() -> None:
    assert list(WAITS_S) == sorted(WAITS_S)
    assert WAITS_S[0] == HOUR_S
    assert 10 * 24 * HOUR_S <= sum(WAITS_S) < 11 * 24 * HOUR_S


def test_a_tick_weighs_little() -> None:
    assert PROBES_MAX <= 100


def test_who_is_gone_is_known_by_the_words_that_statements_look_for() -> None:
    gone = Result(started_at=NOW, ended_at=NOW, succeeded=False, for_good=True, gone=True)

    reason = health.after(Health(), [gone], now=NOW, plan_s=60).disabled_reason

    assert reason is not None
    assert reason.startswith("the receiver answered 410")
