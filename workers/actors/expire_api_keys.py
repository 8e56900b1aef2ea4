"""The doorway of `expire_api_keys`."""

from typing import Any

from pipelines.expire_api_keys import run
from workers.actors import works
from workers.jobs import ExpireApiKeys
from workers.tools import Tools


@works(ExpireApiKeys)
def expire_api_keys(job: ExpireApiKeys, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
