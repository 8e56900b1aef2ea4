"""How much waits to be recorded while Postgres is away."""

from datetime import UTC, datetime

import psycopg
import pytest

from db.email_events import Told
from db.pool import Connection
from pipelines.email.recording import Note
from workers.dashboard import mail_recorder
from workers.dashboard.mail_recorder import Recorder

NOTE = Note(Told("avivro", "opened", datetime(2026, 3, 1, tzinfo=UTC)))


def away() -> Connection:
    raise psycopg.OperationalError("nobody is there")


def test_what_waits_is_bounded_and_the_rest_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_recorder, "NOTES_WAITING_MAX", 3)
    recorder = Recorder(away)

    waiting = [recorder.submit(NOTE) for _ in range(5)]

    assert [future is not None for future in waiting] == [True, True, True, False, False]


def test_what_is_done_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_recorder, "NOTES_WAITING_MAX", 1)
    recorder = Recorder(away)
    first = recorder.submit(NOTE)
    assert first is not None
    assert recorder.submit(NOTE) is None

    first.set_result(False)

    assert recorder.submit(NOTE) is not None
