"""What readers work with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from db.fence import Fence
from pipelines.gateways.http import Client
from pipelines.knowledge.sandbox import Parser


def tell_nobody(done: int, total: int) -> None:
    """For readings whose progress nobody watches."""


@dataclass(frozen=True, slots=True)
class ReadingTools:
    """`files` is the folder of uploaded files, AVIVRO_HOME/files.

    `db` is the job's; no transaction may be open while a reader waits for the network. `step` shows
    how many of how many documents have been read.
    """

    db: Fence
    client: Client
    parser: Parser
    files: Path
    step: Callable[[int, int], None] = tell_nobody
