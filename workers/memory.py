"""The resident memory of one process: its children have limits of their own."""

import psutil

MEGABYTE = 1_000_000


def rss_bytes(pid: int) -> int:
    """0 when the process is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
