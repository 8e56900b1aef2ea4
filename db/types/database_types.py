"""Written by `make types` from the migrated database. Do not edit."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, Literal, NotRequired, TypedDict
from uuid import UUID

Json = Any
Address = IPv4Address | IPv6Address | IPv4Interface | IPv6Interface
AgentsTone = Literal["professional", "friendly", "casual", "formal", "empathetic"]
BillingTransactionsType = Literal["subscription", "overage", "one_time", "refund", "credit"]
ConversationsSource = Literal["website", "widget", "api", "mobile"]
ConversationsStatus = Literal["active", "resolved", "archived"]
ConversationsSentimentLabel = Literal["positive", "neutral", "negative"]
CorrectionsStatus = Literal["pending", "approved", "rejected", "applied"]
EmailLogsStatus = Literal[
    "queued",
    "sending",
    "sent",
    "failed",
    "uncertain",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
]
KnowledgeSourcesType = Literal["file", "url", "text", "api", "notion", "google_drive"]
KnowledgeSourcesStatus = Literal["pending", "processing", "completed", "failed"]
LeadsStatus = Literal["new", "contacted", "qualified", "converted", "lost"]
MessagesRole = Literal["user", "assistant", "system"]
MessagesSentimentLabel = Literal["positive", "neutral", "negative"]
NotificationsPriority = Literal["low", "normal", "high", "urgent"]
SentimentAnalysisLabel = Literal["positive", "neutral", "negative"]
SubscriptionHistoryTier = Literal["free", "starter", "professional", "enterprise"]
SubscriptionHistoryStatus = Literal["active", "cancelled", "past_due", "trialing"]
TrainingExamplesSource = Literal["manual", "correction", "conversation", "import"]
UsageLogsUsageType = Literal[
    "message", "conversation", "knowledge_chunk", "embedding", "api_call", "export"
]
UserProfilesSubscriptionTier = Literal["free", "starter", "professional", "enterprise"]
UserProfilesSubscriptionStatus = Literal["active", "cancelled", "past_due", "trialing"]
WebhookDeliveriesStatus = Literal[
    "pending", "delivered", "retrying", "failed", "blocked", "cancelled"
]


@dataclass(frozen=True, slots=True)
class ActivityLogsRow:
    id: UUID
    user_id: UUID | None
    action: str
    resource_type: str | None
    resource_id: UUID | None
    description: str | None
    changes: Json
    ip_address: Address | None
    user_agent: str | None
    created_at: datetime


class ActivityLogsInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: NotRequired[UUID | None]
    action: str
    resource_type: NotRequired[str | None]
    resource_id: NotRequired[UUID | None]
    description: NotRequired[str | None]
    changes: NotRequired[Json]
    ip_address: NotRequired[Address | str | None]
    user_agent: NotRequired[str | None]
    created_at: NotRequired[datetime]


class ActivityLogsUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID | None
    action: str
    resource_type: str | None
    resource_id: UUID | None
    description: str | None
    changes: Json
    ip_address: Address | str | None
    user_agent: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AgentsRow:
    id: UUID
    user_id: UUID
    name: str
    description: str | None
    avatar_url: str | None
    ai_model: str
    temperature: Decimal
    max_tokens: int
    system_prompt: str | None
    welcome_message: str | None
    tone: AgentsTone
    embedding_model: str | None
    enable_sentiment_analysis: bool
    enable_lead_capture: bool
    primary_color: str
    widget_position: str
    widget_size: str
    is_published: bool
    public_url: str | None
    embed_code: str | None
    total_conversations: int
    total_messages: int
    total_leads: int
    created_at: datetime
    updated_at: datetime


class AgentsInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: UUID
    name: str
    description: NotRequired[str | None]
    avatar_url: NotRequired[str | None]
    ai_model: NotRequired[str]
    temperature: NotRequired[Decimal | float]
    max_tokens: NotRequired[int]
    system_prompt: NotRequired[str | None]
    welcome_message: NotRequired[str | None]
    tone: NotRequired[AgentsTone]
    embedding_model: NotRequired[str | None]
    enable_sentiment_analysis: NotRequired[bool]
    enable_lead_capture: NotRequired[bool]
    primary_color: NotRequired[str]
    widget_position: NotRequired[str]
    widget_size: NotRequired[str]
    is_published: NotRequired[bool]
    public_url: NotRequired[str | None]
    embed_code: NotRequired[str | None]
    total_conversations: NotRequired[int]
    total_messages: NotRequired[int]
    total_leads: NotRequired[int]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class AgentsUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID
    name: str
    description: str | None
    avatar_url: str | None
    ai_model: str
    temperature: Decimal | float
    max_tokens: int
    system_prompt: str | None
    welcome_message: str | None
    tone: AgentsTone
    embedding_model: str | None
    enable_sentiment_analysis: bool
    enable_lead_capture: bool
    primary_color: str
    widget_position: str
    widget_size: str
    is_published: bool
    public_url: str | None
    embed_code: str | None
    total_conversations: int
    total_messages: int
    total_leads: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AnalyticsEventsRow:
    id: UUID
    agent_id: UUID
    event_type: str
    event_data: Json
    visitor_id: str | None
    session_id: str | None
    conversation_id: UUID | None
    ip_address: Address | None
    user_agent: str | None
    device_type: str | None
    browser: str | None
    os: str | None
    country: str | None
    city: str | None
    created_at: datetime


class AnalyticsEventsInsert(TypedDict):
    id: NotRequired[UUID]
    agent_id: UUID
    event_type: str
    event_data: NotRequired[Json]
    visitor_id: NotRequired[str | None]
    session_id: NotRequired[str | None]
    conversation_id: NotRequired[UUID | None]
    ip_address: NotRequired[Address | str | None]
    user_agent: NotRequired[str | None]
    device_type: NotRequired[str | None]
    browser: NotRequired[str | None]
    os: NotRequired[str | None]
    country: NotRequired[str | None]
    city: NotRequired[str | None]
    created_at: NotRequired[datetime]


class AnalyticsEventsUpdate(TypedDict, total=False):
    id: UUID
    agent_id: UUID
    event_type: str
    event_data: Json
    visitor_id: str | None
    session_id: str | None
    conversation_id: UUID | None
    ip_address: Address | str | None
    user_agent: str | None
    device_type: str | None
    browser: str | None
    os: str | None
    country: str | None
    city: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKeysRow:
    id: UUID
    user_id: UUID
    agent_id: UUID | None
    name: str
    key_hash: str = field(repr=False)
    key_prefix: str
    scopes: list[str]
    rate_limit_per_minute: int
    rate_limit_per_day: int
    is_active: bool
    total_requests: int
    last_used_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ApiKeysInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: UUID
    agent_id: NotRequired[UUID | None]
    name: str
    key_hash: str
    key_prefix: str
    scopes: NotRequired[list[str]]
    rate_limit_per_minute: NotRequired[int]
    rate_limit_per_day: NotRequired[int]
    is_active: NotRequired[bool]
    total_requests: NotRequired[int]
    last_used_at: NotRequired[datetime | None]
    expires_at: NotRequired[datetime | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class ApiKeysUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID
    agent_id: UUID | None
    name: str
    key_hash: str
    key_prefix: str
    scopes: list[str]
    rate_limit_per_minute: int
    rate_limit_per_day: int
    is_active: bool
    total_requests: int
    last_used_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class BillingTransactionsRow:
    id: UUID
    user_id: UUID | None
    type: BillingTransactionsType
    status: str
    amount: Decimal
    currency: str
    tax_amount: Decimal
    total_amount: Decimal
    payment_method: str | None
    payment_provider: str | None
    provider_transaction_id: str | None
    invoice_number: str | None
    invoice_url: str | None
    description: str | None
    created_at: datetime
    updated_at: datetime


class BillingTransactionsInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: NotRequired[UUID | None]
    type: BillingTransactionsType
    status: NotRequired[str]
    amount: Decimal | float
    currency: NotRequired[str]
    tax_amount: NotRequired[Decimal | float]
    total_amount: Decimal | float
    payment_method: NotRequired[str | None]
    payment_provider: NotRequired[str | None]
    provider_transaction_id: NotRequired[str | None]
    invoice_number: NotRequired[str | None]
    invoice_url: NotRequired[str | None]
    description: NotRequired[str | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class BillingTransactionsUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID | None
    type: BillingTransactionsType
    status: str
    amount: Decimal | float
    currency: str
    tax_amount: Decimal | float
    total_amount: Decimal | float
    payment_method: str | None
    payment_provider: str | None
    provider_transaction_id: str | None
    invoice_number: str | None
    invoice_url: str | None
    description: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ConversationsRow:
    id: UUID
    agent_id: UUID
    visitor_id: str
    visitor_name: str | None
    visitor_email: str | None
    visitor_phone: str | None
    visitor_ip: Address | None
    visitor_location: str | None
    visitor_metadata: Json
    source: ConversationsSource
    status: ConversationsStatus
    sentiment_score: Decimal | None
    sentiment_label: ConversationsSentimentLabel | None
    is_lead: bool
    lead_captured_at: datetime | None
    message_count: int
    duration_seconds: int
    created_at: datetime
    updated_at: datetime


class ConversationsInsert(TypedDict):
    id: NotRequired[UUID]
    agent_id: UUID
    visitor_id: NotRequired[str]
    visitor_name: NotRequired[str | None]
    visitor_email: NotRequired[str | None]
    visitor_phone: NotRequired[str | None]
    visitor_ip: NotRequired[Address | str | None]
    visitor_location: NotRequired[str | None]
    visitor_metadata: NotRequired[Json]
    source: NotRequired[ConversationsSource]
    status: NotRequired[ConversationsStatus]
    sentiment_score: NotRequired[Decimal | float | None]
    sentiment_label: NotRequired[ConversationsSentimentLabel | None]
    is_lead: NotRequired[bool]
    lead_captured_at: NotRequired[datetime | None]
    message_count: NotRequired[int]
    duration_seconds: NotRequired[int]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class ConversationsUpdate(TypedDict, total=False):
    id: UUID
    agent_id: UUID
    visitor_id: str
    visitor_name: str | None
    visitor_email: str | None
    visitor_phone: str | None
    visitor_ip: Address | str | None
    visitor_location: str | None
    visitor_metadata: Json
    source: ConversationsSource
    status: ConversationsStatus
    sentiment_score: Decimal | float | None
    sentiment_label: ConversationsSentimentLabel | None
    is_lead: bool
    lead_captured_at: datetime | None
    message_count: int
    duration_seconds: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CorrectionsRow:
    id: UUID
    agent_id: UUID
    message_id: UUID | None
    conversation_id: UUID | None
    original_response: str
    corrected_response: str
    reason: str | None
    correction_type: str | None
    status: CorrectionsStatus
    was_helpful: bool | None
    feedback_notes: str | None
    created_at: datetime
    updated_at: datetime


class CorrectionsInsert(TypedDict):
    id: NotRequired[UUID]
    agent_id: UUID
    message_id: NotRequired[UUID | None]
    conversation_id: NotRequired[UUID | None]
    original_response: str
    corrected_response: str
    reason: NotRequired[str | None]
    correction_type: NotRequired[str | None]
    status: NotRequired[CorrectionsStatus]
    was_helpful: NotRequired[bool | None]
    feedback_notes: NotRequired[str | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class CorrectionsUpdate(TypedDict, total=False):
    id: UUID
    agent_id: UUID
    message_id: UUID | None
    conversation_id: UUID | None
    original_response: str
    corrected_response: str
    reason: str | None
    correction_type: str | None
    status: CorrectionsStatus
    was_helpful: bool | None
    feedback_notes: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DailyStatsRow:
    id: UUID
    agent_id: UUID
    date: date
    total_conversations: int
    active_conversations: int
    avg_conversation_duration: Decimal | None
    total_messages: int
    user_messages: int
    assistant_messages: int
    avg_response_time_ms: Decimal | None
    total_leads: int
    conversion_rate: Decimal | None
    positive_sentiment_count: int
    neutral_sentiment_count: int
    negative_sentiment_count: int
    widget_opens: int
    unique_visitors: int
    returning_visitors: int
    total_tokens_used: int
    total_ai_cost: Decimal
    created_at: datetime
    updated_at: datetime


class DailyStatsInsert(TypedDict):
    id: NotRequired[UUID]
    agent_id: UUID
    date: date
    total_conversations: NotRequired[int]
    active_conversations: NotRequired[int]
    avg_conversation_duration: NotRequired[Decimal | float | None]
    total_messages: NotRequired[int]
    user_messages: NotRequired[int]
    assistant_messages: NotRequired[int]
    avg_response_time_ms: NotRequired[Decimal | float | None]
    total_leads: NotRequired[int]
    conversion_rate: NotRequired[Decimal | float | None]
    positive_sentiment_count: NotRequired[int]
    neutral_sentiment_count: NotRequired[int]
    negative_sentiment_count: NotRequired[int]
    widget_opens: NotRequired[int]
    unique_visitors: NotRequired[int]
    returning_visitors: NotRequired[int]
    total_tokens_used: NotRequired[int]
    total_ai_cost: NotRequired[Decimal | float]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class DailyStatsUpdate(TypedDict, total=False):
    id: UUID
    agent_id: UUID
    date: date
    total_conversations: int
    active_conversations: int
    avg_conversation_duration: Decimal | float | None
    total_messages: int
    user_messages: int
    assistant_messages: int
    avg_response_time_ms: Decimal | float | None
    total_leads: int
    conversion_rate: Decimal | float | None
    positive_sentiment_count: int
    neutral_sentiment_count: int
    negative_sentiment_count: int
    widget_opens: int
    unique_visitors: int
    returning_visitors: int
    total_tokens_used: int
    total_ai_cost: Decimal | float
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EmailLogsRow:
    id: UUID
    user_id: UUID | None
    to_email: str
    from_email: str | None
    subject: str | None
    email_type: str
    template_id: str | None
    template_data: Json
    status: EmailLogsStatus
    error_message: str | None
    provider: str | None
    provider_message_id: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    created_at: datetime
    updated_at: datetime


class EmailLogsInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: NotRequired[UUID | None]
    to_email: str
    from_email: NotRequired[str | None]
    subject: NotRequired[str | None]
    email_type: str
    template_id: NotRequired[str | None]
    template_data: NotRequired[Json]
    status: NotRequired[EmailLogsStatus]
    error_message: NotRequired[str | None]
    provider: NotRequired[str | None]
    provider_message_id: NotRequired[str | None]
    sent_at: NotRequired[datetime | None]
    delivered_at: NotRequired[datetime | None]
    opened_at: NotRequired[datetime | None]
    clicked_at: NotRequired[datetime | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class EmailLogsUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID | None
    to_email: str
    from_email: str | None
    subject: str | None
    email_type: str
    template_id: str | None
    template_data: Json
    status: EmailLogsStatus
    error_message: str | None
    provider: str | None
    provider_message_id: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class KnowledgeChunksRow:
    id: UUID
    source_id: UUID
    agent_id: UUID
    content: str
    tokens: int
    embedding: str | None
    embedding_model: str | None
    content_hash: str | None
    chunk_index: int
    metadata: Json
    created_at: datetime
    updated_at: datetime


class KnowledgeChunksInsert(TypedDict):
    id: NotRequired[UUID]
    source_id: UUID
    agent_id: UUID
    content: str
    tokens: NotRequired[int]
    embedding: NotRequired[str | list[float] | None]
    embedding_model: NotRequired[str | None]
    content_hash: NotRequired[str | None]
    chunk_index: int
    metadata: NotRequired[Json]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class KnowledgeChunksUpdate(TypedDict, total=False):
    id: UUID
    source_id: UUID
    agent_id: UUID
    content: str
    tokens: int
    embedding: str | list[float] | None
    embedding_model: str | None
    content_hash: str | None
    chunk_index: int
    metadata: Json
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class KnowledgeSourcesRow:
    id: UUID
    agent_id: UUID
    name: str
    type: KnowledgeSourcesType
    content: str | None
    url: str | None
    file_url: str | None
    file_name: str | None
    file_size: int | None
    file_type: str | None
    settings: Json
    status: KnowledgeSourcesStatus
    error_message: str | None
    progress: Json
    chunks_count: int
    tokens_count: int
    auto_sync: bool
    sync_frequency: str | None
    last_synced_at: datetime | None
    created_at: datetime
    updated_at: datetime
    parent_id: UUID | None


class KnowledgeSourcesInsert(TypedDict):
    id: NotRequired[UUID]
    agent_id: UUID
    name: str
    type: KnowledgeSourcesType
    content: NotRequired[str | None]
    url: NotRequired[str | None]
    file_url: NotRequired[str | None]
    file_name: NotRequired[str | None]
    file_size: NotRequired[int | None]
    file_type: NotRequired[str | None]
    settings: NotRequired[Json]
    status: NotRequired[KnowledgeSourcesStatus]
    error_message: NotRequired[str | None]
    progress: NotRequired[Json]
    chunks_count: NotRequired[int]
    tokens_count: NotRequired[int]
    auto_sync: NotRequired[bool]
    sync_frequency: NotRequired[str | None]
    last_synced_at: NotRequired[datetime | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]
    parent_id: NotRequired[UUID | None]


class KnowledgeSourcesUpdate(TypedDict, total=False):
    id: UUID
    agent_id: UUID
    name: str
    type: KnowledgeSourcesType
    content: str | None
    url: str | None
    file_url: str | None
    file_name: str | None
    file_size: int | None
    file_type: str | None
    settings: Json
    status: KnowledgeSourcesStatus
    error_message: str | None
    progress: Json
    chunks_count: int
    tokens_count: int
    auto_sync: bool
    sync_frequency: str | None
    last_synced_at: datetime | None
    created_at: datetime
    updated_at: datetime
    parent_id: UUID | None


@dataclass(frozen=True, slots=True)
class LeadsRow:
    id: UUID
    agent_id: UUID
    conversation_id: UUID | None
    name: str | None
    email: str | None
    phone: str | None
    company: str | None
    custom_fields: Json
    status: LeadsStatus
    score: int
    interest_level: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    assigned_to: UUID | None
    next_follow_up_at: datetime | None
    notes: str | None
    tags: list[str]
    created_at: datetime
    updated_at: datetime


class LeadsInsert(TypedDict):
    id: NotRequired[UUID]
    agent_id: UUID
    conversation_id: NotRequired[UUID | None]
    name: NotRequired[str | None]
    email: NotRequired[str | None]
    phone: NotRequired[str | None]
    company: NotRequired[str | None]
    custom_fields: NotRequired[Json]
    status: NotRequired[LeadsStatus]
    score: NotRequired[int]
    interest_level: NotRequired[str | None]
    utm_source: NotRequired[str | None]
    utm_medium: NotRequired[str | None]
    utm_campaign: NotRequired[str | None]
    assigned_to: NotRequired[UUID | None]
    next_follow_up_at: NotRequired[datetime | None]
    notes: NotRequired[str | None]
    tags: NotRequired[list[str]]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class LeadsUpdate(TypedDict, total=False):
    id: UUID
    agent_id: UUID
    conversation_id: UUID | None
    name: str | None
    email: str | None
    phone: str | None
    company: str | None
    custom_fields: Json
    status: LeadsStatus
    score: int
    interest_level: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    assigned_to: UUID | None
    next_follow_up_at: datetime | None
    notes: str | None
    tags: list[str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MessagesRow:
    id: UUID
    conversation_id: UUID
    role: MessagesRole
    content: str
    model: str | None
    tokens_used: int
    response_time_ms: int | None
    sentiment_score: Decimal | None
    sentiment_label: MessagesSentimentLabel | None
    was_corrected: bool
    correction_id: UUID | None
    feedback_rating: int | None
    created_at: datetime
    updated_at: datetime
    agent_id: UUID | None


class MessagesInsert(TypedDict):
    id: NotRequired[UUID]
    conversation_id: UUID
    role: MessagesRole
    content: str
    model: NotRequired[str | None]
    tokens_used: NotRequired[int]
    response_time_ms: NotRequired[int | None]
    sentiment_score: NotRequired[Decimal | float | None]
    sentiment_label: NotRequired[MessagesSentimentLabel | None]
    was_corrected: NotRequired[bool]
    correction_id: NotRequired[UUID | None]
    feedback_rating: NotRequired[int | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]
    agent_id: NotRequired[UUID | None]


class MessagesUpdate(TypedDict, total=False):
    id: UUID
    conversation_id: UUID
    role: MessagesRole
    content: str
    model: str | None
    tokens_used: int
    response_time_ms: int | None
    sentiment_score: Decimal | float | None
    sentiment_label: MessagesSentimentLabel | None
    was_corrected: bool
    correction_id: UUID | None
    feedback_rating: int | None
    created_at: datetime
    updated_at: datetime
    agent_id: UUID | None


@dataclass(frozen=True, slots=True)
class MonthlyUsageSummaryRow:
    id: UUID
    user_id: UUID
    year: int
    month: int
    total_messages: int
    total_conversations: int
    total_agents: int
    total_tokens: int
    total_ai_requests: int
    total_ai_cost: Decimal
    message_limit: int
    messages_remaining: int
    overage_messages: int
    created_at: datetime
    updated_at: datetime


class MonthlyUsageSummaryInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: UUID
    year: int
    month: int
    total_messages: NotRequired[int]
    total_conversations: NotRequired[int]
    total_agents: NotRequired[int]
    total_tokens: NotRequired[int]
    total_ai_requests: NotRequired[int]
    total_ai_cost: NotRequired[Decimal | float]
    message_limit: NotRequired[int]
    messages_remaining: NotRequired[int]
    overage_messages: NotRequired[int]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class MonthlyUsageSummaryUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID
    year: int
    month: int
    total_messages: int
    total_conversations: int
    total_agents: int
    total_tokens: int
    total_ai_requests: int
    total_ai_cost: Decimal | float
    message_limit: int
    messages_remaining: int
    overage_messages: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NotificationsRow:
    id: UUID
    user_id: UUID
    agent_id: UUID | None
    type: str
    title: str
    message: str
    priority: NotificationsPriority
    is_read: bool
    read_at: datetime | None
    action_url: str | None
    action_label: str | None
    created_at: datetime
    updated_at: datetime


class NotificationsInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: UUID
    agent_id: NotRequired[UUID | None]
    type: str
    title: str
    message: str
    priority: NotRequired[NotificationsPriority]
    is_read: NotRequired[bool]
    read_at: NotRequired[datetime | None]
    action_url: NotRequired[str | None]
    action_label: NotRequired[str | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class NotificationsUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID
    agent_id: UUID | None
    type: str
    title: str
    message: str
    priority: NotificationsPriority
    is_read: bool
    read_at: datetime | None
    action_url: str | None
    action_label: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SentimentAnalysisRow:
    id: UUID
    conversation_id: UUID
    message_id: UUID | None
    agent_id: UUID
    overall_score: Decimal
    label: SentimentAnalysisLabel
    confidence: Decimal | None
    emotions: Json
    topics: list[str]
    keywords: list[str]
    created_at: datetime
    updated_at: datetime
    judge: str | None


class SentimentAnalysisInsert(TypedDict):
    id: NotRequired[UUID]
    conversation_id: UUID
    message_id: NotRequired[UUID | None]
    agent_id: UUID
    overall_score: Decimal | float
    label: SentimentAnalysisLabel
    confidence: NotRequired[Decimal | float | None]
    emotions: NotRequired[Json]
    topics: NotRequired[list[str]]
    keywords: NotRequired[list[str]]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]
    judge: NotRequired[str | None]


class SentimentAnalysisUpdate(TypedDict, total=False):
    id: UUID
    conversation_id: UUID
    message_id: UUID | None
    agent_id: UUID
    overall_score: Decimal | float
    label: SentimentAnalysisLabel
    confidence: Decimal | float | None
    emotions: Json
    topics: list[str]
    keywords: list[str]
    created_at: datetime
    updated_at: datetime
    judge: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionHistoryRow:
    id: UUID
    user_id: UUID
    tier: SubscriptionHistoryTier
    status: SubscriptionHistoryStatus
    monthly_price: Decimal | None
    annual_price: Decimal | None
    billing_cycle: str | None
    started_at: datetime
    ended_at: datetime | None
    trial_ends_at: datetime | None
    cancelled_at: datetime | None
    cancellation_reason: str | None
    created_at: datetime
    updated_at: datetime


class SubscriptionHistoryInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: UUID
    tier: SubscriptionHistoryTier
    status: SubscriptionHistoryStatus
    monthly_price: NotRequired[Decimal | float | None]
    annual_price: NotRequired[Decimal | float | None]
    billing_cycle: NotRequired[str | None]
    started_at: NotRequired[datetime]
    ended_at: NotRequired[datetime | None]
    trial_ends_at: NotRequired[datetime | None]
    cancelled_at: NotRequired[datetime | None]
    cancellation_reason: NotRequired[str | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class SubscriptionHistoryUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID
    tier: SubscriptionHistoryTier
    status: SubscriptionHistoryStatus
    monthly_price: Decimal | float | None
    annual_price: Decimal | float | None
    billing_cycle: str | None
    started_at: datetime
    ended_at: datetime | None
    trial_ends_at: datetime | None
    cancelled_at: datetime | None
    cancellation_reason: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TrainingExamplesRow:
    id: UUID
    agent_id: UUID
    correction_id: UUID | None
    input: str
    expected_output: str
    category: str | None
    tags: list[str]
    source: TrainingExamplesSource
    quality_score: Decimal | None
    times_used: int
    success_rate: Decimal | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class TrainingExamplesInsert(TypedDict):
    id: NotRequired[UUID]
    agent_id: UUID
    correction_id: NotRequired[UUID | None]
    input: str
    expected_output: str
    category: NotRequired[str | None]
    tags: NotRequired[list[str]]
    source: NotRequired[TrainingExamplesSource]
    quality_score: NotRequired[Decimal | float | None]
    times_used: NotRequired[int]
    success_rate: NotRequired[Decimal | float | None]
    is_active: NotRequired[bool]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class TrainingExamplesUpdate(TypedDict, total=False):
    id: UUID
    agent_id: UUID
    correction_id: UUID | None
    input: str
    expected_output: str
    category: str | None
    tags: list[str]
    source: TrainingExamplesSource
    quality_score: Decimal | float | None
    times_used: int
    success_rate: Decimal | float | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class UsageLogsRow:
    id: UUID
    user_id: UUID | None
    agent_id: UUID | None
    usage_type: UsageLogsUsageType
    ai_model: str | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    unit_cost: Decimal
    total_cost: Decimal
    metadata: Json
    created_at: datetime


class UsageLogsInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: NotRequired[UUID | None]
    agent_id: NotRequired[UUID | None]
    usage_type: UsageLogsUsageType
    ai_model: NotRequired[str | None]
    prompt_tokens: NotRequired[int]
    completion_tokens: NotRequired[int]
    total_tokens: NotRequired[int]
    unit_cost: NotRequired[Decimal | float]
    total_cost: NotRequired[Decimal | float]
    metadata: NotRequired[Json]
    created_at: NotRequired[datetime]


class UsageLogsUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID | None
    agent_id: UUID | None
    usage_type: UsageLogsUsageType
    ai_model: str | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    unit_cost: Decimal | float
    total_cost: Decimal | float
    metadata: Json
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UserProfilesRow:
    id: UUID
    email: str | None
    full_name: str | None
    company_name: str | None
    avatar_url: str | None
    phone: str | None
    time_zone: str
    subscription_tier: UserProfilesSubscriptionTier
    subscription_status: UserProfilesSubscriptionStatus
    monthly_message_limit: int
    monthly_messages_used: int
    usage_period_start: date
    created_at: datetime
    updated_at: datetime
    billing_anchor_day: int


class UserProfilesInsert(TypedDict):
    id: UUID
    email: NotRequired[str | None]
    full_name: NotRequired[str | None]
    company_name: NotRequired[str | None]
    avatar_url: NotRequired[str | None]
    phone: NotRequired[str | None]
    time_zone: NotRequired[str]
    subscription_tier: NotRequired[UserProfilesSubscriptionTier]
    subscription_status: NotRequired[UserProfilesSubscriptionStatus]
    monthly_message_limit: NotRequired[int]
    monthly_messages_used: NotRequired[int]
    usage_period_start: NotRequired[date]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]
    billing_anchor_day: NotRequired[int]


class UserProfilesUpdate(TypedDict, total=False):
    id: UUID
    email: str | None
    full_name: str | None
    company_name: str | None
    avatar_url: str | None
    phone: str | None
    time_zone: str
    subscription_tier: UserProfilesSubscriptionTier
    subscription_status: UserProfilesSubscriptionStatus
    monthly_message_limit: int
    monthly_messages_used: int
    usage_period_start: date
    created_at: datetime
    updated_at: datetime
    billing_anchor_day: int


@dataclass(frozen=True, slots=True)
class WebhookDeliveriesRow:
    id: UUID
    webhook_id: UUID
    event_id: UUID
    event_type: str
    event_data: Json
    status: WebhookDeliveriesStatus
    http_status: int | None
    response_body: str | None
    error_message: str | None
    attempt_count: int
    next_retry_at: datetime | None
    delivered_at: datetime | None
    duration_ms: int | None
    created_at: datetime
    updated_at: datetime


class WebhookDeliveriesInsert(TypedDict):
    id: NotRequired[UUID]
    webhook_id: UUID
    event_id: NotRequired[UUID]
    event_type: str
    event_data: NotRequired[Json]
    status: NotRequired[WebhookDeliveriesStatus]
    http_status: NotRequired[int | None]
    response_body: NotRequired[str | None]
    error_message: NotRequired[str | None]
    attempt_count: NotRequired[int]
    next_retry_at: NotRequired[datetime | None]
    delivered_at: NotRequired[datetime | None]
    duration_ms: NotRequired[int | None]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class WebhookDeliveriesUpdate(TypedDict, total=False):
    id: UUID
    webhook_id: UUID
    event_id: UUID
    event_type: str
    event_data: Json
    status: WebhookDeliveriesStatus
    http_status: int | None
    response_body: str | None
    error_message: str | None
    attempt_count: int
    next_retry_at: datetime | None
    delivered_at: datetime | None
    duration_ms: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WebhooksRow:
    id: UUID
    user_id: UUID
    agent_id: UUID | None
    name: str
    url: str
    secret: str = field(repr=False)
    events: list[str]
    is_active: bool
    retry_failed: bool
    max_retries: int
    custom_headers: Json
    total_deliveries: int
    successful_deliveries: int
    failed_deliveries: int
    created_at: datetime
    updated_at: datetime


class WebhooksInsert(TypedDict):
    id: NotRequired[UUID]
    user_id: UUID
    agent_id: NotRequired[UUID | None]
    name: str
    url: str
    secret: NotRequired[str]
    events: NotRequired[list[str]]
    is_active: NotRequired[bool]
    retry_failed: NotRequired[bool]
    max_retries: NotRequired[int]
    custom_headers: NotRequired[Json]
    total_deliveries: NotRequired[int]
    successful_deliveries: NotRequired[int]
    failed_deliveries: NotRequired[int]
    created_at: NotRequired[datetime]
    updated_at: NotRequired[datetime]


class WebhooksUpdate(TypedDict, total=False):
    id: UUID
    user_id: UUID
    agent_id: UUID | None
    name: str
    url: str
    secret: str
    events: list[str]
    is_active: bool
    retry_failed: bool
    max_retries: int
    custom_headers: Json
    total_deliveries: int
    successful_deliveries: int
    failed_deliveries: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AgentDashboardSummaryRow:
    agent_id: UUID
    user_id: UUID
    name: str
    is_published: bool
    total_conversations: int
    total_messages: int
    total_leads: int
    active_conversations_count: int | None
    new_leads_last_7_days: int | None
    knowledge_sources_count: int | None
    pending_corrections_count: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PublishedAgentsRow:
    id: UUID | None
    name: str | None
    description: str | None
    avatar_url: str | None
    welcome_message: str | None
    tone: str | None
    enable_lead_capture: bool | None
    primary_color: str | None
    widget_position: str | None
    widget_size: str | None
    public_url: str | None


@dataclass(frozen=True, slots=True)
class RecentActivityRow:
    activity_type: str | None
    resource_id: UUID | None
    agent_id: UUID | None
    user_id: UUID | None
    agent_name: str | None
    title: str | None
    status: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class ConversationMatch:
    id: UUID | None
    agent_id: UUID | None
    visitor_id: str | None
    visitor_name: str | None
    visitor_email: str | None
    visitor_phone: str | None
    source: str | None
    status: str | None
    sentiment_score: Decimal | None
    sentiment_label: str | None
    is_lead: bool | None
    lead_captured_at: datetime | None
    message_count: int | None
    duration_seconds: int | None
    last_message: str | None
    created_at: datetime | None
    updated_at: datetime | None
    total_count: int | None


class AnalyzeSentimentArgs(TypedDict):
    text: str


class CancelModelChangeArgs(TypedDict):
    agent_id: UUID


class ChangeEmbeddingModelArgs(TypedDict):
    agent_id: UUID
    model: str


class CreateApiKeyArgs(TypedDict):
    name: str
    agent_id: NotRequired[UUID]
    scopes: NotRequired[list[str]]
    expires_at: NotRequired[datetime]


@dataclass(frozen=True, slots=True)
class CreateApiKeyRow:
    id: UUID | None
    key: str | None = field(repr=False)


class CreateNotificationArgs(TypedDict):
    user_id: UUID
    type: str
    title: str
    message: str
    agent_id: NotRequired[UUID]
    priority: NotRequired[str]


class EnqueueJobArgs(TypedDict):
    kind: str
    args: NotRequired[Json]
    tenant: NotRequired[UUID]
    unique_key: NotRequired[str]
    run_at: NotRequired[datetime]
    priority: NotRequired[int]
    on_conflict: NotRequired[str]


class EstimateReindexArgs(TypedDict):
    agent_id: UUID
    model: NotRequired[str]


@dataclass(frozen=True, slots=True)
class EstimateReindexRow:
    model: str | None
    chunks: int | None
    tokens: int | None
    chunks_kept: int | None
    chunks_recalled: int | None
    chunks_paid: int | None
    tokens_paid: int | None
    cost_usd: Decimal | None
    cost_usd_max: Decimal | None


class GetAgentAnalyticsArgs(TypedDict):
    agent_id: UUID
    start_date: NotRequired[datetime]
    end_date: NotRequired[datetime]


@dataclass(frozen=True, slots=True)
class GetAgentAnalyticsRow:
    total_conversations: int | None
    total_messages: int | None
    total_leads: int | None
    avg_sentiment: Decimal | None
    positive_count: int | None
    neutral_count: int | None
    negative_count: int | None
    avg_response_time: Decimal | None
    conversion_rate: Decimal | None


class GetConversationWithMessagesArgs(TypedDict):
    conversation_id: UUID


class GetCurrentUsageArgs(TypedDict):
    user_id: UUID


@dataclass(frozen=True, slots=True)
class GetCurrentUsageRow:
    messages_used: int | None
    messages_limit: int | None
    messages_remaining: int | None
    conversations_count: int | None
    agents_count: int | None
    leads_count: int | None
    storage_used_mb: Decimal | None


class GetDeliveryAttemptsArgs(TypedDict):
    delivery_id: UUID


@dataclass(frozen=True, slots=True)
class GetDeliveryAttemptsRow:
    attempt: int | None
    at: datetime | None
    http_status: int | None
    error_message: str | None
    duration_ms: int | None
    response_excerpt: str | None


class GetSyncHistoryArgs(TypedDict):
    source_id: UUID
    row_limit: NotRequired[int]


@dataclass(frozen=True, slots=True)
class GetSyncHistoryRow:
    id: int | None
    kind: str | None
    status: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error_message: str | None
    documents: int | None
    chunks_added: int | None
    chunks_kept: int | None
    chunks_removed: int | None
    tokens_embedded: int | None
    cost_usd: Decimal | None
    report: Json


class GetSyncStateArgs(TypedDict):
    source_id: UUID


@dataclass(frozen=True, slots=True)
class GetSyncStateRow:
    next_sync_at: datetime | None
    failures: int | None
    failing_since: datetime | None
    paused_at: datetime | None


class GetVisitorErasuresArgs(TypedDict):
    agent_id: UUID


@dataclass(frozen=True, slots=True)
class GetVisitorErasuresRow:
    id: UUID | None
    state: str | None
    requested_at: datetime | None
    finished_at: datetime | None
    counts: Json
    remains: Json


class GetWebhookHealthArgs(TypedDict):
    webhook_id: UUID


@dataclass(frozen=True, slots=True)
class GetWebhookHealthRow:
    state: str | None
    failing_since: datetime | None
    consecutive_failures: int | None
    next_attempt_at: datetime | None
    reason: str | None


class IncrementMessageUsageArgs(TypedDict):
    user_id: UUID


class KnowledgeChunkNeighboursArgs(TypedDict):
    chunk_id: UUID
    before: NotRequired[int]
    after: NotRequired[int]


@dataclass(frozen=True, slots=True)
class KnowledgeChunkNeighboursRow:
    id: UUID | None
    source_id: UUID | None
    content: str | None
    metadata: Json
    chunk_index: int | None
    distance: int | None


class LogActivityArgs(TypedDict):
    user_id: UUID
    action: str
    resource_type: NotRequired[str]
    resource_id: NotRequired[UUID]
    description: NotRequired[str]
    changes: NotRequired[Json]


class LogUsageArgs(TypedDict):
    user_id: UUID
    agent_id: UUID
    usage_type: str
    tokens: NotRequired[int]
    cost: NotRequired[Decimal | float]


class MatchKnowledgeChunksArgs(TypedDict):
    query_embedding: str | list[float]
    agent_id: UUID
    match_threshold: NotRequired[float]
    match_count: NotRequired[int]


@dataclass(frozen=True, slots=True)
class MatchKnowledgeChunksRow:
    id: UUID | None
    source_id: UUID | None
    content: str | None
    metadata: Json
    similarity: float | None


class RecordTrainingUseArgs(TypedDict):
    example_id: UUID
    succeeded: bool


class RecoverWebhookArgs(TypedDict):
    webhook_id: UUID
    since: datetime


class RedeliverWebhookArgs(TypedDict):
    delivery_id: UUID


class RedeliverWebhooksArgs(TypedDict):
    delivery_ids: list[UUID]


class RequestVisitorErasureArgs(TypedDict):
    agent_id: UUID
    visitor_id: NotRequired[str]
    email: NotRequired[str]


class RetryKnowledgeSourceArgs(TypedDict):
    source_id: UUID


class SearchConversationsArgs(TypedDict):
    agent_id: UUID
    search_term: NotRequired[str]
    status: NotRequired[str]
    start_date: NotRequired[datetime]
    end_date: NotRequired[datetime]
    limit: NotRequired[int]
    offset: NotRequired[int]


class SearchKnowledgeArgs(TypedDict):
    agent_id: UUID
    query_text: NotRequired[str]
    query_embedding: NotRequired[str | list[float]]
    match_count: NotRequired[int]
    match_threshold: NotRequired[float]
    source_ids: NotRequired[list[UUID]]
    metadata_filter: NotRequired[Json]
    lexical_weight: NotRequired[float]
    rrf_k: NotRequired[float]


@dataclass(frozen=True, slots=True)
class SearchKnowledgeRow:
    id: UUID | None
    source_id: UUID | None
    content: str | None
    metadata: Json
    score: float | None
    vector_rank: int | None
    similarity: float | None
    lexical_rank: int | None
    lexical_score: float | None
    matched_words: list[str] | None


class SendTestWebhookArgs(TypedDict):
    webhook_id: UUID


class SetSourceCredentialsArgs(TypedDict):
    source_id: UUID
    credentials: Json


class VerifyApiKeyArgs(TypedDict):
    key: str
    required_scope: NotRequired[str]


@dataclass(frozen=True, slots=True)
class VerifyApiKeyRow:
    is_valid: bool | None
    reason: str | None
    api_key_id: UUID | None
    user_id: UUID | None
    agent_id: UUID | None
    scopes: list[str] | None
    retry_after_s: int | None
