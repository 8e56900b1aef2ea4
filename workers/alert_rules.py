"""When a finding becomes an alert, and when it is over. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from db.alerts import Calm, Sign
from workers.finding import Finding

MINUTE_S = 60.0
HOUR_S = 3_600.0
WAITS_S = (15.0, 30.0, 60.0, 120.0, 300.0)
# What an operator stopped on purpose is told of only where it seems to be forgotten.
FORGOTTEN_S = 24 * HOUR_S
GRACES_S: Mapping[str, float] = {
    "paused": FORGOTTEN_S,
    "dispatcher-behind": 2 * MINUTE_S,
    "queue-age": 2 * MINUTE_S,
    "schedules-late": 2 * MINUTE_S,
    "uncertain-mails": 10 * MINUTE_S,
}

CALM = Calm(calm_s=MINUTE_S, calm_s_max=15 * MINUTE_S, flap_s=HOUR_S)


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient the watchdog is, in seconds.

    `grace_s` for what `graces_s` does not name, by runbook. `away_s`: how long Postgres may be
    away until each watchdog says so by itself. `gap_s`: a sign unseen for longer begins anew.
    """

    every_s: float = 15.0
    grace_s: float = MINUTE_S
    graces_s: Mapping[str, float] = field(default_factory=lambda: GRACES_S)
    calm: Calm = CALM
    away_s: float = 2 * MINUTE_S
    gap_s: float = MINUTE_S


def sign(finding: Finding, rules: Rules) -> Sign:
    return Sign(
        key=finding.key,
        level=finding.level,
        title=finding.title,
        evidence=finding.evidence,
        advice=finding.do,
        runbook=finding.runbook,
        grace_s=rules.graces_s.get(finding.runbook, rules.grace_s),
    )


def wait_s(attempts: int) -> float:
    """Until a message that could not be sent so often is tried again."""
    return WAITS_S[min(attempts, len(WAITS_S)) - 1]
