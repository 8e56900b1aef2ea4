"""What the platform can send: one row a template, and what its data may hold.

Rows of email_logs name a template and carry this data. A field that is not required may be
missing; fields that nobody knows are passed over. The texts are in templates/<name>.html.j2 and
.txt.j2.
"""

from dataclasses import dataclass

from pipelines.email import fields
from pipelines.email.fields import Field

# Security and money: never tracked, and nobody can unsubscribe from them.
ACCOUNT = "account"
ALERTS = "alerts"
LEADS = "leads"
DIGEST = "digest"
TIPS = "tips"
UPDATES = "updates"
CATEGORIES = (ACCOUNT, ALERTS, LEADS, DIGEST, TIPS, UPDATES)


@dataclass(frozen=True, slots=True)
class Template:
    """`subject` is a template too. `because` tells the reader why the mail came."""

    name: str
    subject: str
    category: str
    because: str
    fields: tuple[Field, ...]
    # Where the button leads unless the data says so: a path of the app, and {fields} in it.
    action_label: str | None = None
    action_path: str | None = None


FULL_NAME = Field(
    "full_name", fields.line, "whom to greet", also=("user_name", "first_name", "recipient_name")
)
COMMON = (
    Field("time_zone", fields.zone, "the reader's IANA time zone, UTC without"),
    Field(
        "action_url",
        fields.url,
        "where the button leads: a URL or a path of the app",
        also=("link",),
    ),
    Field("action_label", fields.line, "what the button says"),
)
AGENT_NAME = Field("agent_name", fields.line, "the agent that it is about", also=("agent",))
LEAD_COLUMNS = (
    Field("name", fields.line, "the lead", required=True, also=("lead_name", "email", "phone")),
    Field("email", fields.line, "the lead's address", also=("lead_email",)),
    Field("phone", fields.line, "the lead's telephone", also=("lead_phone",)),
    Field("company", fields.line, "where the lead works", also=("lead_company",)),
)
LEAD = (
    Field(
        "lead_name",
        fields.line,
        "the lead's name, or how else to call the lead",
        required=True,
        also=("name", "visitor_name", "lead_email", "email", "visitor_email"),
    ),
    Field("lead_email", fields.line, "address", also=("email", "visitor_email")),
    Field("lead_phone", fields.line, "telephone", also=("phone", "visitor_phone")),
    Field("lead_company", fields.line, "company", also=("company", "company_name")),
    Field("lead_id", fields.line, "leads.id, for the button", also=("id",)),
    Field("notes", fields.paragraphs, "what is known of the lead", also=("note", "message")),
    AGENT_NAME,
    FULL_NAME,
)

