"""The memory of one process: its children have limits of their own."""

import gc

import psutil

MEGABYTE = 1_000_000
# New objects before the collector looks for cycles. With Python's 700, hundreds of deliveries
# under way had it look all the time, at all modules too: half of their loop's time.
YOUNG_MAX = 50_000


def settle() -> None:
    """What is loaded stays as long as the process: no collection looks at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX)


def rss_bytes(pid: int) -> int:
    """0 when the process is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
