"""`avivro webhooks`, as an operator uses it."""

import json
from typing import Any
from uuid import UUID, uuid4

from db.pool import Connection
from tests.integration.schema_world import build, insert, row_id
from tests.processes import Avivro

WEBHOOK = row_id("webhooks")


def build_trouble(conn: Connection) -> UUID:
    """A webhook whose receiver is away, with one lost delivery; its id."""
    build(conn)
    conn.execute("DELETE FROM webhook_deliveries")
    conn.execute(
        "UPDATE webhooks SET name = 'Shop', secret = 'hush', custom_headers = '{\"X-Key\": \"k1\"}'"
        " WHERE id = %s",
        [WEBHOOK],
    )
    conn.execute(
        "INSERT INTO worker.endpoints (webhook_id, consecutive_failures, failing_since, open_until,"
        " ramp) VALUES (%s, 20, now(), now() + interval '5 min', 1)",
        [WEBHOOK],
    )
    delivery = uuid4()
    row = {"webhook_id": WEBHOOK, "event_type": "lead.captured", "status": "failed"}
    insert(conn, "webhook_deliveries", {"id": delivery, **row, "error_message": "dns: no host"})
    return delivery


def status_of(conn: Connection, delivery: UUID) -> Any:
    return conn.execute(
        "SELECT status FROM webhook_deliveries WHERE id = %s", [delivery]
    ).fetchone()


def test_webhooks_are_listed_with_how_their_receivers_are_doing(
    conn: Connection, commands: Avivro
) -> None:
    delivery = build_trouble(conn)

    troubled = json.loads(commands.run("webhooks", "list", "--troubled", "--json").stdout)
    sent = json.loads(commands.run("webhooks", "deliveries", str(WEBHOOK), "--json").stdout)

    (found,) = troubled
    assert (found["name"], found["owner"], found["state"], found["failed_deliveries"]) == (
        "Shop", "owner@example.com", "open", 1,
    )  # fmt: skip
    assert [(each["id"], each["error_message"]) for each in sent] == [
        (str(delivery), "dns: no host")
    ]


def test_a_webhook_is_shown_without_what_is_secret(conn: Connection, commands: Avivro) -> None:
    build_trouble(conn)

    stdout = commands.run("webhooks", "show", str(WEBHOOK), "--json").stdout

    shown = json.loads(stdout)
    assert (shown["health"]["state"], shown["custom_headers"]) == ("open", ["X-Key"])
    assert [word for word in ("hush", "k1") if word in stdout] == []


def test_an_operator_tests_enables_and_recovers(conn: Connection, commands: Avivro) -> None:
    delivery = build_trouble(conn)
    conn.execute("UPDATE webhooks SET is_active = false WHERE id = %s", [WEBHOOK])

    refused = commands.run("webhooks", "redeliver", str(delivery))
    test = UUID(commands.run("webhooks", "test", str(WEBHOOK)).stdout.strip())
    commands.run("webhooks", "enable", str(WEBHOOK))
    recovered = commands.run("webhooks", "recover", str(WEBHOOK), "--since", "2026-01-01")

    assert (refused.returncode, "is not active" in refused.stderr) == (1, True)
    assert recovered.stdout.strip() == "1 on their way"
    assert (status_of(conn, delivery), status_of(conn, test)) == (("pending",), ("pending",))
    assert conn.execute("SELECT count(*) FROM worker.endpoints").fetchone() == (0,)


def test_a_command_about_nothing_says_so(commands: Avivro) -> None:
    ended = commands.run("webhooks", "show", str(uuid4()))

    assert (ended.returncode, "there is no webhook" in ended.stderr) == (1, True)
