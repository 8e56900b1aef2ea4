"""Every answer of the dashboard, errors too, carries what keeps browsers strict."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.embedded import Services
from tests.conftest import fresh_database
from tests.dashboard_routes import addresses
from tests.dashboard_world import Desk, open_desk
from workers.dashboard import readiness, site
from workers.dashboard.shipped import SHIPPED
from workers.dashboard.site import SAFE, asset

TEMPLATES = Path(site.__file__).parent / "templates"


@pytest.fixture(scope="module")
def desk(services: Services, template: str) -> Iterator[Desk]:
    """One for all tests here: nothing in them depends on what is in the database."""
    assert services.redis_url is not None
    with (
        fresh_database(services, template=template) as url,
        open_desk(url, services.redis_url) as desk,
    ):
        yield desk


def lacking(headers: object, wanted: set[str]) -> set[str]:
    return {name for name in wanted if name not in headers}  # type: ignore[operator]


def test_every_route_answers_with_all_of_them(desk: Desk) -> None:
    admin, nobody = desk.browser("admin"), desk.visitor()

    bare = {}
    for method, path in addresses(desk):
        if path == "/live":
            continue
        for client in (admin.client, nobody.client):
            headers = client.request(method, path).headers
            if missing := lacking(headers, set(SAFE)):
                bare[method, path] = missing
    assert bare == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/no/such/page", 404),
        ("GET", "/<script>alert(1)</script>", 404),
        ("POST", "/audit", 405),
        ("DELETE", "/audit", 405),
        ("GET", "/static/none.js", 404),
        ("GET", "/audit?before=%00", 400),
        ("GET", "/audit?since=yesterday", 400),
        ("POST", "/logout", 415),
    ],
)
def test_errors_look_like_the_site_and_are_as_strict(
    desk: Desk, method: str, path: str, status: int
) -> None:
    answer = desk.browser("viewer").client.request(method, path)

    assert answer.status_code == status
    assert lacking(answer.headers, set(SAFE)) == set()
    assert "<script>alert" not in answer.text
    assert 'class="bar"' in answer.text


def test_a_defect_shows_an_id_that_the_log_explains(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the trace")

    monkeypatch.setattr("workers.dashboard.pages.audit.read_fields", explode)
    answer = desk.browser("viewer").client.get("/audit")

    found = re.search(r"id ([0-9a-f]{8})", answer.text)
    assert answer.status_code == 500
    assert found is not None
    assert found[1] in caplog.text
    assert "the secret of the trace" in caplog.text
    assert "secret of the trace" not in answer.text
    assert lacking(answer.headers, set(SAFE)) == set()


def test_shipped_files_are_kept_for_ever_under_their_own_address(desk: Desk) -> None:
    client = desk.visitor().client
    kept, other, bare = (
        client.get(path)
        for path in (asset("live.js"), "/static/live.js?v=000000000000", "/static/live.js")
    )

    assert "immutable" in kept.headers["cache-control"]
    assert other.headers["cache-control"] == bare.headers["cache-control"] == "no-cache"
    assert kept.headers["x-content-type-options"] == "nosniff"


def test_shipped_files_have_the_types_that_browsers_insist_on(desk: Desk) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

    client = desk.visitor().client
    found = {name: client.get(f"/static/{name}").headers["content-type"] for name in SHIPPED}

    assert all(kind.startswith(types[Path(name).suffix]) for name, kind in found.items()), found


@pytest.mark.parametrize(
    "path", ["../site.py", "..%2fsite.py", "%2e%2e/site.py", "....//site.py", "/etc/passwd", "%00"]
)
def test_nothing_but_shipped_files_is_shipped(desk: Desk, path: str) -> None:
    answer = desk.visitor().client.get(f"/static/{path}")

    assert answer.status_code == 404
    assert "import" not in answer.text


def test_no_answer_repeats_the_host_that_was_asked_for(desk: Desk) -> None:
    nobody = desk.visitor().client
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}

    answers = [
        nobody.get(path, headers=headers) for path in ("/", "/login", "/none", "/static", "/audit/")
    ]

    for answer in answers:
        assert "evil.example" not in answer.text + answer.headers.get("location", "")


def test_a_closed_address_is_not_there(database_url: str, redis_url: str) -> None:
    with open_desk(
        database_url, redis_url, dashboard_closed=frozenset({"metrics", "readyz"})
    ) as desk:
        nobody = desk.visitor().client
        statuses = [nobody.get(f"/{name}").status_code for name in ("metrics", "readyz", "healthz")]

    assert statuses == [404, 404, 200]


def test_they_are_open_by_default(desk: Desk) -> None:
    nobody = desk.visitor().client

    assert [nobody.get(f"/{name}").status_code for name in ("metrics", "readyz", "healthz")] == [
        200
    ] * 3


def test_readiness_tells_strangers_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "ANSWER_S", 0.2)
    away = "127.0.0.1:9"
    with open_desk(f"postgresql://secret@{away}/db", f"redis://:secret@{away}/0") as desk:
        answer = desk.visitor().client.get("/readyz")

    assert answer.status_code == 503
    assert [each["what"] for each in answer.json()["problems"]] == [
        "Postgres does not answer",
        "Redis does not answer",
    ]


def test_templates_hold_nothing_that_the_policy_forbids() -> None:
    forbidden = re.compile(
        r"<script(?![^>]*\bsrc=)|\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:"
        r"|(?:src|href)=[\"']?(?:https?:)?//|\|\s*safe\b|autoescape\s+false",
        re.IGNORECASE,
    )

    found = {
        f"{path.name}: {hit[0]}"
        for path in TEMPLATES.rglob("*.html")
        for hit in forbidden.finditer(path.read_text())
    }

    assert found == set()


def test_the_policy_allows_no_inline_code() -> None:
    policy = SAFE["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
