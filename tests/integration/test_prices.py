"""What each row of usage_logs costs, by the price that was valid at its time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from db import prices, sources
from db.embedded import Services
from db.pool import Connection, connect
from db.prices import Terms
from tests.conftest import fresh_database
from tests.integration.schema_world import OWNER, insert, row, row_id, sign_up
from tests.processes import Avivro

SONNET = "anthropic/claude-3.5-sonnet"
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
TENTH_DIGIT = Decimal("0.0000000001")


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        sign_up(connection, OWNER, "a@example.com")
        yield connection


@pytest.fixture
def world(shared: Connection) -> Iterator[Connection]:
    """One database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        yield shared


def use(conn: Connection, model: str | None, **columns: Any) -> dict[str, Any]:
    """The row that comes of an insert."""
    values = {"user_id": OWNER, "usage_type": "api_call", "ai_model": model, **columns}
    names = ", ".join(values)
    row = conn.execute(
        f"INSERT INTO usage_logs ({names}) VALUES ({', '.join(['%s'] * len(values))})"
        " RETURNING to_jsonb(usage_logs) || jsonb_build_object("
        "'total_cost', total_cost::text, 'unit_cost', unit_cost::text)".encode(),
        list(values.values()),
    ).fetchone()
    assert row is not None
    return dict(row[0])


def set_price(conn: Connection, model: str, at: datetime, **usd: str) -> None:
    given_usd = {name: Decimal(value) for name, value in usd.items()}
    terms = Terms(given_usd.get("input"), given_usd.get("output"), given_usd.get("embedding"))
    prices.set_price(conn, model, terms, valid_from=at)


def test_prompt_and_completion_have_prices_of_their_own(world: Connection) -> None:
    row = use(world, SONNET, prompt_tokens=1000, completion_tokens=200)

    assert (row["total_cost"], row["unit_cost"]) == ("0.0060000000", "0.0000050000")
    assert row["total_tokens"] == 1200


def test_tokens_that_nobody_split_are_the_prompts(world: Connection) -> None:
    row = use(world, SONNET, total_tokens=7)

    assert (row["prompt_tokens"], row["total_cost"]) == (7, "0.0000210000")


def test_an_embedding_is_priced_by_its_own_price(world: Connection) -> None:
    row = use(world, "text-embedding-3-small", usage_type="embedding", total_tokens=3)

    assert (row["total_cost"], row["metadata"]) == ("0.0000000600", {})


@pytest.mark.parametrize(
    ("days", "cost"), [(-1, "0.0000010000"), (0, "0.0000020000"), (40, "0.0000020000")]
)
def test_a_row_costs_what_was_valid_at_its_time(world: Connection, days: int, cost: str) -> None:
    set_price(world, "m", JUNE - timedelta(days=60), input="1")
    set_price(world, "m", JUNE, input="2")

    row = use(world, "m", prompt_tokens=1, created_at=JUNE + timedelta(days=days))

    assert row["total_cost"] == cost


@pytest.mark.parametrize("metadata", [{}, {"trace": 1}, [1], "text"])
def test_a_model_without_a_price_is_noted_and_never_refused(
    world: Connection, metadata: Any
) -> None:
    row = use(world, "nobody/knows", prompt_tokens=5, metadata=Jsonb(metadata))

    assert (float(row["total_cost"]), row["metadata"]["unpriced"]) == (0.0, True)


def test_a_row_before_the_first_price_is_unpriced(world: Connection) -> None:
    set_price(world, "m", JUNE, input="1")

    row = use(world, "m", prompt_tokens=5, created_at=JUNE - timedelta(seconds=1))

    assert row["metadata"] == {"unpriced": True}


def test_a_price_too_high_to_store_refuses_no_row(world: Connection) -> None:
    set_price(world, "gold", JUNE, input="9999999999")

    row = use(world, "gold", prompt_tokens=2**31 - 1, completion_tokens=5)

    assert (row["total_tokens"], row["metadata"]) == (2**31 - 1, {"unpriced": True})


def test_a_free_model_is_priced_at_nothing(world: Connection) -> None:
    row = use(world, "local", prompt_tokens=5)

    assert (float(row["total_cost"]), row["metadata"]) == (0.0, {})


