"""All that a page says of itself, read once before its text is judged."""

from dataclasses import dataclass, replace

from lxml.html import HtmlElement

from pipelines.knowledge.document import Document
from pipelines.knowledge.html_data import Node, read_nodes
from pipelines.knowledge.html_dates import find_published_at
from pipelines.knowledge.html_facts import (
    find_declared_language,
    find_title,
    is_article,
    is_called_article,
    read_metas,
)
from pipelines.knowledge.html_links import find_base, find_canonical, find_links, find_robots
from pipelines.knowledge.language import choose_language


@dataclass(frozen=True, slots=True)
class Facts:
    """`language` is the declared one; `nodes` are the page's JSON-LD objects."""

    title: str | None
    language: str | None
    published_at: str | None
    canonical: str | None
    robots: tuple[str, ...]
    links: tuple[str, ...]
    nodes: list[Node]
    is_article: bool
    is_called_article: bool


def read_facts(root: HtmlElement, *, url: str | None) -> Facts:
    metas, nodes, base = read_metas(root), read_nodes(root), find_base(root, url)
    return Facts(
        title=find_title(root, metas, nodes, url=url),
        language=find_declared_language(root, metas),
        published_at=find_published_at(root, metas, nodes),
        canonical=find_canonical(root, base),
        robots=find_robots(metas),
        links=find_links(root, base),
        nodes=nodes,
        is_article=is_article(root, metas, nodes),
        is_called_article=is_called_article(metas),
    )


def add_facts(document: Document, facts: Facts) -> Document:
    return replace(
        document,
        title=facts.title,
        language=choose_language(document.text, declared=facts.language),
        published_at=facts.published_at,
        canonical=facts.canonical,
        robots=facts.robots,
        links=facts.links,
    )
