"""The doorway of `probe`."""

from pipelines.probe import run
from workers.actors import works
from workers.jobs import Probe
from workers.tools import Tools


@works(Probe)
def probe(job: Probe, tools: Tools) -> None:
    run(
        tools.db,
        sleep_ms=job.sleep_ms or 0,
        cpu_ms=job.cpu_ms or 0,
        fails=tools.try_number <= (job.fail_times or 0),
        effect=job.effect,
        crash=bool(job.crash),
    )
