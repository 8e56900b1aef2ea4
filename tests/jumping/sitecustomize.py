"""A wall clock that jumps: an hour ahead in one second, an hour back in the next.

Python imports a module of this name at its start, so every command of a test that puts this
folder on PYTHONPATH lives by this clock.
"""

import time

HOUR_S = 3600.0
true_time = time.time


def jumping_time() -> float:
    is_ahead = int(time.monotonic()) % 2 == 0
    return true_time() + (HOUR_S if is_ahead else -HOUR_S)


time.time = jumping_time
