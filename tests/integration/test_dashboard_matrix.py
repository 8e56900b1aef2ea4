"""Every route by every role: what each answers to whom. A new route fails until it is listed here.

The table is written by hand: who may press what is decided here, not read from the code.
"""

from collections.abc import Iterator
from typing import Literal, cast

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from db.embedded import Services
from tests.conftest import fresh_database
from tests.dashboard_routes import fill, patterns
from tests.dashboard_world import Browser, Desk, open_desk

Role = Literal["open", "viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
# What needs no role; the login judges for itself.
OPEN = """GET /healthz  GET /readyz  GET /metrics  GET /login  POST /login  GET /static/{file}"""
# Everybody who is logged in reads every page, and minds their own account.
VIEWER = """
    GET /  GET /live  GET /audit  GET /account
    POST /account/password  POST /account/end_session  POST /account/end_others  POST /logout
    GET /jobs  GET /jobs/suggest  GET /jobs/{job_id}  GET /errors  GET /errors/{fingerprint}
    GET /queues  GET /queues/{queue}  GET /tenants  GET /tenants/{tenant}  GET /usage
    GET /workers  GET /schedules  GET /schedules/{name}  GET /runbooks  GET /runbooks/{slug}
    GET /knowledge  GET /knowledge/{source_id}
    GET /webhooks  GET /webhooks/{webhook_id}  GET /webhooks/deliveries/{delivery_id}
    GET /email  GET /email/{email_id}
"""
# What changes how work flows, what is sent out, and what shows more than a page does.
OPERATOR = """
    POST /jobs/bulk  POST /jobs/{job_id}/act  POST /jobs/{job_id}/reveal  POST /workers/drain
    POST /queues/pause  POST /queues/resume
    POST /tenants/pause  POST /tenants/resume  POST /tenants/weigh
    POST /schedules/{name}/run  POST /schedules/{name}/pause  POST /schedules/{name}/resume
    POST /schedules/{name}/edit  POST /schedules/{name}/reset
    GET /knowledge/index-all  POST /knowledge/index-all
    POST /knowledge/index  POST /knowledge/resync
    GET /webhooks/{webhook_id}/recover  POST /webhooks/recover  POST /webhooks/redeliver
    POST /webhooks/enable  POST /webhooks/disable  POST /webhooks/test
    POST /webhooks/deliveries/{delivery_id}/reveal
    GET /email/settle-all  POST /email/settle-all  POST /email/settle
    POST /email/suppress  POST /email/lift  POST /email/{email_id}/reveal
"""
# Who may use the dashboard, and a copy of all that they did.
ADMIN = """
    GET /audit/export  GET /operators
    POST /operators/add  POST /operators/role  POST /operators/password
    POST /operators/disable  POST /operators/enable
"""


def table() -> dict[tuple[str, str], Role]:
    found: dict[tuple[str, str], Role] = {}
    for role, text in (
        ("open", OPEN),
        ("viewer", VIEWER),
        ("operator", OPERATOR),
        ("admin", ADMIN),
    ):
        words = text.split()
        for route in zip(words[::2], words[1::2], strict=True):
            assert route not in found, f"{route} is listed twice"
            found[route] = cast(Role, role)
    return found


TABLE = table()


@pytest.fixture(scope="module")
def desk(services: Services, template: str) -> Iterator[Desk]:
    """One for all tests here: nothing in them depends on what is in the database."""
    assert services.redis_url is not None
    with (
        fresh_database(services, template=template) as url,
        open_desk(url, services.redis_url) as desk,
    ):
        yield desk


def test_every_route_is_in_the_table_and_every_entry_is_a_route(desk: Desk) -> None:
    there = set(patterns(desk))

    assert there - TABLE.keys() == set(), "say in the table above who may ask for it"
    assert TABLE.keys() - there == set(), "there is no such route any more"


def test_strangers_see_the_login_and_what_is_open(desk: Desk) -> None:
    wrong = {}
    for (method, path), role in closed():
        answer = ask(desk.visitor().client, method, path)
        if not is_sent_to_login(answer):
            wrong[method, path, role] = answer.status_code

    assert wrong == {}


def test_strangers_hear_nothing_live(desk: Desk) -> None:
    assert desk.visitor().client.get("/live").status_code == 401


def test_each_role_may_do_what_the_table_says_and_no_more(desk: Desk) -> None:
    wrong = {}
    for own in ROLES:
        for (method, path), needed in closed():
            answer = act(desk.browser(own), method, path)
            if not is_as_told(answer, may=ROLES.index(own) >= ROLES.index(needed)):
                wrong[own, method, path] = (answer.status_code, answer.text[-300:])

    assert wrong == {}


def test_no_form_does_anything_without_the_token_of_its_session(desk: Desk) -> None:
    statuses = {
        (method, path): desk.browser("admin").client.post(fill(path), data={"why": "x"}).status_code
        for (method, path), _ in closed()
        if method == "POST"
    }

    assert {route: status for route, status in statuses.items() if status != 403} == {}


def test_no_form_of_another_site_does_anything(desk: Desk) -> None:
    statuses = {}
    for (method, path), _ in closed():
        if method == "POST":
            admin = desk.browser("admin")
            statuses[path] = admin.client.post(
                fill(path),
                data={"csrf": admin.token, "why": "x"},
                headers={"Origin": "https://evil.example"},
            ).status_code

    assert {path: status for path, status in statuses.items() if status != 403} == {}


def closed() -> list[tuple[tuple[str, str], Role]]:
    """What needs a role. The stream never ends, so only strangers and tests of its own ask."""
    return [
        (route, role)
        for route, role in sorted(TABLE.items())
        if role != "open" and route != ("GET", "/live")
    ]


def ask(client: TestClient, method: str, path: str) -> Response:
    if method == "GET":
        return client.get(fill(path))
    return client.post(fill(path), data={"csrf": "x", "why": "x"})


def act(browser: Browser, method: str, path: str) -> Response:
    if method == "GET":
        return browser.client.get(fill(path))
    fields = {"csrf": browser.token, "why": "the matrix asks"}
    return browser.client.post(fill(path), data=fields)


def is_sent_to_login(answer: Response) -> bool:
    return answer.status_code == 303 and answer.headers["location"].startswith("/login?")


def is_as_told(answer: Response, *, may: bool) -> bool:
    if not may:
        return answer.status_code == 403 and "This needs the role" in answer.text
    left = answer.headers.get("location") == "/login?out=1"
    return answer.status_code in (200, 303, 400, 404, 409) and (
        left or not is_sent_to_login(answer)
    )
