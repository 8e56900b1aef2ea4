"""Tickets as they lie in Redis, and what a dead process' witness tells."""

from db.jobs import Ticket
from workers import witness
from workers.runway import parse


def test_what_is_no_ticket_is_passed_over() -> None:
    assert parse([b"7:1", b"", b"x:1", b"7", b"-1:2", b"8:2"]) == [Ticket(7, 1), Ticket(8, 2)]


def test_a_witness_tells_what_had_begun_and_not_ended() -> None:
    seen = witness.create(3)
    child = witness.Witness(seen.fd, 3)

    first = child.began(11)
    child.began(12)
    child.ended(first)

    assert seen.running() == [12]
