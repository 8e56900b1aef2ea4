"""Logs go to standard error: standard output belongs to what a command answers."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"


def begin(*, verbose: bool = False) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format=FORMAT,
        datefmt="%H:%M:%S",
        force=True,
    )
    # Dramatiq and the pool report what we report ourselves, in terms of jobs.
    for name in ("dramatiq", "psycopg.pool", "apscheduler"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("httpx", "openai", "asyncio", "urllib3", "wordllama"):
        logging.getLogger(name).setLevel(logging.WARNING)
