"""What a template's data becomes: text to be read, and clear words where it cannot be."""

import re
from decimal import Decimal
from typing import Any

import pytest

from pipelines.email import formats
from pipelines.email.fields import Field, Setting, WrongValue
from pipelines.email.registry import ACCOUNT, CATEGORIES, TEMPLATES
from pipelines.email.render import HTML_BYTES_MAX, Rendered, known_templates, render
from pipelines.email.samples import SAMPLES
from pipelines.errors import Permanent

APP = "https://app.example"
HUGE = "x" * 100_000


def show(template: str, data: dict[str, Any], subject: str | None = None) -> Rendered:
    return render(template, data, subject=subject, app_url=APP)


def needed(name: str) -> dict[str, Any]:
    """The least that a template takes."""
    by_reader = {"count": 7, "number": "9.50", "day": "2025-02-06"}
    return {
        each.name: by_reader.get(each.read.__name__, "Given")
        for each in TEMPLATES[name].fields
        if each.required
    }


def words(html: str) -> str:
    body = re.sub(r"(?s)<(style|title|!--).*?(</style>|</title>|-->)", "", html)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_fits_a_subject_line_and_a_mail(name: str) -> None:
    template, data = SAMPLES[name]

    mail = show(template, data)

    assert 0 < len(mail.subject) <= 78
    assert len(mail.html.encode()) < HTML_BYTES_MAX
    assert mail.category in CATEGORIES
    assert mail.html.startswith("<!DOCTYPE html>")
    assert 'lang="en"' in mail.html


def test_every_template_has_a_sample() -> None:
    assert {template for template, _ in SAMPLES.values()} == set(known_templates())


@pytest.mark.parametrize("name", SAMPLES)
def test_text_parts_are_72_columns_but_for_links(name: str) -> None:
    template, data = SAMPLES[name]

    lines = show(template, data).text.splitlines()

    assert [line for line in lines if len(line) > 72 and "://" not in line] == []
    assert not any(line.startswith(("<", "{")) for line in lines)


@pytest.mark.parametrize("name", SAMPLES)
def test_mails_load_nothing_from_anywhere(name: str) -> None:
    template, data = SAMPLES[name]

    html = show(template, data).html

    assert not re.search(r"(?i)<img|<link|<script|@import|url\(|src=|<form|<iframe", html)


@pytest.mark.parametrize("name", known_templates())
def test_what_is_not_needed_may_be_missing_and_leaves_no_trace(name: str) -> None:
    mail = show(name, needed(name) | {"unknown": [1, {"x": 2}]})

    assert not re.search(r"None|Undefined|\(\)| [.,]", mail.text)
    assert "None" not in words(mail.html)
    assert not re.search(r"\w [.,](?:\s|$)", words(mail.html))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, each.name)
        for name, template in TEMPLATES.items()
        for each in template.fields
        if each.required
    ],
)
@pytest.mark.parametrize("absent", [None, "", "  \n", [], {}])
def test_what_is_needed_is_asked_for_by_name(name: str, field: str, absent: object) -> None:
    with pytest.raises(Permanent, match=f"template {name} needs {field}"):
        show(name, needed(name) | {field: absent})


def test_an_unknown_template_names_those_there_are() -> None:
    with pytest.raises(Permanent, match="no email template 'wellcome'; there are welcome, "):
        show("wellcome", {})


@pytest.mark.parametrize("name", ["New-Lead", " new_lead "])
def test_a_templates_name_is_read_kindly(name: str) -> None:
    assert show(name, {"lead_name": "Ann"}).category == "leads"


WRONG = [
    [1, 2],
    {"a": {"b": []}},
    True,
    -1,
    1e400,
    float("nan"),
    10**400,
    10**5000,
    0,
    "1e999999",
    "<b>bold</b>",
    "\x00\x01\x1b[31m",
    "\ud800",
    "﷽" * 5_000,
    HUGE,
    [[[[]]]],
    [None, 3, {"x": 1}],
    [{"name": "x"}, 7],
    {"url": "javascript:alert(1)", "label": HUGE},
]


def accepts(field: Field, value: object) -> bool:
    try:
        field.read(value, Setting(APP))
    except WrongValue as wrong:
        return len(str(wrong)) > 300
    return field.name != "category"


