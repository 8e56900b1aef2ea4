"""What a supervisor does with the processes of a post, and with requests to stop."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from tests.processes import wait_until
from workers import supervisor
from workers.supervisor import LEAVING_MAX, Hand, Seat, StopRequest

SLEEP = "import time; time.sleep(60)"


class FakeHand(Hand):
    def __init__(self, code: str) -> None:
        super().__init__(subprocess.Popen([sys.executable, "-c", code]))
        self.leaving = False
        self.codes: list[int] = []

    def is_leaving(self) -> bool:
        return self.leaving

    def ended(self, code: int) -> None:
        self.codes.append(code)


class FakePost:
    """Starts real processes that run `code`."""

    name = "fake"
    backoff_s: Sequence[float] = (0.01, 0.02, 60.0)

    def __init__(self, code: str = SLEEP) -> None:
        self.code = code
        self.started: list[FakeHand] = []
        self.refusals = 0

    def wanted(self) -> bool:
        return True

    def start(self, env: Mapping[str, str]) -> Hand:
        if self.refusals:
            self.refusals -= 1
            raise OSError("no room for one more process")
        self.started.append(FakeHand(self.code))
        return self.started[-1]


@pytest.fixture
def make_seat() -> Iterator[Callable[[FakePost], Seat]]:
    seats: list[Seat] = []

    def make(post: FakePost) -> Seat:
        seats.append(Seat(post, {}))
        return seats[-1]

    yield make
    for seat in seats:
        for hand in seat.hands():
            hand.process.kill()
            hand.process.wait()


def test_a_leaving_process_is_followed_at_once_and_watched_to_its_end(
    make_seat: Callable[[FakePost], Seat],
) -> None:
    post = FakePost()
    seat = make_seat(post)
    seat.tend()

    post.started[0].leaving = True
    seat.tend()
    both = [hand.process.poll() for hand in seat.hands()]
    post.started[0].process.kill()
    post.started[0].process.wait()
    seat.tend()

    assert both == [None, None]
    assert post.started[0].codes == [-9]
    assert seat.hands() == [post.started[1]]


def test_processes_that_leave_slowly_do_not_pile_up(
    make_seat: Callable[[FakePost], Seat],
) -> None:
    post = FakePost()
    seat = make_seat(post)

    for _ in range(10):
        seat.tend()
        for hand in post.started:
            hand.leaving = True

    assert len(post.started) == LEAVING_MAX


def test_a_process_that_dies_at_its_start_again_and_again_is_started_ever_more_slowly(
    make_seat: Callable[[FakePost], Seat],
) -> None:
    post = FakePost("import os; os._exit(1)")
    seat = make_seat(post)

    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        seat.tend()
        time.sleep(0.005)

    assert 1 <= len(post.started) <= len(post.backoff_s)


def test_a_machine_without_room_for_a_process_does_not_end_the_supervisor(
    make_seat: Callable[[FakePost], Seat],
) -> None:
    post = FakePost()
    post.refusals, post.backoff_s = 1, (0.01,)
    seat = make_seat(post)

    def filled() -> bool:
        seat.tend()
        return bool(post.started)

    wait_until(filled, "a second try")


def test_one_request_that_arrives_twice_is_no_hurry() -> None:
    """A terminal signals the whole group, and then each parent its children."""
    request = StopRequest()

    request.ask()
    request.ask()

    assert (request.asked, request.hurry) == (True, False)


def test_a_second_request_is_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SAME_REQUEST_S", -1.0)
    request = StopRequest()

    request.ask()
    request.ask()

    assert request.hurry
