"""The only reader of the environment: once, into a frozen Config."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from db.auth_settings import AuthSettings
from pipelines.email import keys, signature
from pipelines.email.address import parse_address
from pipelines.errors import Permanent
from pipelines.gateways.addresses import Egress
from pipelines.gateways.mail import read_route
from pipelines.sealing import parse_keys
from workers import admission
from workers.networks import Network, parse_networks

LOCAL = "local"
CHAT_MODEL = "anthropic/claude-3.5-sonnet"
SECRET_CHARS_MIN = 32
SENDER = "Avivro <no-reply@avivro.com>"
# Standard Webhooks' own plan, 75 h 35 min in all.
RETRY_WAITS_S = tuple(
    float(wait_s) for wait_s in (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
WEBHOOK_ATTEMPTS_MAX = 50
RECEIVER_S = 15.0
RECEIVER_S_MAX = 60.0
WAIT_S_MAX = 31 * 86_400.0
PER_MINUTE_MAX = 10**12

T = TypeVar("T")


class ConfigError(Exception):
    """A variable is bad; the message names it and shows a good one."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting. Names are those of the environment, in lower case."""

    home: Path
    database_url: str | None
    database_direct_url: str | None
    redis_url: str | None
    openai_api_key: str | None
    openai_base_url: str | None
    embedding_model: str
    embedding_rpm: int | None
    embedding_tpm: int | None
    embedding_transfer: str
    openrouter_api_key: str | None = field(repr=False)
    openrouter_base_url: str
    sentiment_model: str
    egress_allow: str
    supabase_url: str | None
    supabase_anon_key: str | None
    supabase_service_role_key: str | None = field(repr=False)
    credentials_key: str = field(repr=False)
    jwt_secret: str | None
    log_format: str | None
    dashboard_host: str
    dashboard_port: int
    dashboard_closed: frozenset[str]
    dashboard_trusted_proxies: tuple[Network, ...]
    dashboard_trusted_header: str | None
    dashboard_default_role: str | None
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret: str | None = field(repr=False)
    service_api_key: str | None = field(repr=False)
    otel_exporter_otlp_endpoint: str | None
    public_url: str | None
    link_signing_key: str | None = field(repr=False)
    email_url: str | None = field(repr=False)
    email_from: str
    email_webhook_secret: str | None = field(repr=False)
    webhook_retry_schedule_s: tuple[float, ...]
    webhook_timeout_s: float
    alert_email: str | None
    alert_webhook_url: str | None = field(repr=False)

    @property
    def auth(self) -> AuthSettings:
        """What `db.auth` needs: Supabase's address and key where given, else the secret."""
        return AuthSettings(self.supabase_url, self.supabase_anon_key, self.jwt_secret)


def load() -> Config:
    """Read the process' environment and, beneath it, a `.env` file in the working folder."""
    values = {name: value for name, value in dotenv_values(".env").items() if value}
    return read(values | {name: value for name, value in os.environ.items() if value})


def read(env: Mapping[str, str]) -> Config:
    """Raises ConfigError for a variable that cannot be used."""
    key = env.get("OPENAI_API_KEY")
    database_url = url(env, "DATABASE_URL", ("postgresql", "postgres"))
    return Config(
        home=Path(env.get("AVIVRO_HOME", ".avivro")).expanduser().absolute(),
        database_url=database_url,
        database_direct_url=url(env, "DATABASE_DIRECT_URL", ("postgresql", "postgres"))
        or database_url,
        redis_url=url(env, "REDIS_URL", ("redis", "rediss", "unix")),
        openai_api_key=key,
        openai_base_url=url(env, "OPENAI_BASE_URL", ("http", "https")),
        embedding_model=embedding_model(env, key),
        embedding_rpm=per_minute(env, "EMBEDDING_RPM"),
        embedding_tpm=per_minute(env, "EMBEDDING_TPM"),
        embedding_transfer=embedding_transfer(env),
        openrouter_api_key=openrouter_api_key(env),
        openrouter_base_url=url(env, "OPENROUTER_BASE_URL", ("http", "https"))
        or "https://openrouter.ai/api/v1",
        sentiment_model=sentiment_model(env),
        egress_allow=egress_allow(env),
        supabase_url=url(env, either(env, "SUPABASE_URL"), ("https", "http")),
        supabase_anon_key=env.get(either(env, "SUPABASE_ANON_KEY")),
        supabase_service_role_key=env.get(either(env, "SUPABASE_SERVICE_ROLE_KEY")),
        credentials_key=credentials_key(env),
        jwt_secret=jwt_secret(env),
        log_format=log_format(env),
        dashboard_host=env.get("DASHBOARD_HOST", "127.0.0.1"),
        dashboard_port=port(env, "DASHBOARD_PORT", default=8800),
        dashboard_closed=parsed(env, "DASHBOARD_CLOSED", admission.parse_closed),
        dashboard_trusted_proxies=parsed(env, "DASHBOARD_TRUSTED_PROXIES", parse_networks),
        dashboard_trusted_header=trusted_header(env),
        dashboard_default_role=parsed(env, "DASHBOARD_DEFAULT_ROLE", admission.parse_role),
        oidc_issuer=oidc_issuer(env),
        oidc_client_id=env.get("OIDC_CLIENT_ID"),
        oidc_client_secret=env.get("OIDC_CLIENT_SECRET"),
        service_api_key=env.get("SERVICE_API_KEY"),
        otel_exporter_otlp_endpoint=url(env, "OTEL_EXPORTER_OTLP_ENDPOINT", ("http", "https")),
        public_url=url(env, "PUBLIC_URL", ("https", "http")),
        link_signing_key=link_signing_key(env),
        email_url=email_url(env),
        email_from=address(env, "EMAIL_FROM") or SENDER,
        email_webhook_secret=email_webhook_secret(env),
        webhook_retry_schedule_s=retry_schedule_s(env),
        webhook_timeout_s=webhook_timeout_s(env),
        alert_email=address(env, "ALERT_EMAIL"),
        alert_webhook_url=url(env, "ALERT_WEBHOOK_URL", ("https", "http")),
    )


