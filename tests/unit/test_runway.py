"""Tickets as they lie in Redis."""

from db.jobs import Ticket
from workers.runway import parse


def test_what_is_no_ticket_is_passed_over() -> None:
    assert parse([b"7:1", b"", b"x:1", b"7", b"-1:2", b"8:2"]) == [Ticket(7, 1), Ticket(8, 2)]