TEMPLATES = {
    template.name: template
    for template in (
        Template(
            "welcome",
            "Welcome to Avivro",
            TIPS,
            "you opened an Avivro account",
            (
                Field(
                    "full_name",
                    fields.line,
                    "whom to greet",
                    required=True,
                    also=("name", "user_name", "first_name"),
                ),
                Field("company_name", fields.line, "the user's company", also=("company",)),
                Field("trial_ends_at", fields.day, "when a trial ends", also=("trial_end",)),
            ),
            "Create your first agent",
            "/agents",
        ),
        Template(
            "new_lead",
            "{% if many %}{{ lead_count | number }} new leads"
            "{% else %}New lead: {{ lead_name | cut(40) }}{% endif %}"
            "{% if agent_name %} from {{ agent_name | cut(25) }}{% endif %}",
            LEADS,
            "your agent collects leads",
            (
                *LEAD,
                Field(
                    "lead_count",
                    fields.count,
                    "how many leads there are, of which some are listed",
                    also=("count",),
                ),
                Field("leads", fields.rows(*LEAD_COLUMNS), "leads, the newest first"),
                Field("captured_at", fields.moment, "when", also=("created_at",)),
                Field("source", fields.line, "where the lead came from"),
            ),
            "Open lead",
            "/leads/{lead_id}",
        ),
        Template(
            "usage_limit",
            "{% if reached %}Message limit reached{% else %}{{ percent | number }} % of your "
            "monthly messages are used{% endif %}",
            ALERTS,
            "your plan has a monthly message limit",
            (
                Field(
                    "messages_used",
                    fields.count,
                    "messages of this period",
                    required=True,
                    also=("used", "monthly_messages_used", "current_usage", "usage"),
                ),
                Field(
                    "messages_limit",
                    fields.count,
                    "messages that the plan allows",
                    required=True,
                    also=("limit", "monthly_message_limit", "message_limit"),
                ),
                Field("plan_name", fields.line, "the plan", also=("plan", "subscription_tier")),
                Field(
                    "resets_on",
                    fields.day,
                    "when the count begins anew",
                    also=("resets_at", "reset_date", "period_end"),
                ),
                FULL_NAME,
            ),
            "See plans",
            "/billing",
        ),
        Template(
            "webhook_disabled",
            "Webhook switched off: {{ webhook_name | cut(50) }}",
            ALERTS,
            "you own this webhook",
            (
                Field("webhook_name", fields.line, "the webhook", required=True, also=("name",)),
                Field("webhook_url", fields.line, "where it delivered to", also=("url",)),
                Field(
                    "reason",
                    fields.line,
                    "why it was switched off",
                    also=("error", "error_message", "disabled_reason"),
                ),
                Field("failing_since", fields.moment, "when it began to fail"),
                Field("webhook_id", fields.line, "webhooks.id", also=("id",)),
                FULL_NAME,
            ),
            "Open webhooks",
            "/webhooks",
        ),
        Template(
            "source_failed",
            "Could not index {{ source_name | cut(55) }}",
            ALERTS,
            "you own this agent's knowledge",
            (
                Field("source_name", fields.line, "the source", required=True, also=("name",)),
                Field("error_message", fields.line, "what went wrong", also=("error", "reason")),
                Field("source_type", fields.line, "text, url, file ...", also=("type",)),
                Field("source_id", fields.line, "knowledge_sources.id", also=("id",)),
                Field("failed_at", fields.moment, "when"),
                Field("last_synced_at", fields.moment, "the content that still serves"),
                AGENT_NAME,
                FULL_NAME,
            ),
            "Open knowledge",
            "/knowledge",
        ),
        Template(
            "weekly_digest",
            "Your week with Avivro: {{ conversations | number }} "
            "{{ conversations | noun('conversation') }}",
            DIGEST,
            "you get a summary every week",
            (
                Field(
                    "conversations",
                    fields.count,
                    "conversations of the week",
                    required=True,
                    also=("conversations_count", "total_conversations"),
                ),
                Field(
                    "messages", fields.count, "messages", also=("messages_count", "total_messages")
                ),
                Field(
                    "leads", fields.count, "leads", also=("leads_count", "total_leads", "new_leads")
                ),
                Field("previous_conversations", fields.count, "of the week before"),
                Field("previous_messages", fields.count, "of the week before"),
                Field("previous_leads", fields.count, "of the week before"),
                Field("positive_percent", fields.number, "conversations that went well, in %"),
                Field("period_start", fields.day, "the first day", also=("week_start", "start")),
                Field("period_end", fields.day, "the last day", also=("week_end", "end")),
                Field(
                    "agents",
                    fields.rows(
                        Field("name", fields.line, "the agent", True, ("agent_name",)),
                        Field("conversations", fields.count, "conversations"),
                        Field("leads", fields.count, "leads"),
                    ),
                    "agents, the busiest first",
                ),
                Field(
                    "questions",
                    fields.paragraphs,
                    "what visitors asked for, the most asked first",
                    also=("top_questions", "topics"),
                ),
                FULL_NAME,
            ),
            "Open analytics",
            "/analytics",
        ),
        Template(
            "follow_up_reminder",
            "{% if many %}{{ lead_count | number }} leads to follow up"
            "{% else %}Follow up with {{ lead_name | cut(55) }}{% endif %}",
            LEADS,
            "a follow-up was planned for this lead",
            (
                *LEAD,
                Field(
                    "follow_up_at",
                    fields.moment,
                    "when it was planned for",
                    also=("due_at", "due_on", "follow_up_date", "next_follow_up_at"),
                ),
                Field("lead_count", fields.count, "how many leads wait", also=("count",)),
                Field("leads", fields.rows(*LEAD_COLUMNS), "leads, the most urgent first"),
            ),
            "Open lead",
            "/leads/{lead_id}",
        ),
        Template(
            "trial_ending",
            "Your trial ends "
            "{% if days_left is none %}on {{ trial_ends_at | day | cut(40) }}"
            "{% elif days_left == 0 %}today{% elif days_left == 1 %}tomorrow"
            "{% else %}in {{ days_left | number }} days{% endif %}",
            ACCOUNT,
            "your account is on a trial",
            (
                Field(
                    "trial_ends_at",
                    fields.day,
                    "the last day",
                    required=True,
                    also=("trial_ends_on", "trial_end", "trial_end_date", "ends_at"),
                ),
                Field("days_left", fields.count, "whole days until then", also=("days_remaining",)),
                Field(
                    "plan_name",
                    fields.line,
                    "the plan that follows",
                    also=("plan", "subscription_tier"),
                ),
                Field("price", fields.number, "what it costs", also=("amount",)),
                Field("currency", fields.currency, "of the price, USD without"),
                Field("billing_cycle", fields.line, "month or year"),
                FULL_NAME,
            ),
            "Choose a plan",
            "/billing",
        ),
        Template(
            "invoice",
            "{% if paid_on %}Receipt{% else %}Invoice{% endif %} {{ invoice_number | cut(30) }}: "
            "{{ total | money(currency) }}",
            ACCOUNT,
            "an invoice was issued for your account",
            (
                Field(
                    "invoice_number",
                    fields.line,
                    "its number",
                    required=True,
                    also=("number", "invoice_id", "id"),
                ),
                Field(
                    "total",
                    fields.number,
                    "the whole amount, in units such as dollars",
                    required=True,
                    also=("amount", "amount_due", "total_amount"),
                ),
                Field("currency", fields.currency, "ISO 4217, USD without"),
                Field("subtotal", fields.number, "without tax"),
                Field("tax", fields.number, "tax", also=("tax_amount",)),
                Field("tax_label", fields.line, "such as VAT 19 %"),
                Field(
                    "issued_on",
                    fields.day,
                    "its date",
                    also=("issued_at", "invoice_date", "date", "created_at"),
                ),
                Field("due_on", fields.day, "when it is due", also=("due_at", "due_date")),
                Field("paid_on", fields.day, "when it was paid", also=("paid_at",)),
                Field("period_start", fields.day, "the first day billed"),
                Field("period_end", fields.day, "the last day billed"),
                Field(
                    "company_name", fields.line, "whom it is for", also=("company", "billing_name")
                ),
                Field(
                    "lines",
                    fields.rows(
                        Field("description", fields.line, "what", True, ("name", "title")),
                        Field("amount", fields.number, "what it costs", True, ("total",)),
                        Field("quantity", fields.number, "how many"),
                        Field("unit_price", fields.number, "what one costs", also=("price",)),
                    ),
                    "what was billed",
                    also=("items", "line_items"),
                ),
                Field(
                    "invoice_url",
                    fields.url,
                    "where to see it",
                    also=("hosted_invoice_url", "pdf_url", "invoice_pdf"),
                ),
                FULL_NAME,
            ),
            "View billing",
            "/billing",
        ),
        Template(
            "security_alert",
            "{{ title | cut(70) }}",
            ACCOUNT,
            "it concerns the security of your account",
            (
                Field(
                    "title", fields.line, "what happened", required=True, also=("heading", "event")
                ),
                Field(
                    "paragraphs",
                    fields.paragraphs,
                    "more of it",
                    also=("message", "body", "text", "description"),
                ),
                Field("happened_at", fields.moment, "when", also=("at", "created_at", "time")),
                Field("ip_address", fields.line, "from where", also=("ip",)),
                Field("location", fields.line, "about where that is"),
                Field("device", fields.line, "with what", also=("user_agent", "browser")),
                FULL_NAME,
            ),
            "Check your account",
            "/settings",
        ),
        Template(
            "message",
            "{{ title | cut(70) }}",
            UPDATES,
            "you have an Avivro account",
            (
                Field(
                    "title", fields.line, "the heading", required=True, also=("heading", "subject")
                ),
                Field(
                    "paragraphs",
                    fields.paragraphs,
                    "text, or a list of paragraphs",
                    required=True,
                    also=("message", "body", "text", "content"),
                ),
                Field("category", fields.line, "one of " + ", ".join(CATEGORIES)),
                FULL_NAME,
            ),
        ),
    )
}
