"""What operators read of an alert, and how patient the watchdog is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from db.alerts import Notice
from workers.alert_messages import compose
from workers.alert_rules import WAITS_S, Rules, sign, wait_s
from workers.finding import Finding

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OPENED = Notice(
    alert_id=7,
    event="opened",
    way="webhook",
    attempts=1,
    key="no_worker",
    level="stop",
    title="No worker is alive",
    evidence="None for 20 s.",
    advice="Start one.",
    runbook="no-worker",
    began_at=NOON,
    opened_at=NOON + timedelta(minutes=1),
    recovered_at=None,
)
OVER = replace(OPENED, event="recovered", recovered_at=NOON + timedelta(minutes=41))


def test_an_alert_reads_from_what_to_where() -> None:
    message = compose(OPENED, public_url="https://workers.example.com/")

    assert message.subject == "[Avivro] Stopped: No worker is alive"
    assert message.payload["text"] == (
        "Stopped: No worker is alive\n\nNone for 20 s.\n\nWhat to do: Start one.\n\n"
        "Runbook: https://workers.example.com/runbooks/no-worker"
    )
    assert message.payload["alert"]["key"] == "no_worker"


def test_its_end_says_how_long_it_was() -> None:
    message = compose(OVER, public_url=None)

    assert message.subject == "[Avivro] Recovered: No worker is alive"
    assert "It lasted 41 min, from 2026-03-02 12:00:00 UTC" in message.text
    assert message.text.endswith("Runbook: /runbooks/no-worker (avivro dashboard)")


def test_each_attempt_has_the_same_id_and_each_event_its_own() -> None:
    again = compose(replace(OPENED, attempts=4), public_url=None)

    assert again == compose(OPENED, public_url=None)
    assert again.id != compose(OVER, public_url=None).id


def test_markup_in_evidence_stays_text() -> None:
    assert "&lt;b&gt;" in compose(replace(OPENED, evidence="<b>"), public_url=None).html


@pytest.mark.parametrize(("attempts", "waited_s"), [(1, 15), (2, 30), (5, 300), (50, 300)])
def test_waits_grow_and_stay_bounded(attempts: int, waited_s: float) -> None:
    assert wait_s(attempts) == waited_s
    assert list(WAITS_S) == sorted(WAITS_S)


def test_what_was_paused_on_purpose_has_a_day_of_grace() -> None:
    finding = Finding("paused:queue:email", "hold", "t", "e", "d", "paused")

    assert sign(finding, Rules()).grace_s == 86_400
    assert sign(replace(finding, runbook="no-worker"), Rules()).grace_s == 60


def test_long_evidence_cuts_off_neither_what_to_do_nor_the_runbook() -> None:
    long = replace(OPENED, title="a\r\nBcc: b@example.com" + "c" * 500, evidence="d" * 100_000)

    message = compose(long, public_url=None)

    assert "\n" not in message.subject
    assert len(message.subject) < 200
    assert "\n\nWhat to do: Start one.\n\nRunbook: /runbooks/no-worker" in message.text
    assert len(str(message.payload)) < 5_000
