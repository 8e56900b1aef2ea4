"""The sample is the first thing a visitor sees: it must read well and agree with itself."""

import base64
import hmac
import http.client
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urljoin, urlsplit

import pypdfium2
import pytest
from bs4 import BeautifulSoup, Tag

from pipelines.gateways import fetch
from workers.sample import FILES, PAGES, QUESTIONS, ROOT, SITE, Question, routes, serve

FURNITURE = ["nav.bar", "footer.site", ".cookie-banner", ".newsletter form", ".related", "script"]
TIERS = ["free", "starter", "professional", "enterprise"]
WORDS_MIN, WORDS_MAX = 600, 1500
PDF_BYTES_MAX = 150_000

page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "lxml")


def the(tree: Tag, selector: str) -> Tag:
    found = tree.select_one(selector)
    assert found is not None, f"nothing matches {selector}"
    return found


def flat(text: str) -> str:
    return " ".join(text.split())


def text_of(file: Path) -> str:
    if file.suffix == ".html":
        return flat(the(soup(file), "main").get_text(" "))
    if file.suffix == ".pdf":
        with pypdfium2.PdfDocument(file) as report:
            return flat(" ".join(page.get_textpage().get_text_range() for page in report))
    return flat(file.read_text(encoding="utf-8"))


@page_by_page
def test_a_page_has_main_content_of_a_readable_length(page: Path) -> None:
    words = text_of(page).split()

    assert WORDS_MIN <= len(words) <= WORDS_MAX


@page_by_page
def test_a_page_has_the_furniture_that_extraction_must_leave_behind(page: Path) -> None:
    tree = soup(page)

    missing = [selector for selector in FURNITURE if tree.select_one(selector) is None]

    assert missing == []
    assert not the(tree, "main").select(".cookie-banner, .newsletter, nav.bar, footer.site")


@page_by_page
def test_a_page_says_in_its_head_what_it_is(page: Path) -> None:
    head = the(soup(page), "head")
    path = page.relative_to(SITE).as_posix().removesuffix("index.html")

    title = the(head, "meta[property='og:title']")["content"]

    assert the(head, "title").get_text() == f"{title} | Avivro"
    assert len(str(the(head, "meta[name=description]")["content"])) > 60
    assert the(head, "link[rel=canonical]")["href"] == f"https://www.avivro.example/{path}"


@page_by_page
def test_a_page_loads_nothing_from_elsewhere(page: Path) -> None:
    loaded = soup(page).select("script[src], img[src], iframe, link[rel=stylesheet]")

    assert loaded == []


@page_by_page
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    own = f"/{page.relative_to(SITE).as_posix()}"
    links = [urlsplit(urljoin(own, str(link["href"]))) for link in soup(page).select("a[href]")]

    paths = {link.path for link in links if not link.scheme and link.path}

    assert paths - routes().keys() == set()


@page_by_page
def test_a_table_of_contents_names_sections_of_its_page(page: Path) -> None:
    tree = soup(page)
    ids = {str(heading["id"]) for heading in tree.select("main h2[id], main h3[id]")}

    listed = [str(link["href"]) for link in tree.select(".sidebar ul:last-of-type a[href^='#']")]

    assert [anchor for anchor in listed if anchor.removeprefix("#") not in ids] == []


def offers(page: Path) -> dict[str, str]:
    """What each tier's card says."""
    cards = soup(page).select("[data-tier]")
    return {str(card["data-tier"]): flat(card.get_text(" ")) for card in cards}


def prices(text: str) -> list[str]:
    return re.findall(r"\$\d+", text)


def volume(text: str) -> list[str]:
    return re.findall(r"[\d,]+ messages a month, [\w ]*agents?\b", text)


def test_the_home_page_and_the_price_list_show_the_same_offers() -> None:
    home, listed = offers(SITE / "index.html"), offers(SITE / "pricing.html")

    assert list(home) == list(listed) == TIERS
    for tier in TIERS:
        assert prices(home[tier]) == prices(listed[tier]) != []
        assert volume(home[tier]) == volume(listed[tier]) != []


def test_the_comparison_table_repeats_the_prices_of_the_cards() -> None:
    page = SITE / "pricing.html"
    rows = [flat(row.get_text(" ")) for row in soup(page).select("table tr")]

    monthly = next(row for row in rows if row.startswith("Price, paid monthly"))

    assert prices(monthly) == [price for card in offers(page).values() for price in prices(card)]


def test_the_limits_on_the_sources_page_are_those_of_the_code() -> None:
    rows = soup(SITE / "docs/knowledge-sources.html").select("#limits + table tbody tr")
    limits = dict([cell.get_text() for cell in row.select("td")][:2] for row in rows)

    assert limits["Size of a web page"] == f"{fetch.PAGE_BYTES_MAX // 10**6} MB"
    assert limits["Size of a file"] == f"{fetch.FILE_BYTES_MAX // 10**6} MB"
    assert limits["Redirects followed"] == str(fetch.REDIRECTS_MAX)
    assert limits["Time to fetch a page"].startswith(f"{fetch.FETCH_DEADLINE_S:.0f} seconds")


def test_the_webhook_page_lists_the_twelve_events() -> None:
    cells = soup(SITE / "docs/webhooks.html").select("#events ~ table td:first-child code")

    names = [cell.get_text() for cell in cells]

    assert len(names) == len(set(names)) == 12
    assert {"lead.captured", "knowledge.failed", "billing.period_closed"} <= set(names)


Verifier = Callable[[str, dict[str, str], bytes], bool]


@pytest.fixture
def verifier() -> Verifier:
    """The function that the webhook page tells customers to copy, at the time of its example."""
    code = the(soup(SITE / "docs/webhooks.html"), "code.language-python").get_text()
    names: dict[str, Verifier | SimpleNamespace] = {}
    exec(code, names)
    names["time"] = SimpleNamespace(time=lambda: 1614265330)
    found = names["is_from_avivro"]
    assert callable(found)
    return found


