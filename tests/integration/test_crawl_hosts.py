"""A crawl that is led elsewhere: to other hosts, to private addresses, past its delay."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from tests.crawling import Crawling, crawling, page
from tests.fakes import Hit, Site, Wire, site
from tests.knowledge import Indexing

DELAY_S = 1.5
JITTER_S = 0.5


@dataclass
class World:
    """One server that is several hosts: answers by Host header."""

    web: Site
    pages: dict[tuple[str, str], str]

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.web.port}{path}"

    def link(self, host: str, path: str = "/") -> str:
        """By whatever scheme the page itself has."""
        return self.url(host, path).removeprefix("http:")

    def answer(self, wire: Wire, hit: Hit) -> bool:
        host = hit.headers["host"].partition(":")[0]
        body = self.pages.get((host, hit.path))
        if body is not None and body.startswith("http"):
            wire.send(f"HTTP/1.1 301 Moved\r\nLocation: {body}\r\nContent-Length: 0\r\n\r\n")
        elif body is None:
            wire.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            head = f"Content-Type: text/html\r\nContent-Length: {len(body)}"
            wire.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}")
        return True

    def hosts(self) -> set[str]:
        return {hit.headers["host"].partition(":")[0] for hit in self.web.hits}


class Anything(dict[str, object]):
    """Every path has the same answer."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def get(self, path: str, default: object = None) -> object:
        return self.answer


def to_this_machine(host: str) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
def world() -> Iterator[World]:
    with site() as web:
        made = World(web, {})
        web.answers = Anything(made.answer)  # type: ignore[assignment]
        yield made


@pytest.fixture
def crawl(knowledge: Indexing) -> Iterator[Crawling]:
    with crawling(knowledge) as prepared:
        yield prepared


@pytest.fixture
def named(crawl: Crawling, world: World) -> Iterator[Crawling]:
    """Every host name is this machine, as far as the client knows."""
    first = crawl.knowledge.client
    client = Client(Egress.parse("127.0.0.1"), lookup=to_this_machine)
    crawl.knowledge.client = client
    yield crawl
    client.close()
    crawl.knowledge.client = first


def test_www_is_the_same_site_and_others_are_not(named: Crawling, world: World) -> None:
    links = [world.link(host, "/x") for host in ("www.a.example", "b.a.example", "b.example")]
    world.pages["a.example", "/"] = page("Start", *links)
    world.pages["www.a.example", "/x"] = page("Other")

    source_id = named.crawl(world.url("a.example"))

    assert [child["name"] for child in named.children(source_id)] == ["Start", "Other"]
    assert world.hosts() == {"a.example", "www.a.example"}


def test_pages_under_both_names_of_a_site_are_found_once(named: Crawling, world: World) -> None:
    for path in ("/", "/x"):
        world.pages["a.example", path] = world.url("www.a.example", path)
        world.pages["www.a.example", path] = page(f"About {path}", world.link("a.example", "/x"))

    source_id = named.crawl(world.url("a.example"))

    assert [child["url"] for child in named.children(source_id)] == [
        world.url("www.a.example", "/"),
        world.url("www.a.example", "/x"),
    ]


def test_each_host_is_asked_for_its_own_rules(named: Crawling, world: World) -> None:
    world.pages["a.example", "/"] = page("Start", world.link("www.a.example", "/x"))
    world.pages["www.a.example", "/robots.txt"] = "User-agent: *\nDisallow: /"
    world.pages["www.a.example", "/x"] = page("Other")

    source_id = named.crawl(world.url("a.example"))

    assert [child["name"] for child in named.children(source_id)] == ["Start"]
    assert ("/x", "www.a.example") not in {
        (hit.path, hit.headers["host"].partition(":")[0]) for hit in world.web.hits
    }


