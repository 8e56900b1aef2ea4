"""Buying vectors: packed, shared, repeated, refused, cancelled; and what is paid for it."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from db import jobs
from db.fence import Cancelled, Fence, LeaseLost
from db.vectors import Vector
from pipelines.embedding import vectors_for
from pipelines.errors import Permanent, Snooze, Transient
from pipelines.gateways import throttle
from pipelines.gateways.claims import RedisClaims
from pipelines.gateways.gate import Ask, Bounds
from pipelines.gateways.openai import OpenAIEmbedder
from pipelines.knowledge.tokens import encoding_for
from pipelines.vectors import buying
from pipelines.vectors.buying import IN_FLIGHT_MAX, REFUSED_MAX, SHUT_S_MAX, Bill, Order
from pipelines.vectors.lots import LOT_INPUTS_MAX, LOT_TOKENS_MAX, Text
from tests.fakes import FakeOpenAI, fake_openai
from tests.fakes_openai import LOST, Fault
from tests.knowledge import Indexing
from tests.processes import wait_until
from workers.config import read
from workers.tools import embedder_for

ADA = "text-embedding-ada-002"
ENCODING = encoding_for(ADA)
PRICE = Decimal("0.0000001")
OTHER_OWNER = """
WITH owner AS (INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'other@example.com')
               RETURNING id)
SELECT owner.id AS user_id, (SELECT id FROM public.agents LIMIT 1) AS agent_id FROM owner
"""


@dataclass
class Payer:
    user_id: UUID
    agent_id: UUID


@dataclass
class Market:
    """A provider, and jobs that buy from it as workers do: with one gate and claims in Redis."""

    knowledge: Indexing
    fake: FakeOpenAI
    redis_url: str
    stack: ExitStack
    own: Bounds = field(default_factory=Bounds)
    timeout_s: float = 1.0

    def embedder(self) -> OpenAIEmbedder:
        client = self.stack.enter_context(throttle.connect(self.redis_url))
        made = OpenAIEmbedder(
            model=ADA,
            api_key=self.fake.api_key,
            base_url=self.fake.base_url,
            timeout_s=self.timeout_s,
            gate=throttle.Throttle(client, provider="test", own=self.own),
            claims=RedisClaims(client, model=ADA),
        )
        return self.stack.enter_context(closing(made))

    def fence(self) -> Fence:
        """A running job's."""
        self.knowledge.insert(content="x")
        return self.stack.enter_context(self.knowledge.attempt())

    def order(self, texts: list[Text], **options: object) -> Order:
        row = self.knowledge.row("SELECT id, user_id FROM public.agents LIMIT 1")
        payer = Payer(row["user_id"], row["id"])
        return Order(texts, payer, **options)  # type: ignore[arg-type]

    def buy(
        self, texts: list[Text], *, fence: Fence | None = None, **options: object
    ) -> tuple[Bill, dict[bytes, Vector]]:
        shelf: dict[bytes, Vector] = {}
        order = self.order(texts, **options)
        bill = vectors_for(fence or self.fence(), self.embedder(), order, shelf)
        return bill, shelf

    def logged_tokens(self) -> int:
        return sum(row["total_tokens"] for row in self.knowledge.usage())

    def sizes(self) -> list[int]:
        return [len(request["input"]) for request in self.fake.requests]


@pytest.fixture
def market(
    knowledge: Indexing, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Market]:
    monkeypatch.setattr(buying, "BACK_OFF_FIRST_S", 0.01)
    with fake_openai() as fake, ExitStack() as stack:
        yield Market(knowledge, fake, redis_url, stack)


def text(words: str) -> Text:
    return Text.of(hashlib.sha256(words.encode()).digest(), words, ENCODING)


def texts(count: int, *, words: int = 20, mark: str = "") -> list[Text]:
    return [text(f"passage {mark} {n} " + f"word{n % 89} " * words) for n in range(count)]


