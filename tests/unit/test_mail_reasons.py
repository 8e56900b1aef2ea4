"""Mails that failed alike are one reason."""

from datetime import UTC, datetime, timedelta

from db.watched_emails import Reason
from workers.dashboard.mail_reasons import group

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_errors_that_differ_in_addresses_and_numbers_are_one_reason() -> None:
    reasons = [
        Reason(f"550 5.1.1 <u{n}@example.com>: unknown, id {n * 977}", "welcome", NOW)
        for n in range(5)
    ]

    (found,) = group(reasons)

    assert (found.count, found.shape) == (5, "550 5.1.1 \u2026: unknown, id \u2026")
    assert "u0@" not in found.example


def test_codes_tell_reasons_apart_and_the_most_frequent_comes_first() -> None:
    reasons = [Reason("550 no such user", "welcome", NOW)] + [
        Reason("552 mailbox full", "invoice", NOW - timedelta(hours=n)) for n in range(3)
    ]

    found = group(reasons)

    assert [(each.shape, each.count) for each in found] == [
        ("552 mailbox full", 3),
        ("550 no such user", 1),
    ]
    assert (found[0].last_at, found[0].first_at) == (NOW, NOW - timedelta(hours=2))


def test_a_megabyte_of_error_is_a_short_reason() -> None:
    (found,) = group([Reason("x" * 1_000_000, "welcome", NOW)])

    assert len(found.shape) <= 160
    assert len(found.example) <= 400