@pytest.mark.parametrize("name", known_templates())
def test_any_value_in_any_field_is_text_or_a_wrong_value(name: str) -> None:
    for wrong in WRONG:
        taken = {each.name: wrong for each in TEMPLATES[name].fields if accepts(each, wrong)}

        mail = show(name, taken | needed(name) | {"action": wrong})
        assert len(mail.html.encode()) <= HTML_BYTES_MAX
        assert "javascript:" not in mail.html
        assert "\x00" not in mail.html + mail.text + mail.subject


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_a_wrong_value_is_refused_in_few_words(wrong: object) -> None:
    with pytest.raises(Permanent, match="template invoice: lines ") as caught:
        show("invoice", needed("invoice") | {"lines": [{"description": "x", "amount": wrong}, 7]})

    assert len(str(caught.value)) < 200


def test_text_of_nothing_but_control_characters_is_missing() -> None:
    with pytest.raises(Permanent, match="template message needs paragraphs"):
        show("message", {"title": "T", "paragraphs": "\x00\x01"})


@pytest.mark.parametrize("data", [[], "text", 7, None])
def test_data_that_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(Permanent, match="template_data must be an object"):
        show("welcome", data)


@pytest.mark.parametrize(
    "name", ["{{7*7}}", "{% raw %}", "{{ self.__init__.__globals__ }}", "${7*7}", "%(x)s", "{0}"]
)
def test_template_code_in_data_is_printed_as_it_came(name: str) -> None:
    mail = show("new_lead", {"lead_name": name, "agent_name": name})

    assert name in mail.subject
    assert name in mail.text
    assert name in words(mail.html)


def test_markup_in_data_is_text() -> None:
    mail = show("welcome", {"full_name": "<script>alert(1)</script><b>x</b>\"'&amp;"})

    assert "<script" not in mail.html
    assert "<b>" not in mail.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in mail.html
    assert "<script>alert(1)</script><b>x</b>\"'&amp;" in mail.text


def test_a_comment_or_a_style_in_data_ends_none_of_ours() -> None:
    mail = show("welcome", {"full_name": "--><style>*{display:none}</style></head><!--"})

    assert mail.html.count("<style") == 2
    assert mail.html.count("</head>") == 1


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_no_line_break_gets_into_a_subject(break_: str) -> None:
    data = {"lead_name": f"Ann{break_}Bcc: all@example.com"}

    assert show("new_lead", data).subject == "New lead: Ann Bcc: all@example.com"
    assert show("welcome", {"full_name": "A"}, f"Hi{break_}X: y").subject == "Hi X: y"


def test_the_rows_subject_goes_before_the_templates() -> None:
    assert show("welcome", {"full_name": "A"}, " {{ 7*7 }} é 🎉 ").subject == "{{ 7*7 }} é 🎉"
    assert show("welcome", {"full_name": "A"}, "  ").subject == "Welcome to Avivro"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "/\\evil.example",
        "https://",
        "https://x.example/ y",
        'https://x.example/"onclick=',
        "http://[::1",
        "relative",
        "https://x.example/" + HUGE,
    ],
)
def test_a_link_that_nobody_should_follow_makes_no_button(url: str) -> None:
    data = {"title": "T", "paragraphs": "P", "action_url": url, "action_label": "Go there"}

    mail = show("message", data)

    assert "<a " not in mail.html
    assert "Go there" not in mail.text


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://x.example/a?b=1&c=2", "https://x.example/a?b=1&amp;c=2"),
        ("mailto:help@example.com", "mailto:help@example.com"),
        ("/leads/1", "https://app.example/leads/1"),
    ],
)
def test_a_good_link_is_a_button_and_a_line_of_text(url: str, wanted: str) -> None:
    mail = show("message", {"title": "T", "message": "P", "action": {"url": url, "label": "Go"}})

    assert f'href="{wanted}"' in mail.html
    assert f"Go:\n{wanted.replace('&amp;', '&')}\n" in mail.text


def test_without_an_address_of_the_app_there_is_no_broken_button() -> None:
    mail = render("welcome", {"full_name": "A"}, subject=None, app_url="")

    assert "<a " not in mail.html
    assert "Create your first agent" not in mail.text


def test_a_button_leads_to_its_lead_whatever_the_id_holds() -> None:
    mail = show("new_lead", {"lead_name": "A", "lead_id": "../x?y#z"})

    assert 'href="https://app.example/leads/..%2Fx%3Fy%23z"' in mail.html