def url(env: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    value = env.get(name)
    if value is not None and not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ConfigError(f"{name} must begin with {schemes[0]}://, for example {EXAMPLES[name]}")
    return value


def either(env: Mapping[str, str], name: str) -> str:
    """The variable's name, or the web tier's own one for it where only that is set."""
    return name if name in env else f"VITE_{name}"


def jwt_secret(env: Mapping[str, str]) -> str | None:
    secret = env.get("JWT_SECRET")
    if secret is not None and len(secret) < SECRET_CHARS_MIN:
        raise ConfigError(
            f"JWT_SECRET has {len(secret)} characters, {SECRET_CHARS_MIN} are needed, for "
            "example from: openssl rand -hex 32"
        )
    return secret


def link_signing_key(env: Mapping[str, str]) -> str | None:
    """The keys as they stand there."""
    value = env.get("LINK_SIGNING_KEY")
    try:
        keys.parse_keys(value or "")
    except ValueError as error:
        raise ConfigError(f"LINK_SIGNING_KEY: {error}") from error
    return value


def email_url(env: Mapping[str, str]) -> str | None:
    value = env.get("EMAIL_URL")
    try:
        read_route(value, home=Path())
    except ValueError as error:
        raise ConfigError(f"EMAIL_URL: {error}; for example {EXAMPLES['EMAIL_URL']}") from error
    return value


def address(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name)
    try:
        if value is not None:
            parse_address(value)
    except Permanent as error:
        raise ConfigError(f"{name}: {error}; for example {EXAMPLES[name]}") from error
    return value


def email_webhook_secret(env: Mapping[str, str]) -> str | None:
    """The secrets as they stand there."""
    value = env.get("EMAIL_WEBHOOK_SECRET")
    try:
        signature.parse_secrets(value or "")
    except ValueError as error:
        raise ConfigError(f"EMAIL_WEBHOOK_SECRET: {error}") from error
    return value


def retry_schedule_s(env: Mapping[str, str]) -> tuple[float, ...]:
    """The wait before each attempt, the first one's too, in seconds."""
    value = env.get("WEBHOOK_RETRY_SCHEDULE_S")
    if value is None:
        return RETRY_WAITS_S
    waits_s = tuple(seconds(each) for each in value.split(","))
    if len(waits_s) > WEBHOOK_ATTEMPTS_MAX or None in waits_s:
        raise ConfigError(
            f"WEBHOOK_RETRY_SCHEDULE_S must be 1 to {WEBHOOK_ATTEMPTS_MAX} waits in seconds, "
            f"for example {EXAMPLES['WEBHOOK_RETRY_SCHEDULE_S']}"
        )
    return tuple(wait_s for wait_s in waits_s if wait_s is not None)


def webhook_timeout_s(env: Mapping[str, str]) -> float:
    value = env.get("WEBHOOK_TIMEOUT_S", str(RECEIVER_S))
    timeout_s = seconds(value)
    if timeout_s is None or not 0 < timeout_s <= RECEIVER_S_MAX:
        raise ConfigError(
            f"WEBHOOK_TIMEOUT_S must be above 0 and at most {RECEIVER_S_MAX:g} seconds, "
            f"for example {RECEIVER_S:g}"
        )
    return timeout_s


def seconds(text: str) -> float | None:
    """None for anything but a plain decimal number of a month's seconds at most."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text.strip()) is None:
        return None
    value = float(text)
    return value if value <= WAIT_S_MAX else None


def credentials_key(env: Mapping[str, str]) -> str:
    """The keys as they stand there; "" where there are none."""
    value = env.get("CREDENTIALS_KEY", "")
    try:
        parse_keys(value)
    except ValueError as error:
        raise ConfigError(f"CREDENTIALS_KEY: {error}") from error
    return value


def log_format(env: Mapping[str, str]) -> str | None:
    value = env.get("LOG_FORMAT")
    if value not in (None, "json", "text"):
        raise ConfigError(f"LOG_FORMAT is json or text, not {value}")
    return value


def port(env: Mapping[str, str], name: str, *, default: int) -> int:
    """0 lets the system choose one."""
    value = env.get(name, str(default))
    if not (value.isascii() and value.isdigit() and int(value) < 65_536):
        raise ConfigError(f"{name} must be a number from 0 to 65535, for example {default}")
    return int(value)


def parsed(env: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T:
    """Raises ConfigError that names the variable; unset reads as empty."""
    try:
        return parse(env.get(name, ""))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def trusted_header(env: Mapping[str, str]) -> str | None:
    name = parsed(env, "DASHBOARD_TRUSTED_HEADER", admission.parse_header)
    if name is not None and "DASHBOARD_TRUSTED_PROXIES" not in env:
        raise ConfigError(
            "DASHBOARD_TRUSTED_HEADER needs DASHBOARD_TRUSTED_PROXIES, or anybody could send it; "
            "for example 10.0.0.0/8"
        )
    return name


def oidc_issuer(env: Mapping[str, str]) -> str | None:
    """All three variables of it, or none; and it must know where to send people back to."""
    names = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")
    given = [name for name in names if name in env]
    if not given:
        return None
    if missing := [name for name in (*names, "PUBLIC_URL") if name not in env]:
        raise ConfigError(f"{given[0]} needs {missing[0]}, too, for example {EXAMPLES[missing[0]]}")
    issuer = url(env, "OIDC_ISSUER", ("https", "http"))
    assert issuer is not None
    host = urlsplit(issuer).hostname
    if issuer.startswith("http://") and host not in ("localhost", "127.0.0.1", "::1"):
        raise ConfigError(
            f"OIDC_ISSUER must begin with https://, for example {EXAMPLES['OIDC_ISSUER']}"
        )
    return issuer


def embedding_model(env: Mapping[str, str], key: str | None) -> str:
    model = env.get("EMBEDDING_MODEL") or ("text-embedding-ada-002" if key else LOCAL)
    if model != LOCAL and not key:
        raise ConfigError(
            f"EMBEDDING_MODEL={model} needs OPENAI_API_KEY; without a key use EMBEDDING_MODEL=local"
        )
    return model


def openrouter_api_key(env: Mapping[str, str]) -> str | None:
    name = either(env, "OPENROUTER_API_KEY")
    value = env.get(name)
    if value is not None and re.fullmatch(r"[!-~]+", value) is None:
        raise ConfigError(f"{name} holds spaces or other unusual characters")
    return value


def sentiment_model(env: Mapping[str, str]) -> str:
    """The web tier's model with a key, the local judge without."""
    key = openrouter_api_key(env)
    web_tiers = env.get("VITE_DEFAULT_AI_MODEL") or CHAT_MODEL
    model = env.get("SENTIMENT_MODEL") or (web_tiers if key else LOCAL)
    if model != LOCAL and not key:
        raise ConfigError(
            f"SENTIMENT_MODEL={model} needs OPENROUTER_API_KEY; without a key use "
            "SENTIMENT_MODEL=local"
        )
    return model


def per_minute(env: Mapping[str, str], name: str) -> int | None:
    """None leaves it to what the provider says of its limits."""
    value = env.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= PER_MINUTE_MAX):
        raise ConfigError(f"{name} must be a whole number above 0, for example {EXAMPLES[name]}")
    return int(value)


