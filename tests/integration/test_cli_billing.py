"""`avivro billing`, as an operator uses it."""

import json
from collections.abc import Callable
from datetime import date
from uuid import UUID, uuid4

import pytest

from db import billing
from db.pool import Connection
from tests.billing import close, sign_up
from tests.processes import Avivro
from workers.cli import billing as cli


def test_periods_are_listed_with_what_they_cost(
    conn: Connection, database_url: str, commands: Avivro
) -> None:
    user = str(sign_up(conn, "ann", period_start=date(2025, 1, 1), monthly_messages_used=1_250).id)
    since = ("--from", "2025-01-01")
    commands.run("billing", "terms", "set", user, "--tax-rate", "0.081", "--currency", "eur")
    commands.run("billing", "prices", "set", "free", "0.0155", "--currency", "EUR", *since)
    close(conn, database_url, today=date(2025, 2, 1))

    listed = json.loads(commands.run("billing", "periods", user, "--json").stdout)
    table = commands.run("billing", "periods").stdout

    (period,) = listed
    assert (period["closing"]["amount"], period["closing"]["tax"]) == ("3.88", "0.31")
    assert (period["email"], period["closing"]["total"]) == ("ann@example.com", "4.19")
    assert "4.19 EUR" in table


def test_closing_by_hand_enqueues_one_job(
    conn: Connection,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    user_id = sign_up(conn, "ann", period_start=date(2025, 1, 1)).id

    for _ in range(2):
        cli.close(user_id)

    found = conn.execute(
        "SELECT id, args FROM worker.jobs WHERE kind = 'close_billing_period'"
    ).fetchall()
    assert [args for _, args in found] == [{"user_id": str(user_id)}]
    assert capsys.readouterr().out.splitlines() == [f"job {found[0][0]}"] * 2


@pytest.mark.parametrize("command", [cli.list_periods, cli.close])
def test_a_user_who_is_not_there_is_named(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: Callable[[UUID], None],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    nobody = uuid4()

    with pytest.raises(SystemExit) as ended:
        command(nobody)

    assert ended.value.code == 1
    assert f"there is no user {nobody}" in capsys.readouterr().err.replace("\n", " ")


def test_terms_that_are_not_given_stay(conn: Connection) -> None:
    user_id = sign_up(conn, "ann", period_start=date(2025, 1, 1)).id

    billing.set_terms(conn, user_id, tax_rate=None, currency="EUR")
    billing.set_terms(conn, user_id, tax_rate=None, currency=None)

    assert billing.read_terms(conn, user_id) == billing.Terms("EUR", billing.NO_TAX)


def test_every_tier_has_a_price_from_the_start(conn: Connection) -> None:
    known = {each.tier for each in billing.list_prices(conn)}

    assert known == set(cli.TIERS)
