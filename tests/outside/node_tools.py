"""The web tier's own programs, which .ci/install-tools puts beside its JavaScript."""

import os
import subprocess
from pathlib import Path

WEB_TIER = Path(__file__).parent / "web_tier"
PACKAGES = WEB_TIER / "node_modules"
# A program sees nothing of this machine's settings, and reports nothing to anyone.
QUIET = {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1", "NO_COLOR": "1"}


def find_program(pattern: str) -> str:
    found = sorted(PACKAGES.glob(pattern))
    assert found, f"tests/outside/web_tier/node_modules/{pattern} is missing: run .ci/install-tools"
    return str(found[0])


def run_program(
    *command: str, cwd: Path, stdin: str = "", timeout_s: float = 60, **env: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **QUIET, **env},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
