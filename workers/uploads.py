"""Files handed in on this machine, under AVIVRO_HOME/files."""

import shutil
from pathlib import Path
from uuid import uuid4

FOLDER = "files"


def store(path: Path, home: Path) -> str:
    """Copy a file in; the `file_url` that a source of type `file` names it by."""
    name = f"{uuid4().hex}{path.suffix.lower()}"
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / name)
    return f"{FOLDER}/{name}"
