"""The doorway of `close_billing_period`."""

from typing import Any

from pipelines.close_billing_period import run
from workers.actors import works
from workers.jobs import CloseBillingPeriod
from workers.tools import Tools


@works(CloseBillingPeriod)
def close_billing_period(job: CloseBillingPeriod, tools: Tools) -> dict[str, Any]:
    return run(tools.db, user_id=job.user_id)
