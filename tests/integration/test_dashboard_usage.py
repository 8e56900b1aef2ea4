"""What usage cost, as operators see it."""

import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from db import usage_days
from db.pool import Connection
from db.usage_days import DaySum
from pipelines.counting import plural
from tests.dashboard_world import Desk, open_desk
from tests.integration.test_dashboard_tenants import add_account
from tests.processes import wait_until
from workers.dashboard.usage_book import Book

TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def add_usage(
    conn: Connection,
    day: date,
    cost: Decimal | str,
    *,
    model: str | None = "openai/gpt-4o",
    usage_type: str = "message",
    user: UUID | None = None,
    tokens: int = 10,
    hour: int = 0,
) -> None:
    conn.execute(
        "INSERT INTO public.usage_logs (user_id, usage_type, ai_model, total_tokens, total_cost,"
        " created_at) VALUES (%s, %s, %s, %s, %s, %s)",
        (user, usage_type, model, tokens, cost,
         datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)),
    )  # fmt: skip


def read_page(desk: Desk, query: str = "") -> str:
    """Once all days are counted: within its budget of time a busy machine counts only some."""
    browser = desk.browser("viewer")

    def look() -> str | None:
        page = browser.get(f"/usage{query}")
        return None if "are still" in page else re.sub(r"\s+", " ", page)

    return wait_until(look, "all days are counted")


def test_sums_are_those_of_a_naive_recount(conn: Connection) -> None:
    rng = random.Random(11)
    wanted: dict[tuple[date, str, str | None], list[Decimal]] = defaultdict(list)
    for _ in range(300):
        day = TODAY - rng.randrange(40) * DAY
        model = rng.choice(("openai/gpt-4o", "local", "text-embedding-ada-002", None))
        usage_type = rng.choice(("message", "embedding", "export"))
        cost = Decimal(rng.randrange(1, 10**9)) / 10**10
        hour = rng.choice((0, 12, 23))
        add_usage(conn, day, cost, model=model, usage_type=usage_type, hour=hour)
        wanted[day, usage_type, model].append(cost)
    days = [TODAY - n * DAY for n in range(40)]
    book = Book(lambda first, end: usage_days.sum_days(conn, from_on=first, until_on=end))

    while (counted := book.read(days)).missing:
        time.sleep(0.01)

    found = {(s.day, s.usage_type, s.model): (s.calls, s.cost_usd)
             for sums in counted.sums.values() for s in sums}  # fmt: skip
    assert found == {key: (len(costs), sum(costs)) for key, costs in wanted.items()}


def test_a_page_that_is_looked_at_again_counts_nothing() -> None:
    asked: list[tuple[date, date]] = []

    def ask(first: date, end: date) -> list[DaySum]:
        asked.append((first, end))
        return []

    book = Book(ask)
    days = [TODAY - n * DAY for n in range(90)]
    while book.read(days).missing:
        pass
    number = len(asked)

    book.read(days)

    assert len(asked) == number
    covered = [first + n * DAY for first, end in asked for n in range((end - first).days)]
    assert sorted(covered) == sorted(days)


def test_an_empty_page_teaches(desk: Desk) -> None:
    page = read_page(desk)

    assert "Nothing was used yet" in page
    assert "avivro prices list" in page


def test_the_month_is_held_against_the_same_whole_days(conn: Connection, desk: Desk) -> None:
    first = TODAY.replace(day=1)
    before = (first - DAY).replace(day=1)
    days = min((TODAY - first).days, (first - before).days)
    add_usage(conn, TODAY, "1.50")
    add_usage(conn, before, "4.00")
    if days:
        add_usage(conn, first, "2.00")

    page = read_page(desk)

    assert "<b>$1.50</b><span>today so far" in page
    assert f"<b>${'3.50' if days else '1.50'}</b><span>this month so far" in page
    told = f"<b>-50%</b><span>its {plural(days, 'whole day')} $2.00, the same days last month $4.00"
    assert (told if days else "the month began today") in page


def test_who_drives_it_is_named_with_today_and_the_month(conn: Connection, desk: Desk) -> None:
    acme = add_account(conn, company="Acme <b>")
    add_usage(conn, TODAY, "7.25", user=acme)
    add_usage(conn, TODAY, "0.50", user=None)
    if TODAY.day > 1:
        add_usage(conn, TODAY.replace(day=1), "20.0000000001", user=None)
    add_usage(conn, TODAY - 70 * DAY, "400", user=None)
    conn.execute(
        "INSERT INTO public.monthly_usage_summary (user_id, year, month, total_tokens,"
        " total_ai_requests, total_ai_cost) VALUES (%s, %s, %s, 100, 3, 9.75)",
        (acme, TODAY.year, TODAY.month),
    )

    page = read_page(desk)

    assert "Acme &lt;b&gt;" in page
    row = page[page.index(f'href="/tenants/{acme}"') :]
    assert row.index("$7.25") < row.index("$9.75")
    gone = page[page.index("accounts that are gone") :]
    assert f"<b>${'20.50' if TODAY.day > 1 else '0.5000'}</b>" in gone[:400]


def test_models_without_a_price_and_limits_that_are_near_are_told(
    conn: Connection, desk: Desk
) -> None:
    near = add_account(conn, company="Near")
    over = add_account(conn, company="Over")
    add_account(conn, company="Far")
    conn.execute(
        "UPDATE public.user_profiles SET monthly_message_limit = 100, monthly_messages_used ="
        " CASE company_name WHEN 'Near' THEN 80 WHEN 'Over' THEN 130 ELSE 79 END"
    )
    for _ in range(3):
        add_usage(conn, TODAY, "0", model="acme/<frontier>")
    conn.execute(
        "INSERT INTO worker.spending_pauses (job_id, tenant, needs_usd) VALUES (1, %s, 2)", (near,)
    )

    page = read_page(desk)

    assert "1 model has no price" in page
    assert "acme/&lt;frontier&gt;</code> 3 calls" in page
    assert "Near spent its embedding budget" in page
    table = page[page.index("Near or over") :]
    assert table.index(f"/tenants/{over}") < table.index(f"/tenants/{near}")
    assert ("over by 30" in table, "80%" in table, "Far" in table) == (True, True, False)


def test_the_chart_names_what_costs_most(conn: Connection, desk: Desk) -> None:
    for n, model in enumerate(("a", "b", "c", "d", "e", "f"), 1):
        add_usage(conn, TODAY, str(n), model=f"m/{model}", usage_type="embedding")

    by_model, by_type = read_page(desk, "?days=90"), read_page(desk, "?by=type&days=junk")

    key = by_model[by_model.index('<ul class="key">') : by_model.index("</figcaption>")]
    assert re.findall(r"m/[a-f]", key) == ["m/f", "m/e", "m/d", "m/c"]
    assert "Cost a day by type, 30 days" in by_type
