"""A dead endpoint and slow ones do not make a healthy one wait, not even of the same tenant."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from db.embedded import Services
from tests.delivering import Delivering, delivering
from tests.processes import wait_until

DEAD = 100
SLOW_WEBHOOKS = 100
SLOW_EACH = 4
HEALTHY = 40


@pytest.fixture
def running(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivering]:
    # Nothing is given up before the healthy ones have all.
    env = {"WEBHOOK_TIMEOUT_S": "60"}
    folder = tmp_path_factory.mktemp("isolation")
    with delivering(services, template, folder, env=env) as started:
        yield started


def test_a_healthy_endpoint_gets_all_while_slow_ones_have_answered_nothing(
    running: Delivering,
) -> None:
    tenant = running.add_owner()
    dead = running.add_webhook("/held/dead", user_id=tenant)
    slow = [running.add_webhook(f"/held/{n}", user_id=tenant) for n in range(SLOW_WEBHOOKS)]
    healthy = [
        running.add_webhook("/ok/same", user_id=tenant),
        running.add_webhook("/ok/other"),
    ]
    with running.conn.transaction():
        running.send(dead, count=DEAD)
        for webhook_id in slow:
            running.send(webhook_id, count=SLOW_EACH)
    wait_until(lambda: len(running.receiver.on("/held")) >= SLOW_WEBHOOKS, "slow ones are waiting")

    for _ in range(HEALTHY):
        for webhook_id in healthy:
            running.send(webhook_id)
    running.wait_for(*healthy)
    answered_meanwhile = answered(running, [dead, *slow])
    running.receiver.release()
    running.wait_for(dead, *slow)

    assert answered_meanwhile == 0
    assert [running.counters(each) for each in healthy] == [(HEALTHY, HEALTHY, 0)] * 2


def answered(running: Delivering, webhook_ids: list[UUID]) -> int:
    """Deliveries whose receiver has said anything, or has been given up."""
    ((count,),) = running.rows(
        "SELECT count(*) FROM public.webhook_deliveries WHERE webhook_id = ANY(%s)"
        " AND attempt_count > 0",
        webhook_ids,
    )
    return int(count)
