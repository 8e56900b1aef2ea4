"""What readers work with."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.gateways.http import Client
from pipelines.knowledge.sandbox import Parser


@dataclass(frozen=True, slots=True)
class ReadingTools:
    """`files` is the folder of uploaded files, AVIVRO_HOME/files."""

    client: Client
    parser: Parser
    files: Path
