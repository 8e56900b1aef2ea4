"""Turn a template's name and data into the mail that a reader sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import css_inline
from jinja2 import PackageLoader, StrictUndefined, select_autoescape
from jinja2.sandbox import SandboxedEnvironment

from pipelines.counting import noun
from pipelines.email import fields, formats
from pipelines.email.derive import derive
from pipelines.email.fields import Setting, WrongValue
from pipelines.email.plain_text import wrap
from pipelines.email.registry import ACCOUNT, CATEGORIES, COMMON, TEMPLATES, Template
from pipelines.errors import Permanent

# Gmail shows no more than 102 kB of a mail; tracking has yet to lengthen its links.
HTML_BYTES_MAX = 95_000
SUBJECT_CHARS_MAX = 250

PAPER = SandboxedEnvironment(
    loader=PackageLoader("pipelines.email"),
    # Everything but the text parts, which are no markup.
    autoescape=select_autoescape(disabled_extensions=("txt.j2",), default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
PAPER.filters |= {
    "cut": fields.cut,
    "number": formats.number,
    "noun": noun,
    "money": formats.money,
    "unit_price": formats.unit_price,
    "day": formats.day,
    "moment": formats.moment,
}
INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)


@dataclass(frozen=True, slots=True)
class Rendered:
    """`category` decides who can unsubscribe from it; `tracked`, whether links are rewritten."""

    subject: str
    html: str
    text: str
    category: str
    tracked: bool


def render(
    template: str, data: Mapping[str, Any], *, subject: str | None, app_url: str
) -> Rendered:
    """`subject` goes before the template's own. Without an `app_url` buttons that lead to the
    app are left out.

    Raises Permanent, which names the template and the field that is missing or wrong.
    """
    found = find(template)
    values = derive(found, read(found, data, app_url), app_url)
    own = fields.flatten(SUBJECTS[found.name].render(values))
    title = own_words(subject) or own
    page = values | {"subject": title, "subject_line": own, "because": found.because}
    html = INLINER.inline(PAPER.get_template(f"{found.name}.html.j2").render(page))
    check_size(found, html)
    text = PAPER.get_template(f"{found.name}.txt.j2").render(page)
    category = values.get("category") or found.category
    return Rendered(title, html, wrap(text), category, tracked=category != ACCOUNT)


def known_templates() -> tuple[str, ...]:
    return tuple(TEMPLATES)


def find(name: str) -> Template:
    """`New-Lead` is new_lead."""
    found = TEMPLATES.get(name.strip().lower().replace("-", "_").replace(" ", "_"))
    if found is None:
        raise Permanent(
            f"there is no email template {fields.cut(name, 60)!r}; there are "
            + ", ".join(known_templates())
        )
    return found


def read(template: Template, data: Mapping[str, Any], app_url: str) -> dict[str, Any]:
    """Each field of the template by name, None where the data has nothing."""
    if not isinstance(data, Mapping):
        raise Permanent(f"template {template.name}: template_data must be an object")
    zone, *others = COMMON
    clock = zone.find(data)
    try:
        setting = Setting(app_url, UTC if clock is None else zone.read(clock, Setting()))
    except WrongValue:
        setting = Setting(app_url)
    data = with_action(data)
    values = {
        each.name: value(template, each, data, setting) for each in (*others, *template.fields)
    }
    if values.get("category") not in (None, *CATEGORIES):
        raise Permanent(
            f"template {template.name}: category must be one of {', '.join(CATEGORIES)}"
        )
    return values


def with_action(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A button may also come as one object: {"action": {"label": ..., "url": ...}}."""
    action = data.get("action")
    if not isinstance(action, Mapping):
        return data
    return {"action_label": action.get("label"), "action_url": action.get("url"), **data}


def value(
    template: Template, field: fields.Field, data: Mapping[str, Any], setting: Setting
) -> Any:
    """None, too, for what holds nothing that can be printed."""
    given = field.find(data)
    try:
        found = None if given is None else field.read(given, setting)
    except WrongValue as wrong:
        raise Permanent(f"template {template.name}: {field.name} {wrong}") from None
    if found in (None, "", ()):
        if field.required:
            raise Permanent(f"template {template.name} needs {field.name}")
        return None
    return found


def own_words(subject: str | None) -> str | None:
    """One line, whatever the row holds: a subject is a header."""
    try:
        text = fields.flatten(fields.plain(subject or ""))
    except WrongValue as wrong:
        raise Permanent(f"the subject {wrong}") from None
    return fields.cut(text, SUBJECT_CHARS_MAX) or None


def check_size(template: Template, html: str) -> None:
    size = len(html.encode())
    if size > HTML_BYTES_MAX:
        raise Permanent(
            f"template {template.name}: the mail is {size:,} bytes of HTML, limit "
            f"{HTML_BYTES_MAX:,}; send less text"
        )


# A subject is a header and no markup either.
SUBJECTS = {
    name: PAPER.overlay(autoescape=False).from_string(each.subject)
    for name, each in TEMPLATES.items()
}
