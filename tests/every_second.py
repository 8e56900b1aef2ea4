"""A scheduler process with a timetable of its own: a probe every second.

python -m tests.every_second DATABASE_URL
"""

import signal
import sys
import threading

from schedules.clock import serve
from schedules.timetable import Schedule
from workers import log
from workers.jobs import Probe

TIMETABLE = (Schedule("every second", Probe(), cron="every 1 s"),)

if __name__ == "__main__":
    log.begin()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    serve(sys.argv[1], stopped, timetable=TIMETABLE)