def test_the_verification_code_accepts_the_vector_of_the_standard(verifier: Verifier) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    assert verifier(secret, headers, b'{"test": 2432232314}')
    assert not verifier(secret, headers, b'{"test": 2432232315}')
    assert not verifier(secret, {**headers, "webhook-timestamp": "1614260000"}, b"{}")


def test_the_delivery_on_the_webhook_page_is_signed_with_the_secret_above_it() -> None:
    page = soup(SITE / "docs/webhooks.html")
    head, body = the(page, "code.language-http").get_text().split("\n\n", 1)
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    secret = re.search(r"'whsec_(.+?)'", the(page, "code.language-typescript").get_text())
    assert secret is not None

    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    digest = hmac.digest(base64.b64decode(secret[1]), signed, "sha256")

    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def test_the_report_is_a_pdf_of_six_to_ten_pages_of_text() -> None:
    file = ROOT / "trust-report.pdf"

    with pypdfium2.PdfDocument(file) as report:
        lengths = [page.get_textpage().count_chars() for page in report]

    assert 6 <= len(lengths) <= 10
    assert min(lengths) > 200
    assert file.stat().st_size < PDF_BYTES_MAX


def test_the_report_is_made_from_the_text_beside_its_script() -> None:
    source = Path(__file__).parents[1] / "samples" / "trust-report.md"
    markup = re.compile(r"^#+ |\*\*|^\|[-|]+\|$|\|", re.MULTILINE)

    printed = set(text_of(ROOT / "trust-report.pdf").split())

    assert set(markup.sub(" ", source.read_text(encoding="utf-8")).split()) - printed == set()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.document)
def test_a_question_is_answered_in_exactly_one_document(question: Question) -> None:
    documents = {path: text_of(file) for path, file in routes().items() if path != "/"}

    answering = [path for path, text in documents.items() if question.phrase in text]

    assert answering == [f"/{question.document}"]
    assert documents[answering[0]].count(question.phrase) == 1


def test_the_questions_ask_a_page_the_report_and_the_handbook() -> None:
    kinds = {Path(question.document).suffix for question in QUESTIONS}

    assert kinds == {".html", ".pdf", ".md"}
    assert len(QUESTIONS) == 3


@pytest.fixture(scope="module")
def site() -> Iterator[http.client.HTTPConnection]:
    with serve() as base_url:
        connection = http.client.HTTPConnection(str(urlsplit(base_url).netloc), timeout=5)
        yield connection
        connection.close()


Answer = tuple[int, dict[str, str], bytes]


def ask(
    site: http.client.HTTPConnection, path: str, *, method: str = "GET", **headers: str
) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    site.request(method, path, headers=sent)
    response = site.getresponse()
    return response.status, dict(response.headers), response.read()


def test_the_server_hands_out_every_document_with_its_type(
    site: http.client.HTTPConnection,
) -> None:
    types = {".html": "text/html; charset=utf-8", ".md": "text/markdown; charset=utf-8"}

    for path, file in routes().items():
        status, headers, body = ask(site, path)

        assert (status, body) == (200, file.read_bytes())
        assert headers["Content-Type"] == types.get(file.suffix, "application/pdf")
        assert headers["Content-Length"] == str(len(body))


def test_home_is_the_root_and_a_query_changes_nothing(site: http.client.HTTPConnection) -> None:
    home = (SITE / "index.html").read_bytes()

    assert ask(site, "/")[2] == home
    assert ask(site, "/index.html?utm_source=letter")[2] == home


def test_head_answers_like_get_without_a_body(site: http.client.HTTPConnection) -> None:
    status, headers, body = ask(site, "/pricing.html", method="HEAD")

    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == str((SITE / "pricing.html").stat().st_size)


def test_a_known_version_is_answered_with_304_and_no_body(
    site: http.client.HTTPConnection,
) -> None:
    _, first, _ = ask(site, "/pricing.html")
    tag, date = first["ETag"], first["Last-Modified"]

    assert ask(site, "/pricing.html", If_None_Match=tag)[::2] == (304, b"")
    assert ask(site, "/pricing.html", If_None_Match=f'"other", W/{tag}')[0] == 304
    assert ask(site, "/pricing.html", If_Modified_Since=date)[0] == 304


def test_the_tag_decides_before_the_date(site: http.client.HTTPConnection) -> None:
    _, first, _ = ask(site, "/faq.html")
    date = first["Last-Modified"]

    status, _, _ = ask(site, "/faq.html", If_None_Match='"older"', If_Modified_Since=date)

    assert status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/no-such-page.html",
        "/docs/",
        "/../__init__.py",
        "/docs/../../__init__.py",
        "/%2e%2e/__init__.py",
        "/..%2f__init__.py",
        "/..\\__init__.py",
        "//etc/passwd",
        "/__init__.py",
        "/index.html%00.md",
    ],
)
def test_anything_else_is_not_found(site: http.client.HTTPConnection, path: str) -> None:
    status, _, body = ask(site, path)

    assert status == 404
    assert b"import" not in body


def test_two_servers_run_side_by_side_and_end_with_their_context() -> None:
    with serve() as one, serve() as other:
        assert one != other

    with pytest.raises(ConnectionRefusedError):
        ask(http.client.HTTPConnection(urlsplit(one).netloc, timeout=5), "/")


def test_an_installed_package_carries_every_file_of_the_sample() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    carried = set(project["tool"]["setuptools"]["package-data"]["*"])

    needed = {f"*{file.suffix}" for file in [*PAGES, *FILES]}

    assert needed <= carried
