"""The environment: what it may hold, and that .env.example tells all of it."""

import ast
import re
from pathlib import Path

import pytest

from workers import config, stack
from workers.config import ConfigError, read

ROOT = Path(config.__file__).parent.parent


def test_without_any_variable_everything_is_local() -> None:
    found = read({})

    assert (found.database_url, found.redis_url) == (None, None)
    assert found.embedding_model == "local"
    assert found.home == Path(".avivro").absolute()


def test_with_a_key_the_seeds_model_is_the_default() -> None:
    assert read({"OPENAI_API_KEY": "sk-x"}).embedding_model == "text-embedding-ada-002"


@pytest.mark.parametrize(
    ("env", "model"),
    [
        ({}, "local"),
        ({"OPENROUTER_API_KEY": "sk-or-x"}, "anthropic/claude-3.5-sonnet"),
        ({"VITE_OPENROUTER_API_KEY": "sk-or-x", "VITE_DEFAULT_AI_MODEL": "a/b"}, "a/b"),
        ({"OPENROUTER_API_KEY": "sk-or-x", "SENTIMENT_MODEL": "local"}, "local"),
        ({"VITE_DEFAULT_AI_MODEL": "a/b"}, "local"),
    ],
)
def test_the_web_tiers_key_and_model_judge_sentiment_unless_another_is_named(
    env: dict[str, str], model: str
) -> None:
    assert read(env).sentiment_model == model


def test_the_waits_before_a_webhooks_attempts_can_be_set() -> None:
    found = read({"WEBHOOK_RETRY_SCHEDULE_S": "0, 0.5,3", "WEBHOOK_TIMEOUT_S": "2.5"})

    assert found.webhook_retry_schedule_s == (0.0, 0.5, 3.0)
    assert found.webhook_timeout_s == 2.5


def test_the_direct_address_defaults_to_the_pooled_one() -> None:
    found = read({"DATABASE_URL": "postgresql://a/b"})

    assert found.database_direct_url == "postgresql://a/b"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://a/b"),
        ("DATABASE_DIRECT_URL", "a/b"),
        ("REDIS_URL", "localhost:6379"),
        ("OPENAI_BASE_URL", "api.openai.com"),
        ("EMBEDDING_MODEL", "text-embedding-3-small"),
        ("EMBEDDING_RPM", "0"),
        ("EMBEDDING_TPM", "1e6"),
        ("EMBEDDING_TRANSFER", "int8"),
        ("OPENROUTER_API_KEY", "sk or"),
        ("OPENROUTER_BASE_URL", "openrouter.ai"),
        ("SENTIMENT_MODEL", "openai/gpt-4o"),
        ("EGRESS_ALLOW", "http://intranet/"),
        ("SUPABASE_URL", "your-project"),
        ("VITE_SUPABASE_URL", "your-project"),
        ("JWT_SECRET", "short"),
        ("CREDENTIALS_KEY", "short"),
        ("LOG_FORMAT", "xml"),
        ("DASHBOARD_PORT", "http"),
        ("DASHBOARD_PORT", "65536"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("PUBLIC_URL", "workers.example.com"),
        ("LINK_SIGNING_KEY", "short"),
        ("LINK_SIGNING_KEY", f"{'long' * 8},short"),
        ("EMAIL_WEBHOOK_SECRET", "whsec_no base64!"),
        ("EMAIL_URL", "mail.example.com:25"),
        ("EMAIL_URL", "smtp://user:pa#ss@mail.example.com"),
        ("ALERT_EMAIL", "on call"),
        ("ALERT_WEBHOOK_URL", "hooks.example.com/x"),
        ("EMAIL_FROM", "Avivro"),
        ("EMAIL_FROM", "a@example.com, b@example.com"),
        ("WEBHOOK_RETRY_SCHEDULE_S", "0,-5"),
        ("WEBHOOK_RETRY_SCHEDULE_S", "0,,5"),
        ("WEBHOOK_RETRY_SCHEDULE_S", "0,nan"),
        ("WEBHOOK_RETRY_SCHEDULE_S", "0,9999999"),
        ("WEBHOOK_RETRY_SCHEDULE_S", ",".join("0" * 51)),
        ("WEBHOOK_TIMEOUT_S", "0"),
        ("WEBHOOK_TIMEOUT_S", "61"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        read({name: value})


def test_the_example_file_names_exactly_the_variables_that_are_read() -> None:
    source = (ROOT / "workers" / "config.py").read_text()
    constants = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    read_names = {
        node.value
        for node in constants
        if isinstance(node.value, str) and re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", node.value)
    }

    example = (ROOT / ".env.example").read_text()
    shown = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))

    # Constants are named alike; VITE_ names are second names, told beside the first.
    constant_names = {name for name in read_names if hasattr(config, name)}
    assert shown == {n for n in read_names - constant_names if not n.startswith("VITE_")}


@pytest.mark.parametrize("prefix", ["", "VITE_"])
def test_accounts_are_supabases_where_its_address_is_given(prefix: str) -> None:
    env = {f"{prefix}SUPABASE_URL": "https://p.supabase.co", f"{prefix}SUPABASE_ANON_KEY": "key"}

    auth = read(env).auth

    assert (auth.supabase_url, auth.supabase_anon_key) == ("https://p.supabase.co", "key")


def test_the_procfile_runs_what_up_runs() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    commands = dict(line.split(": avivro ", 1) for line in lines)

    assert commands == {
        "release": " ".join(stack.RELEASE),
        **{name: " ".join(arguments) for name, arguments in stack.PROCESSES.items()},
    }
