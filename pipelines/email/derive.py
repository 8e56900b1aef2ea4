"""What a template prints that its data does not say outright."""

from decimal import ROUND_DOWN, Decimal
from typing import Any
from urllib.parse import quote

from pipelines.email.formats import day, money
from pipelines.email.registry import Template

LEADS_LISTED_MAX = 10
CURRENCY = "USD"
Values = dict[str, Any]


def derive(template: Template, values: Values, app_url: str) -> Values:
    """The values, and what follows from them. Pure."""
    own = OWN.get(template.name, nothing)(values)
    return own_action(template, values | own, app_url)


def nothing(values: Values) -> Values:
    return {}


def of_leads(values: Values) -> Values:
    """One lead is shown in full, many as a list; `unlisted` of them are not on it."""
    listed = values["leads"] or ()
    count = max(int(values["lead_count"] or 1), len(listed))
    return {
        "lead_email": None if values["lead_email"] == values["lead_name"] else values["lead_email"],
        "leads": listed[:LEADS_LISTED_MAX],
        "lead_count": Decimal(count),
        "many": count > 1,
        "unlisted": Decimal(count - min(len(listed), LEADS_LISTED_MAX)),
    }


def of_usage(values: Values) -> Values:
    """Rounded down: 99.9 % is not yet the limit."""
    used, limit = values["messages_used"], values["messages_limit"]
    percent = 100 * used / limit if limit else Decimal(100)
    return {
        "percent": percent.quantize(Decimal(1), rounding=ROUND_DOWN),
        "bar_percent": min(100, int(percent)),
        "reached": used >= limit,
        "left": max(limit - used, Decimal(0)),
    }


def of_week(values: Values) -> Values:
    figures = [
        {"label": label, "count": values[name], "change": change(values, name)}
        for name, label in (
            ("conversations", "Conversations"),
            ("messages", "Messages"),
            ("leads", "Leads"),
        )
        if values[name] is not None
    ]
    return {"figures": figures}


def change(values: Values, name: str) -> str | None:
    """Compared with the week before; from nothing there is no percentage."""
    now, before = values[name], values[f"previous_{name}"]
    if not before:
        return None
    percent = round(100 * (now - before) / before)
    return f"+{percent} %" if percent > 0 else f"−{-percent} %" if percent < 0 else "no change"


def of_trial(values: Values) -> Values:
    currency = values["currency"] or CURRENCY
    price = values["price"]
    cycle = f" a {values['billing_cycle']}" if values["billing_cycle"] else ""
    told = None if price is None else money(price, currency) + cycle
    return {"currency": currency, "price_text": told}


def of_invoice(values: Values) -> Values:
    start, end = values["period_start"], values["period_end"]
    return {
        "currency": values["currency"] or CURRENCY,
        "period": f"{day(start)} to {day(end)}" if start and end else None,
    }


OWN = {
    "new_lead": of_leads,
    "follow_up_reminder": of_leads,
    "usage_limit": of_usage,
    "weekly_digest": of_week,
    "trial_ending": of_trial,
    "invoice": of_invoice,
}


def own_action(template: Template, values: Values, app_url: str) -> Values:
    """What the data wants the button to be, else what the template has. Both parts or none."""
    url = values["action_url"] or values.get("invoice_url") or app_page(template, values, app_url)
    return values | {
        "action_url": url,
        "action_label": values["action_label"] or label(template, values),
    }


def label(template: Template, values: Values) -> str:
    if values.get("many"):
        return "Open leads"
    if values.get("invoice_url") and not values["action_url"]:
        return "View invoice"
    return template.action_label or "Open Avivro"


def app_page(template: Template, values: Values, app_url: str) -> str | None:
    if not (app_url and template.action_path):
        return None
    lead = None if values.get("many") else values.get("lead_id")
    path = template.action_path.format(lead_id=quote(lead or "", safe=""))
    return app_url.rstrip("/") + path.rstrip("/")
