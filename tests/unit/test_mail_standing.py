"""Where a mail stands after what was told of it: the table below, in any order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.email_events import Event, Mail, Outcome
from pipelines.email.machines import is_machine
from pipelines.email.standing import advance, is_worn_out

SENT_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENT = Mail(
    id=UUID("00000000-0000-4000-8000-0000000000e1"),
    to_email="max@example.com",
    status="sent",
    sent_at=SENT_AT,
    delivered_at=None,
    opened_at=None,
    clicked_at=None,
    error_message=None,
    since=None,
)


def after(seconds: float) -> datetime:
    return SENT_AT + timedelta(seconds=seconds)


def event(number: int, kind: str, seconds: float, **details: Any) -> Event:
    by_bot = bool(details.pop("by_bot", False))
    return Event(number, kind, after(seconds), by_bot, applied=False, details=details)


def tell(mail: Mail, *kinds: str) -> Mail:
    """The mail after these events, a minute apart."""
    events = [event(n, kind, 60.0 * n) for n, kind in enumerate(kinds, 1)]
    return advance(mail, events)[0]


@pytest.mark.parametrize(
    ("status", "told", "expected"),
    [
        ("sent", "sent", "sent"),
        ("sent", "deferred", "sent"),
        ("sent", "delivered", "delivered"),
        ("sent", "opened", "opened"),
        ("sent", "clicked", "clicked"),
        ("sent", "bounced", "bounced"),
        ("sent", "complained", "complained"),
        ("sent", "rejected", "failed"),
        ("sent", "failed", "failed"),
        ("sent", "unsubscribed", "sent"),
        ("sent", "unknown", "sent"),
        ("delivered", "sent", "delivered"),
        ("delivered", "deferred", "delivered"),
        ("delivered", "failed", "delivered"),
        ("delivered", "opened", "opened"),
        ("delivered", "bounced", "bounced"),
        ("delivered", "complained", "complained"),
        ("opened", "delivered", "opened"),
        ("opened", "clicked", "clicked"),
        ("opened", "complained", "complained"),
        ("clicked", "opened", "clicked"),
        ("clicked", "delivered", "clicked"),
        ("bounced", "delivered", "bounced"),
        ("bounced", "opened", "bounced"),
        ("bounced", "complained", "complained"),
        ("complained", "clicked", "complained"),
        ("complained", "bounced", "complained"),
        ("failed", "sent", "failed"),
        ("failed", "delivered", "delivered"),
        ("uncertain", "sent", "sent"),
        ("uncertain", "delivered", "delivered"),
        ("uncertain", "unknown", "uncertain"),
        ("sending", "delivered", "delivered"),
        ("sending", "unknown", "sending"),
    ],
)
def test_a_mail_only_moves_forward(status: str, told: str, expected: str) -> None:
    assert tell(replace(SENT, status=status), told).status == expected


def test_the_first_time_wins() -> None:
    moved = tell(SENT, "delivered", "opened", "clicked", "delivered", "opened", "clicked")

    assert (moved.delivered_at, moved.opened_at, moved.clicked_at) == (
        after(60), after(120), after(180),
    )  # fmt: skip


def test_an_earlier_time_that_is_told_late_is_the_first() -> None:
    moved, _ = advance(replace(SENT, delivered_at=after(90)), [event(1, "delivered", 30)])

    assert moved.delivered_at == after(30)


def test_a_time_without_an_event_stays() -> None:
    moved = tell(replace(SENT, status="opened", opened_at=after(1)), "delivered")

    assert (moved.status, moved.opened_at) == ("opened", after(1))


def test_a_click_implies_an_opening() -> None:
    moved = tell(SENT, "clicked")

    assert (moved.opened_at, moved.clicked_at) == (after(60), after(60))


def test_what_arrived_was_sent() -> None:
    moved = tell(replace(SENT, status="uncertain", sent_at=None, error_message="unsure"), "opened")

    assert (moved.status, moved.sent_at, moved.error_message) == ("opened", after(60), None)


def test_a_mail_that_came_back_says_why() -> None:
    moved, _ = advance(SENT, [event(1, "bounced", 60, reason="no such user", hard=True)])

    assert moved.error_message == "The mail came back: no such user"


def test_events_of_an_earlier_copy_do_not_count() -> None:
    again = replace(SENT, since=after(100))

    moved, _ = advance(again, [event(1, "opened", 60), event(2, "delivered", 120)])

    assert (moved.status, moved.opened_at) == ("delivered", None)


@pytest.mark.parametrize(("seconds", "status"), [(0, "sent"), (9.9, "sent"), (10, "opened")])
def test_nobody_opens_a_mail_within_ten_seconds(seconds: float, status: str) -> None:
    moved, machines = advance(SENT, [event(1, "opened", seconds)])

    assert moved.status == status
    assert machines == ({1} if status == "sent" else set())


def test_what_a_machine_does_moves_no_time() -> None:
    moved, found = advance(
        SENT, [event(1, "opened", 60, by_bot=True), event(2, "clicked", 70, by_bot=True)]
    )

    assert (moved, found) == (SENT, set())


def clicks(*seconds: float, among: int, first: int = 1) -> list[Event]:
    """A click on each link in turn."""
    return [
        event(n, "clicked", at, url=f"https://example.com/{n}", among=among)
        for n, at in enumerate(seconds, first)
    ]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (clicks(60, 61, among=2), "sent"),
        (clicks(60, 61, 62, among=8), "sent"),
        (clicks(60, 61, among=3), "clicked"),
        (clicks(60, 70, among=2), "clicked"),
        (clicks(60, among=1), "clicked"),
        (clicks(60, among=1) + clicks(61, among=1), "clicked"),
        ([*clicks(60, among=2), event(2, "clicked", 61, url="https://ours.example/e/c/1")],
         "clicked"),
        ([event(n, "clicked", 60 + n, url=f"https://example.com/{n}") for n in range(3)], "sent"),
    ],
    ids=["all two", "three of eight", "two of three", "slowly", "the only one", "it twice",
         "told by the provider again", "three told by the provider"],
)  # fmt: skip
def test_clicks_on_all_links_at_once_are_a_scanners(told: list[Event], status: str) -> None:
    moved, machines = advance(SENT, told)

    assert moved.status == status
    assert bool(machines) == (status == "sent")


def test_a_scanners_first_click_is_taken_back() -> None:
    first, second = clicks(60, 61, among=2)
    before = event(9, "delivered", 5)
    moved, _ = advance(SENT, [before, first])
    assert moved.status == "clicked"

    moved, machines = advance(moved, [applied(before), applied(first), second])

    assert (moved.status, moved.opened_at, moved.clicked_at) == ("delivered", None, None)
    assert machines == {1, 2}


def applied(told: Event) -> Event:
    return replace(told, applied=True)


TOLD = st.lists(
    st.builds(
        lambda kind, seconds, by_bot, place: (kind, seconds, by_bot, place),
        st.sampled_from(
            ("sent", "delivered", "deferred", "opened", "clicked", "bounced", "complained",
             "rejected", "failed", "unsubscribed", "unknown")
        ),
        st.integers(0, 40),
        st.booleans(),
        st.integers(1, 3),
    ),
    max_size=8,
    unique_by=lambda told: told[1],
)  # fmt: skip


@given(told=TOLD, data=st.data())
def test_the_order_in_which_it_is_told_does_not_matter(
    told: list[tuple[str, int, bool, int]], data: st.DataObject
) -> None:
    events = [
        event(
            n, kind, seconds, url=str(place), among=3,
            by_bot=by_bot and kind in ("opened", "clicked"),
        )
        for n, (kind, seconds, by_bot, place) in enumerate(told)
    ]  # fmt: skip
    at_once, _ = advance(SENT, events)

    one_by_one = replay(SENT, data.draw(st.permutations(events)))

    assert replace(one_by_one, error_message=None) == replace(at_once, error_message=None)


def replay(mail: Mail, events: Sequence[Event]) -> Mail:
    """Each event stored and taken in as it comes."""
    known: dict[int, Event] = {}
    for told in events:
        known[told.id] = told
        mail, machines = advance(mail, sorted(known.values(), key=lambda each: each.at))
        known = {
            number: replace(each, applied=True, by_bot=each.by_bot or number in machines)
            for number, each in known.items()
        }
    return mail


@pytest.mark.parametrize(
    ("kinds", "days", "worn_out"),
    [
        ("bbbbb", 8, True),
        ("bbbbb", 7, True),
        ("bbbbb", 6.9, False),
        ("bbbb", 30, False),
        ("bbbbd", 30, False),
        ("dbbbbb", 30, False),
        ("bbbbbd", 30, True),
    ],
)
def test_five_soft_bounces_in_a_row_over_a_week_are_enough(
    kinds: str, days: float, worn_out: bool
) -> None:
    """Newest first."""
    names = {"b": "bounced", "d": "delivered"}
    last = min(len(kinds), 5) - 1
    outcomes = [
        Outcome(names[kind], after(-86_400 * days * place / last), hard=False)
        for place, kind in enumerate(kinds)
    ]

    assert is_worn_out(outcomes) is worn_out


CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        (CHROME + "Chrome/126.0.0.0 Safari/537.36", False),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15", False),
        ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.5426; Pro)", False),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.0", False),
        ("", False),
        ("Mozilla/5.0", True),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com "
         "GoogleImageProxy)", True),
        (CHROME + "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0", True),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", True),
        ("Barracuda Sentinel (EE)", True),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", True),
        (CHROME + "HeadlessChrome/126.0.0.0 Safari/537.36", True),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", True),
    ],
)  # fmt: skip
def test_machines_are_known_by_their_names(agent: str, machine: bool) -> None:
    assert is_machine(agent) is machine


def test_whoever_only_asks_for_the_head_is_a_machine() -> None:
    assert is_machine(CHROME, method="HEAD")
