"""What readers work with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from db.fence import Fence
from pipelines.gateways.polite import Requester
from pipelines.gateways.storage import Storage
from pipelines.knowledge.sandbox import Parser
from pipelines.vault import Vault


def tell_nobody(done: int, total: int) -> None:
    """For readings whose progress nobody watches."""


@dataclass(frozen=True, slots=True)
class ReadingTools:
    """`files` is the folder of uploaded files, AVIVRO_HOME/files; `storage` Supabase's, if known.

    `client` waits for its turn at each host; `direct` does not: it is for providers that count by
    account, and would have all tenants wait for one. `db` is the job's; no transaction may be open
    while a reader waits for the network. `step` shows how many of how many documents are read.
    """

    db: Fence
    client: Requester
    parser: Parser
    files: Path
    step: Callable[[int, int], None] = tell_nobody
    vault: Vault = field(default_factory=Vault)
    storage: Storage | None = None
    direct: Requester | None = None

    def client_for(self, base_url: str | None) -> Requester:
        """Of a provider that counts by account; one elsewhere, at `base_url`, is any host."""
        return self.direct if base_url is None and self.direct else self.client
