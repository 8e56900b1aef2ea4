"""The rate that all workers share: one bucket and one line, in a real Redis."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
import redis

from pipelines.gateways import throttle
from pipelines.gateways.claims import CLAIM_S, RedisClaims
from pipelines.gateways.gate import Ask, Bounds, Seen, Turn
from pipelines.gateways.throttle import AWAY_S, STALE_S, STRIKE_S_MAX, Throttle
from tests.processes import wait_until

GIANT, OTHER = uuid4(), uuid4()
NOBODY = Bounds()
Gate = Callable[..., Throttle]


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with throttle.connect(redis_url) as connected:
        yield connected


@pytest.fixture
def gate(client: "redis.Redis") -> Gate:
    """A gate as each worker has its own, to the same provider."""

    def make(*, tokens: int | None = None, requests: int | None = None) -> Throttle:
        return Throttle(client, provider="ada:test", own=Bounds(tokens, requests))

    return make


def ask(tokens: int, *, tenant: UUID = GIANT, ticket: str | None = None) -> Ask:
    return Ask(ticket or uuid4().hex, tenant, tokens)


def empty(gate: Throttle, tokens: int) -> None:
    assert gate.admit(ask(tokens)) == Turn(0.0)


def seen(
    *,
    allowed: int | None = None,
    left: int | None = None,
    refused: bool = False,
    retry_after_s: float | None = None,
    took_s: float = 0.0,
) -> Seen:
    return Seen(Bounds(allowed), Bounds(left), took_s, refused, retry_after_s)


def test_without_any_limit_everybody_passes(gate: Gate) -> None:
    assert [gate().admit(ask(10**9)) for _ in range(50)] == [Turn(0.0)] * 50
    assert gate().bounds() == NOBODY


def test_a_minutes_worth_passes_at_once_and_the_rest_as_it_refills(gate: Gate) -> None:
    workers = [gate(tokens=60_000), gate(tokens=60_000)]

    turns = [workers[n % 2].admit(ask(10_000)) for n in range(7)]

    assert turns[:6] == [Turn(0.0)] * 6
    assert turns[6].wait_s == pytest.approx(10, abs=0.5)


def test_requests_are_counted_too(gate: Gate) -> None:
    limited = gate(requests=60)

    turns = [limited.admit(ask(1)) for _ in range(61)]

    assert turns[:60] == [Turn(0.0)] * 60
    assert 0 < turns[60].wait_s <= 1


def test_a_waiting_request_passes_when_its_wait_is_over(gate: Gate) -> None:
    limited = gate(tokens=6_000)
    empty(limited, 6_000)
    late = ask(50)

    first = limited.admit(late)
    time.sleep(first.wait_s)

    assert 0.3 < first.wait_s <= 0.5
    assert limited.admit(late) == Turn(0.0)


def test_more_tokens_than_a_minute_allows_take_the_whole_minute(gate: Gate) -> None:
    empty(gate(tokens=100), 5_000)

    assert gate(tokens=100).admit(ask(100)).wait_s == pytest.approx(60, abs=0.5)


def test_the_lower_of_both_limits_counts(gate: Gate) -> None:
    limited = gate(tokens=1_000)

    limited.learn(seen(allowed=500, left=500))

    assert limited.bounds() == Bounds(500)
    limited.learn(seen(allowed=9_000, left=9_000))
    assert limited.bounds() == Bounds(1_000)


def test_a_provider_that_has_less_left_than_we_thought_is_believed(gate: Gate) -> None:
    limited = gate(tokens=6_000)

    limited.learn(seen(allowed=6_000, left=0))

    assert limited.admit(ask(100)).wait_s == pytest.approx(1, abs=0.1)


def test_an_old_answer_is_believed_with_what_refilled_since(gate: Gate) -> None:
    limited = gate(tokens=6_000)

    limited.learn(seen(allowed=6_000, left=0, took_s=0.5))

    assert limited.admit(ask(50)) == Turn(0.0)


def test_a_provider_never_adds_to_what_is_left(gate: Gate) -> None:
    limited = gate(tokens=6_000)
    empty(limited, 6_000)

    limited.learn(seen(allowed=6_000, left=6_000))

    assert limited.admit(ask(1_000)).wait_s > 5


def test_a_refusal_shuts_the_gate_for_all_workers_until_it_is_over(gate: Gate) -> None:
    here, there = gate(), gate()

    here.learn(seen(refused=True, retry_after_s=0.4))
    turn = there.admit(ask(1))
    time.sleep(turn.wait_s)

    assert turn.shut
    assert 0 < turn.wait_s <= 0.4
    assert there.admit(ask(1)) == Turn(0.0)


def test_refusals_without_a_wait_double_it_until_something_passes(gate: Gate) -> None:
    refusing = gate()
    waits = []
    for _ in range(9):
        refusing.learn(seen(refused=True))
        waits.append(round(refusing.admit(ask(1)).wait_s))

    refusing.learn(seen(allowed=10, left=10))
    refusing.learn(seen(refused=True, retry_after_s=None))

    assert waits == [1, 2, 4, 8, 16, 32, STRIKE_S_MAX, STRIKE_S_MAX, STRIKE_S_MAX]


def test_a_single_page_passes_a_giant_source(gate: Gate) -> None:
    limited = gate(tokens=60_000)
    empty(limited, 60_000)
    giants = [ask(6_000) for _ in range(20)]
    for each in giants:
        limited.admit(each)

    page = limited.admit(ask(500, tenant=OTHER))

    assert page.wait_s <= 0.5


def test_a_giant_source_is_passed_by_no_endless_stream_of_pages(gate: Gate) -> None:
    limited = gate(tokens=600_000)
    empty(limited, 600_000)
    giant = ask(6_000)
    limited.admit(giant)

    served: list[int] = []
    for _ in range(200):
        page = ask(500, tenant=uuid4())
        while (turn := limited.admit(page)).wait_s > 0:
            if limited.admit(giant) == Turn(0.0):
                return
            time.sleep(min(turn.wait_s, 0.05))
        served.append(1)

    pytest.fail(f"{len(served)} pages passed, the giant source none")


def test_who_stops_asking_loses_the_place(gate: Gate) -> None:
    limited = gate(tokens=6_000)
    empty(limited, 6_000)
    limited.admit(ask(6_000))
    late = ask(10, tenant=GIANT)
    assert limited.admit(late).wait_s > 10

    def passes() -> bool:
        return limited.admit(late).wait_s < 1

    wait_until(passes, "the place is free", deadline_s=STALE_S + 3)


def test_who_leaves_the_line_frees_the_place_at_once(gate: Gate) -> None:
    limited = gate(tokens=6_000)
    empty(limited, 6_000)
    limited.admit(ask(6_000, ticket="gone"))
    late = ask(10)

    limited.withdraw("gone")

    assert limited.admit(late).wait_s < 1


def test_many_workers_together_keep_to_the_limit_and_use_it(gate: Gate) -> None:
    per_minute, took = 600_000, 2_000
    empty(gate(tokens=per_minute), per_minute)
    until = time.monotonic() + 3

    def work(_: int) -> int:
        own, passed = gate(tokens=per_minute), 0
        while time.monotonic() < until:
            each = ask(took, tenant=uuid4())
            while (turn := own.admit(each)).wait_s > 0:
                time.sleep(min(turn.wait_s, 0.05))
                if time.monotonic() > until:
                    own.withdraw(each.ticket)
                    return passed
            passed += took
        return passed

    with ThreadPoolExecutor(8) as workers:
        passed = sum(workers.map(work, range(8)))

    assert 0.9 <= passed / (3 * per_minute / 60) <= 1.1


def test_while_redis_is_away_only_the_owners_own_limit_holds_anybody_up() -> None:
    with redis.Redis.from_url("redis://127.0.0.1:9", socket_timeout=0.2, retry=None) as away:
        free = Throttle(away, provider="p", own=NOBODY)
        limited = Throttle(away, provider="p", own=Bounds(100))

        assert free.admit(ask(1)) == Turn(0.0)
        assert limited.admit(ask(1)) == Turn(AWAY_S)
        assert limited.bounds() == Bounds(100)
        limited.learn(seen(allowed=1))
        limited.withdraw("x")


def test_nothing_is_kept_for_ever(gate: Gate, client: "redis.Redis") -> None:
    limited = gate(tokens=10)
    empty(limited, 10)
    limited.admit(ask(5))

    assert all(client.ttl(key) > 0 for key in client.keys("*"))


class TestClaims:
    @pytest.fixture
    def claims(self, client: "redis.Redis") -> RedisClaims:
        return RedisClaims(client, model="ada")

    def test_a_text_has_one_buyer(self, claims: RedisClaims) -> None:
        assert claims.take([b"a", b"b"], owner="1") == set()
        assert claims.take([b"b", b"c"], owner="2") == {b"b"}
        assert claims.take([b"a", b"c"], owner="1") == {b"c"}

    def test_a_job_that_comes_again_has_its_claims_still(self, claims: RedisClaims) -> None:
        claims.take([b"a"], owner="1")

        assert claims.take([b"a"], owner="1") == set()

    def test_only_the_buyer_releases(self, claims: RedisClaims) -> None:
        claims.take([b"a", b"b"], owner="1")

        claims.release([b"a"], owner="2")
        claims.release([b"b"], owner="1")

        assert claims.take([b"a", b"b"], owner="2") == {b"a"}

    def test_another_model_is_another_text(
        self, claims: RedisClaims, client: "redis.Redis"
    ) -> None:
        claims.take([b"a"], owner="1")

        assert RedisClaims(client, model="small").take([b"a"], owner="2") == set()

    def test_claims_of_the_dead_end_by_themselves(
        self, claims: RedisClaims, client: "redis.Redis"
    ) -> None:
        claims.take([b"a"], owner="1")

        assert [client.ttl(key) for key in client.keys("*")] == [CLAIM_S]

    def test_without_redis_everything_may_be_bought(self) -> None:
        with redis.Redis.from_url("redis://127.0.0.1:9", socket_timeout=0.2, retry=None) as away:
            claims = RedisClaims(away, model="ada")

            assert claims.take([b"a"], owner="1") == set()
            claims.release([b"a"], owner="1")