def test_people_are_shown_in_their_own_writing_and_direction() -> None:
    name = "مريم \u202eevil\u2066 👩‍🚀"

    mail = show("new_lead", {"lead_name": name})

    assert "مريم evil 👩‍🚀" in mail.subject
    assert '<h1 dir="auto"' in mail.html


def test_long_text_is_cut_and_says_so() -> None:
    mail = show("message", {"title": HUGE, "paragraphs": [HUGE] * 50})

    assert len(mail.subject) == 70
    assert "…" in mail.text
    assert len(mail.html) < 40_000


def test_the_largest_invoice_still_fits() -> None:
    line = {"description": "&" * 500, "amount": "123456789.12", "quantity": 1, "unit_price": "1"}

    mail = show("invoice", {"invoice_number": "1", "total": 1, "lines": [line] * 500})

    assert len(mail.html.encode()) <= HTML_BYTES_MAX


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (19.99, "USD", "$19.99"),
        (0.1 + 0.2, "USD", "$0.30"),
        ("1312.565", "eur", "€1,312.57"),
        (-5, "GBP", "-£5.00"),
        ("-0.001", "USD", "$0.00"),
        (1234.5, "JPY", "¥1,235"),
        ("1.2345", "KWD", "1.235 KWD"),
        ("999999999999.99", "CHF", "999,999,999,999.99 CHF"),
    ],
)
def test_money_reads_as_its_currency_is_written(amount: Any, currency: str, shown: str) -> None:
    mail = show("invoice", {"invoice_number": "7", "total": amount, "currency": currency})

    assert mail.subject == f"Invoice 7: {shown}"


@pytest.mark.parametrize("currency", ["EURO", "€", 7, "<b>"])
def test_a_currency_is_three_letters(currency: object) -> None:
    with pytest.raises(Permanent, match="template invoice: currency must be"):
        show("invoice", {"invoice_number": "7", "total": 1, "currency": currency})


def test_a_price_of_a_fraction_of_a_cent_keeps_it() -> None:
    assert formats.unit_price(Decimal("0.0025"), "USD") == "$0.0025"
    assert formats.unit_price(Decimal("49"), "USD") == "$49.00"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2025-02-06T23:30:00Z", "7 February 2025, 00:30 CET"),
        ("2025-02-06T23:30:00.123+00:00", "7 February 2025, 00:30 CET"),
        ("2025-02-06", "6 February 2025"),
        (1738884600, "7 February 2025, 00:30 CET"),
        (1738884600000, "7 February 2025, 00:30 CET"),
        ("next Monday", "next Monday"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_times_read_by_the_readers_clock(given: Any, shown: str) -> None:
    data = {"lead_name": "A", "follow_up_at": given, "time_zone": "Europe/Berlin"}

    assert f"Planned for: {shown}\n" in show("follow_up_reminder", data).text


@pytest.mark.parametrize("zone", ["Mars/Base", "../../etc/passwd", "", [], 7, "/etc/passwd", HUGE])
def test_an_unknown_time_zone_is_utc(zone: object) -> None:
    data = {"lead_name": "A", "follow_up_at": "2025-02-06T23:30:00Z", "time_zone": zone}

    assert "23:30 UTC" in show("follow_up_reminder", data).text


@pytest.mark.parametrize(
    ("used", "limit", "subject"),
    [
        (800, 1000, "80 % of your monthly messages are used"),
        (999, 1000, "99 % of your monthly messages are used"),
        (1000, 1000, "Message limit reached"),
        (0, 0, "Message limit reached"),
        ("812", "1000", "81 % of your monthly messages are used"),
    ],
)
def test_usage_says_how_much_and_never_rounds_up(used: Any, limit: Any, subject: str) -> None:
    data = {"monthly_messages_used": used, "monthly_message_limit": limit}

    assert show("usage_limit", data).subject == subject


def test_money_and_security_are_not_tracked() -> None:
    untracked = {name for name in known_templates() if not show(name, needed(name)).tracked}

    assert untracked == {"invoice", "trial_ending", "security_alert"}


def test_a_message_may_say_what_it_is() -> None:
    mail = show("message", {"title": "T", "message": "P", "category": ACCOUNT})

    assert (mail.category, mail.tracked) == (ACCOUNT, False)
    with pytest.raises(Permanent, match="category must be one of account, "):
        show("message", {"title": "T", "message": "P", "category": "ads"})
