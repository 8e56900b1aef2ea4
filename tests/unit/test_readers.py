"""Every type of knowledge source has its reader, its file and its line for customers."""

from pathlib import Path
from typing import get_args

from db.types.database_types import KnowledgeSourcesType
from pipelines import readers
from pipelines.readers import READERS

README = Path(readers.__file__).parents[2] / "README.md"


def test_the_database_and_the_readers_know_the_same_types() -> None:
    assert set(READERS) == set(get_args(KnowledgeSourcesType))


def test_each_type_is_read_by_the_file_of_its_name() -> None:
    files = {name: Path(readers.__file__).with_name(f"{name}.py") for name in READERS}

    assert {name for name, file in files.items() if not file.exists()} == set()
    assert {name for name in READERS if not READERS[name].__module__.endswith(f".{name}")} == set()


def test_each_type_has_its_line_in_the_readme() -> None:
    text = README.read_text()

    assert {name for name in READERS if f"\n| `{name}` |" not in text} == set()