def embedding_transfer(env: Mapping[str, str]) -> str:
    value = env.get("EMBEDDING_TRANSFER", "base64")
    if value not in ("base64", "float"):
        raise ConfigError(f"EMBEDDING_TRANSFER is base64 or float, not {value}")
    return value


def egress_allow(env: Mapping[str, str]) -> str:
    value = env.get("EGRESS_ALLOW", "")
    try:
        Egress.parse(value)
    except ValueError as error:
        raise ConfigError(f"EGRESS_ALLOW: {error}") from error
    return value


EXAMPLES = {
    "ALERT_EMAIL": "on-call@example.com",
    "ALERT_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/secret",
    "DATABASE_URL": "postgresql://postgres:secret@db.example.com:5432/postgres",
    "DATABASE_DIRECT_URL": "postgresql://postgres:secret@db.example.com:5432/postgres",
    "REDIS_URL": "redis://localhost:6379/0",
    "EMBEDDING_RPM": "3000",
    "EMBEDDING_TPM": "1000000",
    "OPENAI_BASE_URL": "https://api.openai.com/v1",
    "OPENROUTER_BASE_URL": "https://openrouter.ai/api/v1",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318",
    "EMAIL_FROM": SENDER,
    "EMAIL_URL": "smtp://user:password@mail.example.com:587",
    "PUBLIC_URL": "https://workers.example.com",
    "OIDC_ISSUER": "https://login.example.com",
    "OIDC_CLIENT_ID": "avivro-dashboard",
    "OIDC_CLIENT_SECRET": "what the provider gave you",
    "WEBHOOK_RETRY_SCHEDULE_S": "0,5,300,1800",
    "SUPABASE_URL": "https://your-project.supabase.co",
    "VITE_SUPABASE_URL": "https://your-project.supabase.co",
}
