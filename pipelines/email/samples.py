"""What each template is previewed with: made-up people, plausible figures."""

from typing import Any

LEADS = [
    {"name": "Amara Okafor", "email": "amara@lagoonhotels.example", "company": "Lagoon Hotels"},
    {"name": "Jonas Lindqvist", "email": "jonas@nordljus.example", "phone": "+46 8 555 01 23"},
    {"name": "李小龍", "email": "lee@harbour.example"},
    {"name": "مريم حداد", "email": "maryam@souk.example", "company": "سوق النور"},
]

# The name of a picture, its template and its data.
SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "welcome": ("welcome", {"full_name": "Jane Doe"}),
    "new_lead": (
        "new_lead",
        {
            "lead_name": "Amara Okafor",
            "lead_email": "amara@lagoonhotels.example",
            "lead_phone": "+234 1 555 0199",
            "lead_company": "Lagoon Hotels",
            "agent_name": "Concierge",
            "captured_at": "2025-02-06T14:05:00Z",
            "notes": "Wants rooms for a team of twelve in May.\nAsked twice about breakfast.",
            "lead_id": "0b8f4c1e-2f65-4d38-9a5c-6f3f7f0a4a11",
        },
    ),
    "new_lead_many": (
        "new_lead",
        {"lead_name": "Amara Okafor", "agent_name": "Concierge", "lead_count": 27, "leads": LEADS},
    ),
    "usage_limit_80": (
        "usage_limit",
        {
            "messages_used": 8_120,
            "messages_limit": 10_000,
            "resets_on": "2025-03-01",
            "plan_name": "Growth",
            "full_name": "Jane Doe",
        },
    ),
    "usage_limit_100": (
        "usage_limit",
        {"messages_used": 10_000, "messages_limit": 10_000, "resets_on": "2025-03-01"},
    ),
    "webhook_disabled": (
        "webhook_disabled",
        {
            "webhook_name": "CRM sync",
            "url": "https://hooks.crm.example/v2/incoming/avivro?team=concierge",
            "reason": "timeout: the receiver did not answer within 15 s",
            "failing_since": "2025-02-03T08:12:00Z",
            "full_name": "Jane Doe",
        },
    ),
    "source_failed": (
        "source_failed",
        {
            "source_name": "https://lagoonhotels.example/rooms",
            "source_type": "url",
            "agent_name": "Concierge",
            "error_message": "The page answered 404: it does not exist any more.",
            "failed_at": "2025-02-06T14:05:00Z",
            "last_synced_at": "2025-01-30T03:00:00Z",
        },
    ),
    "weekly_digest": (
        "weekly_digest",
        {
            "full_name": "Jane Doe",
            "period_start": "2025-01-27",
            "period_end": "2025-02-02",
            "conversations": 1_284,
            "previous_conversations": 1_102,
            "messages": 9_310,
            "previous_messages": 9_310,
            "leads": 46,
            "previous_leads": 58,
            "positive_percent": 87.5,
            "agents": [
                {"name": "Concierge", "conversations": 903, "leads": 41},
                {"name": "مساعد المتجر", "conversations": 381, "leads": 5},
            ],
            "questions": ["Is breakfast included?", "When is check-in?", "هل يوجد موقف سيارات؟"],
        },
    ),
    "follow_up_reminder": (
        "follow_up_reminder",
        {
            "lead_name": "Jonas Lindqvist",
            "lead_email": "jonas@nordljus.example",
            "lead_phone": "+46 8 555 01 23",
            "agent_name": "Concierge",
            "follow_up_at": "2025-02-06T15:30:00+01:00",
            "time_zone": "Europe/Stockholm",
            "notes": "Send the offer for the conference room.",
            "full_name": "Jane Doe",
        },
    ),
    "trial_ending": (
        "trial_ending",
        {
            "trial_ends_at": "2025-02-09",
            "days_left": 3,
            "plan_name": "Growth",
            "price": "49.00",
            "currency": "EUR",
            "billing_cycle": "month",
            "full_name": "Jane Doe",
        },
    ),
    "invoice": (
        "invoice",
        {
            "invoice_number": "AV-2025-0042",
            "total": "1312.57",
            "subtotal": "1103.00",
            "tax": "209.57",
            "tax_label": "VAT 19 %",
            "currency": "EUR",
            "issued_on": "2025-02-01",
            "due_on": "2025-02-15",
            "period_start": "2025-01-01",
            "period_end": "2025-01-31",
            "company_name": "Lagoon Hotels",
            "lines": [
                {"description": "Growth plan", "quantity": 1, "unit_price": 49, "amount": 49},
                {
                    "description": "Messages beyond the plan",
                    "quantity": 421_600,
                    "unit_price": "0.0025",
                    "amount": "1054.00",
                },
            ],
        },
    ),
    "security_alert": (
        "security_alert",
        {
            "title": "A new API key was created",
            "message": "The key “Nightly export” may read conversations and leads.",
            "happened_at": "2025-02-06T14:05:00Z",
            "ip_address": "203.0.113.24",
            "location": "Lisbon, Portugal",
            "device": "Firefox on Windows",
            "full_name": "Jane Doe",
        },
    ),
    "message": (
        "message",
        {
            "title": "Maintenance on Sunday night",
            "paragraphs": [
                "On 9 February between 02:00 and 02:20 UTC we move to new database servers.",
                "Your agents go on answering. New knowledge is indexed a few minutes later.",
            ],
            "action_label": "Follow the status",
            "action_url": "https://status.avivro.example/",
            "full_name": "Jane Doe",
        },
    ),
}
