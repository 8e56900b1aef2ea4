"""What a browser makes of our mails, as mail programs do: light and dark, wide and narrow."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipelines.email.render import render
from pipelines.email.samples import SAMPLES
from workers.cli import preview

CONTRAST_MIN = 4.5
# The colour of each text next to that of the nearest ground behind it.
MEASURE = """() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = node => {
    for (let n = node; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), node = walker.currentNode.parentElement;
    if (!text || node.closest('.hide') || !node.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), text]);
  }
  return found;
}"""
LONG = "Donaudampfschifffahrtsgesellschaftskapitaen" * 4


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        opened = tools.chromium.launch(
            executable_path=preview.find_browser(), args=["--no-sandbox"]
        )
        yield opened
        opened.close()


def pages() -> Iterator[tuple[str, str]]:
    for name, (template, data) in SAMPLES.items():
        stretched = {key: stretch(value) for key, value in data.items()}
        yield name, render(template, data, subject=None, app_url="https://app.example").html
        yield (
            f"{name} with long words",
            render(template, stretched, subject=None, app_url="https://app.example").html,
        )


def stretch(value: Any) -> Any:
    """Words that no line is wide enough for, where text may be anything."""
    if isinstance(value, list):
        return [stretch(each) for each in value]
    if isinstance(value, dict):
        return {key: stretch(each) for key, each in value.items()}
    is_words = isinstance(value, str) and value[:1].isalpha() and len(value) != 3
    return value + LONG if is_words and not value.startswith("http") else value


def show(page: Page, html: str) -> None:
    page.set_content(html, wait_until="load")


@pytest.mark.parametrize("theme", preview.THEMES)
def test_every_text_stands_out_from_its_ground(browser: Browser, theme: str) -> None:
    page = browser.new_page(color_scheme="dark" if theme == "dark" else "light")

    faint: dict[tuple[str, str], float] = {}
    for name, html in pages():
        show(page, html)
        pairs = page.evaluate(MEASURE)
        assert len(pairs) > 3
        faint |= {(name, text): ratio for ratio, text in pairs if ratio < CONTRAST_MIN}

    assert faint == {}


@pytest.mark.parametrize("width_px", preview.WIDTHS_PX)
def test_no_mail_is_wider_than_its_window(browser: Browser, width_px: int) -> None:
    page = browser.new_page(viewport={"width": width_px, "height": 700})

    widths = {}
    for name, html in pages():
        show(page, html)
        widths[name] = page.evaluate("document.documentElement.scrollWidth")

    assert {name: width for name, width in widths.items() if width > width_px} == {}


def test_a_dark_theme_really_is_dark(browser: Browser) -> None:
    page = browser.new_page(color_scheme="dark")
    show(page, dict(pages())["invoice"])

    grounds = page.evaluate(
        "['.paper', '.card'].map(s => getComputedStyle(document.querySelector(s)).backgroundColor)"
    )

    assert grounds == ["rgb(13, 19, 21)", "rgb(20, 28, 31)"]


def test_a_mail_asks_the_network_for_nothing(browser: Browser) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    for _, html in pages():
        show(page, html)

    assert asked == []


def run_preview(out: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers", "emails", "preview", "--screenshots", "--out"]
    return subprocess.run(
        [*command, str(out)],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_preview_leaves_files_and_pictures_of_every_mail(tmp_path: Path) -> None:
    done = run_preview(tmp_path)

    assert done.returncode == 0, done.stderr
    names = {path.name for path in tmp_path.iterdir() if path.stat().st_size > 200}
    assert {"index.html", "invoice.html", "invoice.txt"} <= names
    pictures = {
        f"{name}-{width}-{theme}.png"
        for name in SAMPLES
        for width in preview.WIDTHS_PX
        for theme in preview.THEMES
    }
    assert pictures <= names


def test_preview_says_what_pictures_need(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none")

    done = run_preview(tmp_path / "out", PATH=nowhere, PLAYWRIGHT_BROWSERS_PATH=nowhere)

    assert done.returncode == 3
    assert "apt-get install chromium" in " ".join(done.stderr.split())