def test_each_text_is_bought_once_in_small_requests(market: Market) -> None:
    wanted = texts(1_000)

    bill, shelf = market.buy(wanted)

    assert shelf.keys() == {each.hash for each in wanted}
    assert sorted(market.fake.billed) == sorted(each.text for each in wanted)
    assert (bill.bought, bill.recalled) == (1_000, 0)
    assert len(market.sizes()) == -(-1_000 // LOT_INPUTS_MAX)
    assert max(market.sizes()) <= LOT_INPUTS_MAX


def test_requests_are_packed_by_tokens_too(market: Market) -> None:
    market.buy(texts(100, words=1_000))

    tokens = [sum(text(each).tokens for each in r["input"]) for r in market.fake.requests]
    assert max(tokens) <= LOT_TOKENS_MAX
    assert len(tokens) <= 8


def test_the_vectors_are_the_texts_own(market: Market) -> None:
    wanted = texts(600)

    _, shelf = market.buy(wanted)

    alone = market.embedder().embed([wanted[413].text]).vectors[0]
    assert np.allclose(shelf[wanted[413].hash], alone)


def test_several_requests_are_in_flight_and_no_more(market: Market) -> None:
    flying, most = 0, 0
    lock = threading.Lock()
    embedder = market.embedder()
    original = embedder.embed

    def counted(asked):  # type: ignore[no-untyped-def]
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        try:
            return original(asked)
        finally:
            with lock:
                flying -= 1

    embedder.embed = counted  # type: ignore[method-assign]
    market.fake.answer_after_s = 0.1

    vectors_for(market.fence(), embedder, market.order(texts(3_000)), {})

    assert most == IN_FLIGHT_MAX


def test_every_paid_request_is_logged_once_with_what_was_billed(market: Market) -> None:
    bill, _ = market.buy(texts(1_000))

    rows = market.knowledge.usage()
    assert len(rows) == len(market.fake.requests)
    assert market.logged_tokens() == market.fake.tokens_billed == bill.tokens
    assert sum(row["total_cost"] for row in rows) == bill.cost_usd == PRICE * bill.tokens


def test_what_was_bought_before_is_recalled(market: Market) -> None:
    market.buy(texts(300))

    bill, shelf = market.buy(texts(400))

    assert (bill.recalled, bill.bought, len(shelf)) == (300, 100, 400)
    assert max(Counter(market.fake.billed).values()) == 1


def test_two_jobs_that_want_the_same_texts_pay_once(market: Market) -> None:
    market.fake.answer_after_s = 0.3
    fences = [market.fence(), market.fence()]
    shelves: list[dict[bytes, Vector]] = []

    def buy(fence: Fence) -> None:
        shelves.append(market.buy(texts(1_200), fence=fence)[1])

    threads = [threading.Thread(target=buy, args=(fence,)) for fence in fences]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(shelf) for shelf in shelves] == [1_200, 1_200]
    assert max(Counter(market.fake.billed).values()) == 1
    assert market.logged_tokens() == market.fake.tokens_billed


@pytest.mark.parametrize("fault", ["500", "503", "429", "refuse", "slow", *sorted(LOST)])
def test_one_bad_answer_of_any_kind_costs_no_text(market: Market, fault: Fault) -> None:
    market.timeout_s = 1.5
    market.fake.inject(fault)
    wanted = texts(600)

    _, shelf = market.buy(wanted)

    assert shelf.keys() == {each.hash for each in wanted}
    lost = Counter(market.fake.lost)
    assert Counter(market.fake.billed) - lost == Counter(each.text for each in wanted)
    assert market.logged_tokens() == market.fake.tokens_billed - market.fake.tokens_lost


def test_a_provider_that_stays_down_is_given_up_for_now(market: Market) -> None:
    market.fake.choose_fault = lambda: "503"

    with pytest.raises(Transient, match="is in trouble"):
        market.buy(texts(10))

    assert len(market.fake.requests) == buying.FAILURES_MAX


def test_what_was_paid_before_a_failure_is_not_paid_again(market: Market) -> None:
    def fail_later() -> Fault | None:
        return "503" if len(market.fake.requests) > 2 else None

    market.fake.choose_fault = fail_later
    with pytest.raises(Transient):
        market.buy(texts(1_000))
    market.fake.choose_fault = lambda: None

    market.buy(texts(1_000))

    assert max(Counter(market.fake.billed).values()) == 1
    assert market.logged_tokens() == market.fake.tokens_billed


def test_a_short_wait_that_the_provider_asks_for_is_waited(market: Market) -> None:
    market.fake.inject("429")

    bill, _ = market.buy(texts(10))

    assert bill.bought == 10
    assert len(market.fake.requests) == 2


def test_a_long_wait_leaves_the_thread_and_burns_no_attempt(market: Market) -> None:
    market.fake.limit(tokens=600)
    market.fake.tokens_bucket.take(600)
    waits: list[float] = []

    with pytest.raises(Snooze) as caught:
        market.buy(texts(10), waits=waits.append)

    assert caught.value.delay_s > SHUT_S_MAX
    assert waits == [caught.value.delay_s]
    assert market.fake.billed == []


def test_while_the_gate_is_shut_no_other_job_asks(market: Market) -> None:
    market.fake.limit(tokens=600)
    market.fake.tokens_bucket.take(600)
    with pytest.raises(Snooze):
        market.buy(texts(10))

    with pytest.raises(Snooze):
        market.buy(texts(10, mark="other"))

    assert len(market.fake.requests) == 1


def test_an_account_without_money_waits_long_and_says_so(market: Market) -> None:
    market.fake.inject("quota")

    with pytest.raises(Transient, match="quota is used up"):
        market.buy(texts(10))


