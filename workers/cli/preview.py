"""`avivro emails preview`: every mail with sample data, as files and as pictures."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.counting import plural
from workers.cli import console

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from pipelines.email.render import Rendered

APP_URL = "https://app.avivro.example"
THEMES = ("light", "dark")
# A mail program on a desk, and a small telephone.
WIDTHS_PX = (640, 360)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MISSING_TOOL = "screenshots need Playwright, a development tool: pip install playwright"
MISSING_BROWSER = (
    "screenshots need Chromium: apt-get install chromium, or: python -m playwright install chromium"
)
INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Emails of Avivro</title>
<meta name="color-scheme" content="light dark">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1320px; margin: 24px auto;
        padding: 0 16px }}
iframe {{ width: 640px; height: 620px; border: 1px solid #8886 }}
pre {{ display: inline-block; vertical-align: top; width: 600px; height: 588px; overflow: auto;
       margin: 0 0 0 16px; padding: 16px; border: 1px solid #8886; font-size: 13px }}
table {{ border-collapse: collapse }} td {{ padding: 2px 16px 2px 0; vertical-align: top }}
</style></head><body><h1>Emails of Avivro</h1>
{sections}
</body></html>
"""


@dataclass(frozen=True, slots=True)
class Preview:
    """One sample: its file name, the fields its template reads, and the mail."""

    name: str
    contract: str
    mail: "Rendered"


def preview(
    out: Annotated[Path, typer.Option(help="Where the files go.")] = Path("emails"),
    screenshots: Annotated[
        bool, typer.Option("--screenshots", help="Light and dark, wide and narrow; wants Chromium.")
    ] = False,
) -> None:
    """Render every template with sample data into a folder."""
    previews = list(render_samples())
    out.mkdir(parents=True, exist_ok=True)
    for each in previews:
        (out / f"{each.name}.html").write_text(each.mail.html, encoding="utf-8")
        (out / f"{each.name}.txt").write_text(each.mail.text, encoding="utf-8")
    index = out / "index.html"
    index.write_text(INDEX.format(sections="\n".join(map(section, previews))), encoding="utf-8")
    if screenshots:
        take_screenshots(out, [each.name for each in previews])
    console.err.print(f"wrote {plural(len(previews), 'mail')}, look at {index}", highlight=False)


def render_samples() -> Iterator[Preview]:
    # Only here: the command starts without a pipeline.
    from pipelines.email.registry import TEMPLATES
    from pipelines.email.render import render
    from pipelines.email.samples import SAMPLES

    for name, (template, data) in SAMPLES.items():
        rows = "".join(
            f"<tr><td><code>{escape(each.name)}</code></td>"
            f"<td>{'required' if each.required else ''}</td><td>{escape(each.about)}</td></tr>"
            for each in TEMPLATES[template].fields
        )
        contract = f"<p><code>{template}</code></p><table>{rows}</table>"
        yield Preview(name, contract, render(template, data, subject=None, app_url=APP_URL))


def section(each: Preview) -> str:
    return (
        f"<h2>{escape(each.mail.subject)}</h2>"
        f"<p>{each.mail.category}, {'tracked' if each.mail.tracked else 'not tracked'}, "
        f"{len(each.mail.html.encode()):,} bytes</p>"
        f'<iframe src="{each.name}.html" title="{escape(each.mail.subject)}"></iframe>'
        f"<pre>{escape(each.mail.text)}</pre><details><summary>data</summary>{each.contract}"
        "</details>"
    )


def take_screenshots(folder: Path, names: list[str]) -> None:
    """<name>-<width>-<theme>.png beside each mail."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        console.fail(MISSING_TOOL, code=3)
    with sync_playwright() as tools:
        try:
            browser = tools.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        except Error:
            console.fail(MISSING_BROWSER, code=3)
        for theme in THEMES:
            photograph(browser, folder, names, theme)
        browser.close()


def find_browser() -> str | None:
    """None: the one that Playwright installed for itself."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def photograph(browser: "Browser", folder: Path, names: list[str], theme: str) -> None:
    page = browser.new_page(color_scheme="dark" if theme == "dark" else "light")
    for name in names:
        page.goto((folder / f"{name}.html").absolute().as_uri())
        for width_px in WIDTHS_PX:
            page.set_viewport_size({"width": width_px, "height": 400})
            page.screenshot(path=folder / f"{name}-{width_px}-{theme}.png", full_page=True)
    page.close()
