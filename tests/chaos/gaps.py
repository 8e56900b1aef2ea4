"""The gaps that tests/crashing cuts, from the test's side."""

import os
from pathlib import Path

from tests.processes import ROOT


class Gaps:
    """Signals wait in a folder for the process that reaches their gap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.env = {
            "PYTHONPATH": f"{ROOT / 'tests' / 'crashing'}{os.pathsep}{ROOT}",
            "CRASH_FOLDER": str(folder),
        }

    def cut(self, gap: str, number: int) -> None:
        """The next process to reach it gets the signal there; its command a negative one."""
        written = self.folder.with_suffix(".new")
        written.write_text(str(int(number)))
        written.rename(self.folder / gap)

    def are_cut(self) -> bool:
        """Whether every one was reached."""
        return not list(self.folder.iterdir())
