"""Migrations take no lock that a live system would feel, as squawk judges it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from db.migrate import MIGRATIONS

SQUAWK = Path(sys.executable).with_name("squawk")

# Rules we do not follow anywhere, and why.
EXCLUDED_RULES = {
    "prefer-bigint-over-int": "counters of one agent, conversation or month; ids are uuid, and"
    " the ones that are numbers are bigint",
    "prefer-bigint-over-smallint": "a rating has six values",
    "require-lock-timeout": "the runner sets it for every file, to 4 s",
    "require-statement-timeout": "it would end a long validation half-way; what others wait for"
    " is bounded by the lock timeout",
}
# Places where a rule is broken knowingly: the table is made in this release, so it is empty.
# worker.jobs too: nobody but our own processes waits for it, and they wait well.
# A key that is widened cannot be broken by what is there; it is checked in one go.
# Tenants with a weight are few: their check is changed and validated in one go.
# A summary of block ranges is built in a third of a second for two million rows.
# A numeric that gets more digits before the point is not rewritten.
# Marks of days were read by nobody yet: their table is emptied and takes another shape.
# Only functions that the same file replaces called the one it drops; the table it drops is a view
# of the same name from then on.
EXCEPTIONS = {
    ("anchor_periods", "ban-drop-function"),
    ("close_idle_conversations", "require-concurrent-index-creation"),
    ("expire_api_keys", "require-concurrent-index-creation"),
    ("remind_users", "require-concurrent-index-creation"),
    ("keep_history", "require-concurrent-index-creation"),
    ("group_errors", "require-concurrent-index-creation"),
    ("change_models", "ban-drop-constraint"),
    ("change_models", "constraint-missing-not-valid"),
    ("change_models", "disallowed-unique-constraint"),
    ("close_billing_periods", "require-concurrent-index-creation"),
    ("create_corrections_and_training_tables", "adding-foreign-key-constraint"),
    ("create_corrections_and_training_tables", "constraint-missing-not-valid"),
    ("create_corrections_and_training_tables", "require-concurrent-index-creation"),
    ("create_schedules", "require-concurrent-index-creation"),
    ("create_metrics", "require-concurrent-index-creation"),
    ("define_days", "changing-column-type"),
    ("deliver_webhooks", "require-concurrent-index-creation"),
    ("extend_knowledge", "require-concurrent-index-creation"),
    ("watch_health", "require-concurrent-index-creation"),
    ("index_domain_pages", "require-concurrent-index-creation"),
    ("index_domain_pages", "require-concurrent-index-deletion"),
    ("extend_worker_jobs", "adding-field-with-default"),
    ("extend_worker_jobs", "require-concurrent-index-creation"),
    ("extend_worker_jobs", "require-concurrent-index-deletion"),
    ("guard_dashboard", "adding-field-with-default"),
    ("guard_dashboard", "require-concurrent-index-creation"),
    ("score_sentiment", "require-concurrent-index-creation"),
    ("score_sentiment", "require-concurrent-index-deletion"),
    ("price_usage", "require-concurrent-index-creation"),
    ("tell_usage_once", "ban-drop-function"),
    ("price_usage", "ban-drop-table"),
    ("fill_message_agents", "require-concurrent-index-creation"),
    ("fill_message_agents", "require-concurrent-index-deletion"),
    ("mark_moments", "adding-required-field"),
    ("mark_moments", "ban-drop-column"),
    ("mark_moments", "require-concurrent-index-creation"),
    ("mark_visitors", "ban-drop-function"),
    ("note_who_paused", "ban-drop-constraint"),
    ("note_who_paused", "constraint-missing-not-valid"),
    ("note_who_paused", "require-concurrent-index-creation"),
}


def test_migrations_keep_the_rules() -> None:
    findings = judge(MIGRATIONS)

    broken = {(name, rule) for name, rule in findings if rule not in EXCLUDED_RULES}
    assert broken == EXCEPTIONS


def test_every_excluded_rule_is_still_needed() -> None:
    findings = judge(MIGRATIONS)

    assert EXCLUDED_RULES.keys() - {rule for _, rule in findings} == set()


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX later ON public.messages (role)", "require-concurrent-index-creation"),
        ("ALTER TABLE public.messages ADD CHECK (true)", "constraint-missing-not-valid"),
        ("ALTER TABLE public.messages ALTER role TYPE varchar(9)", "changing-column-type"),
        ("ALTER TABLE public.messages ALTER model SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE public.messages DROP COLUMN model", "ban-drop-column"),
    ],
)
def test_a_later_migration_with_a_long_lock_would_be_found(
    tmp_path: Path, statement: str, rule: str
) -> None:
    (tmp_path / "20300101000001_lock.sql").write_text(f"{statement};\n")

    findings = judge(tmp_path)

    assert ("lock", rule) in findings


def judge(folder: Path) -> set[tuple[str, str]]:
    """What squawk finds, as (migration, rule)."""
    result = subprocess.run(
        [
            str(SQUAWK),
            "--assume-in-transaction",
            "--pg-version=15",
            "--reporter=json",
            *map(str, sorted(folder.glob("*.sql"))),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(result.stdout)
    return {(Path(each["file"]).stem.partition("_")[2], each["rule_name"]) for each in found}