def test_limits_that_the_provider_tells_are_kept(market: Market) -> None:
    market.fake.limit(tokens=1_200_000)
    market.fake.tokens_bucket.take(1_150_000)

    market.buy(texts(1_200, words=60))

    assert market.fake.limited <= IN_FLIGHT_MAX
    assert len(market.fake.billed) == 1_200


def test_the_owners_own_limit_is_kept_by_two_jobs(market: Market) -> None:
    market.own = Bounds(tokens=600_000)
    gate = market.embedder().gate
    # The provider's bucket begins to fill first, or a request may come a moment too early for it.
    market.fake.limit(tokens=600_000)
    market.fake.tokens_bucket.take(600_000)
    gate.admit(Ask("all", uuid4(), 600_000))
    fences = [market.fence(), market.fence()]

    threads = [
        threading.Thread(target=market.buy, args=(texts(400, mark=f"{n}"),), kwargs={"fence": f})
        for n, f in enumerate(fences)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert market.fake.limited == 0
    assert len(market.fake.billed) == 800


def test_a_single_page_is_next_while_another_tenants_giant_source_waits(market: Market) -> None:
    market.own = Bounds(tokens=300_000)
    market.embedder().gate.admit(Ask("all", uuid4(), 300_000))
    giant, page = market.fence(), market.fence()
    other = Payer(*market.knowledge.rows(OTHER_OWNER)[0].values())

    thread = threading.Thread(target=market.buy, args=(texts(1_000),), kwargs={"fence": giant})
    thread.start()
    wait_until(lambda: market.fake.requests, "the giant source is under way")
    before = len(market.fake.requests)
    order = Order([text("a single page")], other)
    vectors_for(page, market.embedder(), order, {})
    after = len(market.fake.requests)
    thread.join()

    assert after - before <= 2
    assert len(market.fake.requests) > after + 2


class TestRefusedTexts:
    def test_one_is_found_and_all_others_are_paid_once(self, market: Market) -> None:
        wanted = texts(1_000)
        bad = wanted[317]
        market.fake.refuses = lambda each: "'$.input' is invalid" if each == bad.text else None

        bill, shelf = market.buy(wanted)

        assert [refusal.text_hash for refusal in bill.refused] == [bad.hash]
        assert "'$.input' is invalid" in bill.refused[0].why
        assert shelf.keys() == {each.hash for each in wanted} - {bad.hash}
        assert max(Counter(market.fake.billed).values()) == 1
        assert len(market.fake.requests) < 30

    def test_where_it_is_the_only_one_a_letter_tells_whose_doing_it_is(
        self, market: Market
    ) -> None:
        (bad,) = texts(1)
        market.fake.refuses = lambda each: "no" if each == bad.text else None

        bill, shelf = market.buy([bad])

        assert len(bill.refused) == 1
        assert shelf == {}
        assert market.logged_tokens() == market.fake.tokens_billed == 1

    def test_where_everything_is_refused_the_order_fails_at_once(self, market: Market) -> None:
        market.fake.refuses = lambda each: "This organisation is blocked"

        with pytest.raises(Permanent, match="This organisation is blocked"):
            market.buy(texts(1_000))

        assert len(market.fake.requests) <= IN_FLIGHT_MAX + 1

    def test_many_are_too_many(self, market: Market) -> None:
        market.fake.refuses = lambda each: "no" if "1" in each else None

        with pytest.raises(Permanent, match=f"more than {REFUSED_MAX} passages, the limit"):
            market.buy(texts(300))

    def test_a_text_whose_vector_is_bad_every_time_is_one(self, market: Market) -> None:
        wanted = texts(40)
        bad = wanted[17].text
        embedder = market.embedder()
        ask = embedder._ask

        def spoil(sent: list[str], began_at: float) -> Any:
            answer: Any = ask(sent, began_at)
            if bad in sent:
                answer["data"][sent.index(bad)]["embedding"] = [float("nan")] * 1536
            return answer

        embedder._ask = spoil  # type: ignore[method-assign,assignment]
        shelf: dict[bytes, Vector] = {}
        bill = vectors_for(market.fence(), embedder, market.order(wanted), shelf)

        assert len(bill.refused) == 1
        assert len(shelf) == 39


class TestLongTexts:
    def test_one_beyond_the_models_limit_is_the_mean_of_its_pieces(self, market: Market) -> None:
        long = text(" ".join(f"word{n % 997}" for n in range(9_000)))

        _, shelf = market.buy([long, *texts(3)])

        pieces = [each for each in market.fake.billed if not each.startswith("passage")]
        alone = market.embedder().embed(pieces).vectors
        assert "".join(pieces) == long.text
        assert long.tokens > 8_192
        assert shelf[long.hash] @ alone.mean(axis=0) > 0.9
        assert np.linalg.norm(shelf[long.hash]) == pytest.approx(1)

    def test_a_provider_with_a_lower_limit_is_sent_smaller_pieces(self, market: Market) -> None:
        long = text(" ".join(f"word{n % 997}" for n in range(700)))
        market.fake.refuses = lambda each: (
            "maximum context length is 512 tokens" if len(each) > 1_500 else None
        )

        bill, shelf = market.buy([long, *texts(3)])

        assert bill.refused == []
        assert long.hash in shelf


class TestEnds:
    def test_a_cancelled_job_keeps_what_is_in_flight_and_asks_for_no_more(
        self, market: Market
    ) -> None:
        market.fake.answer_after_s = 0.5
        asked = threading.Event()
        held = market.fence()
        fence = Fence(held.pool, held.job_id, held.attempt, asked.is_set)

        def cancel() -> None:
            wait_until(lambda: len(market.fake.requests) == IN_FLIGHT_MAX, "requests are there")
            asked.set()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(Cancelled):
            market.buy(texts(3_000), fence=fence)
        thread.join()

        assert len(market.fake.requests) == IN_FLIGHT_MAX
        assert market.logged_tokens() == market.fake.tokens_billed > 0
        market.fake.answer_after_s = 0.0
        market.buy(texts(3_000))
        assert max(Counter(market.fake.billed).values()) == 1

    def test_a_job_that_lost_its_lease_asks_for_no_more(self, market: Market) -> None:
        market.fake.answer_after_s = 0.2
        fence = market.fence()
        conn = market.knowledge.conn

        def lose() -> None:
            wait_until(lambda: market.fake.requests, "a request is there")
            conn.execute(
                "UPDATE worker.jobs SET attempt = attempt + 1 WHERE id = %s", (fence.job_id,)
            )

        thread = threading.Thread(target=lose)
        thread.start()
        with pytest.raises(LeaseLost):
            market.buy(texts(5_000), fence=fence)
        thread.join()

        assert len(market.fake.requests) <= 2 * IN_FLIGHT_MAX
        assert market.knowledge.usage() == []

    def test_who_may_not_spend_buys_nothing_more(self, market: Market) -> None:
        asked: list[Decimal] = []

        class Enough(Permanent):
            pass

        def may_spend(usd: Decimal) -> None:
            asked.append(usd)
            if len(asked) == 3:
                raise Enough("that is enough")

        with pytest.raises(Enough):
            market.buy(texts(1_000), may_spend=may_spend)

        assert len(market.fake.requests) == 2
        assert market.logged_tokens() == market.fake.tokens_billed
        assert sum(asked[:2]) == PRICE * market.fake.tokens_billed

    def test_an_attempt_ends_before_its_time_limit_does(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(buying, "ATTEMPT_S_MAX", 0.3)
        market.fake.answer_after_s = 0.2

        with pytest.raises(Snooze):
            market.buy(texts(3_000))

        assert market.logged_tokens() == market.fake.tokens_billed > 0

    def test_nothing_to_embed_asks_nobody(self, market: Market) -> None:
        bill, _ = market.buy([])

        assert bill == Bill()
        assert market.fake.requests == []


def test_a_refused_passage_is_stored_without_a_vector_and_told_of(market: Market) -> None:
    knowledge = market.knowledge
    knowledge.embedder = market.embedder()
    passages = "\n\n".join(f"Passage {n}. " + f"word{n} " * 200 for n in range(8))
    market.fake.refuses = lambda each: "no such words" if "word5" in each else None
    source_id = knowledge.insert(content=passages)

    report = knowledge.run()

    stored = knowledge.chunks(source_id)
    without = [chunk for chunk in stored if chunk["dimensions"] is None]
    assert "".join(chunk["content"] for chunk in stored) == passages
    assert 0 < len(without) < len(stored)
    assert all("word5" in chunk["content"] for chunk in without)
    assert knowledge.source(source_id)["status"] == "completed"
    assert "no such words" in report.summary()["skipped"][0]
    assert jobs.list_jobs(knowledge.conn, state="completed")


def test_workers_embed_as_the_environment_says(market: Market) -> None:
    env = {
        "OPENAI_API_KEY": market.fake.api_key,
        "OPENAI_BASE_URL": market.fake.base_url,
        "REDIS_URL": market.redis_url,
        "EMBEDDING_RPM": "60",
        "EMBEDDING_TPM": "100000",
        "EMBEDDING_TRANSFER": "float",
    }

    embedder = embedder_for(read(env), None)
    embedder.embed(["a"])

    assert market.fake.requests[-1]["encoding_format"] == "float"
    assert embedder.gate.bounds() == Bounds(tokens=100_000, requests=60)
    assert embedder.claims.take([b"a"], owner="1") == set()
    assert embedder.claims.take([b"a"], owner="2") == {b"a"}