@pytest.mark.parametrize(("model", "cost"), [(SONNET, "0.0000000001"), (None, "0"), (None, "3")])
def test_a_cost_that_was_given_stands(world: Connection, model: str | None, cost: str) -> None:
    row = use(world, model, prompt_tokens=9, total_tokens=9, total_cost=Decimal(cost))

    assert (Decimal(row["total_cost"]), row["metadata"]) == (Decimal(cost), {})


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    prompt=st.integers(0, 2**31 - 1),
    completion=st.integers(0, 2**31 - 1),
    usd=st.tuples(*[st.decimals(0, 100, places=10)] * 2),
)
def test_a_cost_is_exact_to_the_tenth_digit(
    world: Connection, prompt: int, completion: int, usd: tuple[Decimal, Decimal]
) -> None:
    with world.transaction(force_rollback=True):
        set_price(world, "m", JUNE, input=str(usd[0]), output=str(usd[1]))

        row = use(world, "m", prompt_tokens=prompt, completion_tokens=completion, created_at=JUNE)

    exact = (prompt * usd[0] + completion * usd[1]) / 1_000_000
    assert Decimal(row["total_cost"]) == exact.quantize(TENTH_DIGIT, ROUND_HALF_UP)


def test_repricing_prices_what_had_no_price_and_nothing_else(world: Connection) -> None:
    for days in (0, 1, 2):
        use(world, "new", prompt_tokens=10, created_at=JUNE + timedelta(days=days))
    use(world, "new", prompt_tokens=10, total_cost=Decimal(7), created_at=JUNE)
    use(world, "other", prompt_tokens=10, created_at=JUNE)
    set_price(world, "new", JUNE, input="2")

    counts = [
        prices.reprice_usage(world, "new", since=JUNE + timedelta(days=1), rows_max=1)
        for _ in range(3)
    ]

    rows = world.execute(
        "SELECT total_cost, metadata FROM usage_logs WHERE ai_model = 'new' ORDER BY created_at, 1"
    ).fetchall()
    repriced: tuple[Decimal, dict[str, Any]] = (Decimal("0.00002"), {})
    assert counts == [1, 1, 0]
    assert rows == [(0, {"unpriced": True}), (7, {}), repriced, repriced]


def test_the_command_lists_sets_and_reprices(conn: Connection, commands: Avivro) -> None:
    sign_up(conn, OWNER, "a@example.com")
    use(conn, "acme/one", prompt_tokens=10, completion_tokens=1)

    before = json.loads(commands.run("prices", "unpriced", "--json").stdout)
    commands.run(
        "prices", "set", "acme/one", "--input", "0.5", "--output", "2", "--from", "2026-01-01"
    )
    listed = json.loads(commands.run("prices", "list", "--model", "acme/one", "--json").stdout)
    ended = commands.run("prices", "reprice", "acme/one", "--from", "2026-01-01")

    assert [(each["model"], each["rows"]) for each in before] == [("acme/one", 1)]
    assert [(each["input_usd"], each["is_current"]) for each in listed] == [("0.5000000000", True)]
    assert "1 row of acme/one" in ended.stdout
    cost = conn.execute("SELECT total_cost FROM usage_logs").fetchone()
    assert cost == (Decimal("0.000007"),)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "m"), "at least one"),
        (("set", "m", "--input", "cheap"), "no price"),
        (("set", "m", "--input=-1"), "between 0"),
        (("set", "m", "--input", "0.00000000001"), "10 digits"),
    ],
)
def test_a_wrong_price_is_refused(commands: Avivro, arguments: tuple[str, ...], says: str) -> None:
    ended = commands.run("prices", *arguments)

    assert (ended.returncode, says in ended.stderr) == (2, True)


@dataclass(frozen=True)
class Payer:
    user_id: UUID
    agent_id: UUID


def test_an_embedding_is_paid_by_the_table_before_the_programs_own_price(
    world: Connection,
) -> None:
    insert(world, "agents", row("agents"))
    payer = Payer(OWNER, row_id("agents"))
    set_price(world, "text-embedding-ada-002", JUNE, embedding="0.5")

    for model in ("text-embedding-ada-002", "our-gateway"):
        sources.log_embedding(world, payer, model=model, tokens=10, cost=Decimal("0.003"))

    paid = world.execute("SELECT ai_model, total_cost, unit_cost FROM usage_logs ORDER BY 2")
    assert paid.fetchall() == [
        ("text-embedding-ada-002", Decimal("0.000005"), Decimal("0.0000005")),
        ("our-gateway", Decimal("0.003"), Decimal("0.0003")),
    ]
