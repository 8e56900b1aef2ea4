"""Who a server runs as: the caller, or `nobody` where the caller is root and Postgres refuses."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.embedded.errors import EmbeddedError

UNPRIVILEGED = "nobody"
UNPRIVILEGED_ID = 65534


@dataclass(frozen=True)
class Account:
    """The ids a server runs under. None: those of the caller."""

    uid: int | None = None
    gid: int | None = None

    def popen_options(self) -> dict[str, Any]:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def own_tree(self, folder: Path) -> None:
        """Root may have copied the folder, or put it back from a backup."""
        if self.uid is None or folder.stat().st_uid == self.uid:
            return
        # The folder itself comes last: it tells whether all of it is done.
        for parent, _, names in os.walk(folder, topdown=False):
            for path in (*(Path(parent, name) for name in names), Path(parent)):
                os.chown(path, self.uid, -1, follow_symlinks=False)

    def admit(self, path: Path, *, mode: int) -> None:
        """Let the account use `path` through its group; the caller stays the owner."""
        if self.gid is not None:
            os.chown(path, -1, self.gid)
        path.chmod(mode)

    def check(self) -> None:
        """Raises EmbeddedError where a container keeps root from running as somebody else."""
        self.can_enter(Path("/"))

    def can_enter(self, folder: Path) -> bool:
        """Ask the system, not the mode bits: access lists and mounts have a say too."""
        if self.uid is None:
            return True
        test = ["/bin/sh", "-c", 'test -x "$0"', str(folder)]
        try:
            return subprocess.run(test, **self.popen_options(), cwd="/").returncode == 0
        except OSError as error:
            raise EmbeddedError(
                "Postgres refuses to run as root, and root may not become the user `nobody` here: "
                f"{error.strerror}. Run Avivro as an ordinary user, or set DATABASE_URL to a "
                "Postgres of your own."
            ) from error


def postgres_account() -> Account:
    """Postgres refuses to run as root, so there it runs as `nobody`."""
    if os.geteuid() != 0:
        return Account()
    try:
        nobody = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return Account(UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    return Account(nobody.pw_uid, nobody.pw_gid)