def test_the_crawl_delay_lies_between_the_pages(crawl: Crawling) -> None:
    arrived: list[float] = []

    def answer(wire: Wire, hit: Hit) -> bool:
        if hit.path == "/robots.txt":
            body = f"User-agent: *\nCrawl-delay: {DELAY_S}"
        else:
            arrived.append(time.monotonic())
            body = page(f"About {hit.path}", "/a", "/b")
        head = f"Content-Type: text/html\r\nContent-Length: {len(body)}"
        wire.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}")
        return True

    with site() as web:
        web.answers = Anything(answer)  # type: ignore[assignment]
        source_id = crawl.crawl(web.url("/"), sitemap=False)

    assert len(crawl.children(source_id)) == 3
    assert min(later - earlier for earlier, later in pairwise(arrived)) >= DELAY_S - JITTER_S


@pytest.fixture
def canary() -> Iterator[Site]:
    """A server on this machine that nobody allowed to be asked."""
    with site() as listening:
        yield listening


@pytest.mark.parametrize("way", ["link", "redirect", "canonical", "sitemap", "index", "robots"])
def test_no_way_leads_to_a_private_address(crawl: Crawling, canary: Site, way: str) -> None:
    spellings = [
        canary.url("/secret"),
        f"http://localhost:{canary.port}/secret",
        f"http://0x7f.1:{canary.port}/secret",
        f"http://[::ffff:127.0.0.1]:{canary.port}/secret",
        "http://169.254.169.254/latest/meta-data/",
    ]
    with site() as web:
        first = crawl.knowledge.client
        crawl.knowledge.client = Client(Egress.parse(f"127.0.0.1:{web.port}"))
        lead(web, way, spellings)
        source_id = crawl.crawl(web.url("/"))
        crawl.knowledge.client.close()
        crawl.knowledge.client = first

    assert canary.hits == []
    assert canary.connections == 0
    assert {child["url"].split("/")[2] for child in crawl.children(source_id)} == {
        f"127.0.0.1:{web.port}"
    }


def lead(web: Site, way: str, targets: list[str]) -> None:
    """A site that names the targets in that way."""
    traps = [f"/trap/{n}" for n in range(len(targets))]
    web.page("/", page("Start", *(targets if way == "link" else traps)))
    named = "".join(f"<url><loc>{target}</loc></url>" for target in targets)
    for trap, target in zip(traps, targets, strict=True):
        match way:
            case "redirect":
                web.redirect(trap, target)
            case "canonical":
                head = f'<link rel="canonical" href="{target}">'
                web.page(trap, page(f"Trap {trap}", head=head))
    match way:
        case "sitemap":
            web.page("/sitemap.xml", f"<urlset>{named}</urlset>")
        case "index":
            inner = named.replace("url>", "sitemap>")
            web.page("/sitemap.xml", f"<sitemapindex>{inner}</sitemapindex>")
        case "robots":
            web.page("/robots.txt", "".join(f"Sitemap: {target}\n" for target in targets))


def test_robots_txt_that_redirects_to_a_private_address_reaches_nothing(
    crawl: Crawling, canary: Site
) -> None:
    with site() as web:
        first = crawl.knowledge.client
        crawl.knowledge.client = Client(Egress.parse(f"127.0.0.1:{web.port}"))
        web.redirect("/robots.txt", canary.url("/robots.txt"))
        source_id = crawl.crawl(web.page("/", page("Start")))
        crawl.knowledge.client.close()
        crawl.knowledge.client = first

    assert canary.connections == 0
    assert crawl.parent(source_id)["status"] == "failed"
    assert "off limits" in crawl.parent(source_id)["error_message"]


def test_a_start_page_on_a_private_address_is_refused(crawl: Crawling, canary: Site) -> None:
    first = crawl.knowledge.client
    crawl.knowledge.client = Client(Egress())
    source_id = crawl.crawl(canary.url("/"))
    crawl.knowledge.client.close()
    crawl.knowledge.client = first

    assert canary.connections == 0
    assert "off limits" in crawl.parent(source_id)["error_message"]
