"""Counting in memory, and what is written of it for Prometheus."""

import threading

from prometheus_client.parser import text_string_to_metric_families

from db.metrics import Depth, Sample
from workers.exposition import Figures, expose
from workers.metrics import (
    ATTEMPTS,
    COUNTERS,
    DURATION,
    HISTOGRAMS,
    PROVIDER_TOKENS,
    RENEWALS,
    Tally,
)


def test_counts_add_up_by_labels() -> None:
    tally = Tally()

    tally.count(ATTEMPTS, "probe", "completed")
    tally.count(ATTEMPTS, "probe", "completed")
    tally.count(PROVIDER_TOKENS, "openai", "ada", by=512)

    assert tally.take() == {
        ("avivro_attempts_total", (("kind", "probe"), ("outcome", "completed"))): 2,
        ("avivro_provider_tokens_total", (("provider", "openai"), ("model", "ada"))): 512,
    }


def test_a_time_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    tally = Tally()

    for seconds in (0.005, 0.0051, 5000.0):
        tally.observe(DURATION, seconds, "probe")

    taken = tally.take()
    buckets = {dict(labels)["le"]: v for (name, labels), v in taken.items() if "bucket" in name}
    assert buckets == {"0.005": 1, "0.006": 1, "7200.0": 1}
    assert taken["avivro_job_duration_seconds_sum", (("kind", "probe"),)] == 5000.0101


def test_what_was_taken_is_not_taken_twice() -> None:
    tally = Tally()
    tally.count(RENEWALS, "worker", "ok")

    tally.take()

    assert tally.take() == {}


def test_what_could_not_be_stored_is_taken_again_with_what_came_since() -> None:
    tally = Tally()
    tally.count(RENEWALS, "worker", "ok")
    tally.give_back(tally.take())
    tally.count(RENEWALS, "worker", "ok")

    taken = tally.take()

    assert list(taken.values()) == [2]


def test_threads_lose_no_count() -> None:
    tally = Tally()

    def count() -> None:
        for _ in range(5_000):
            tally.count(ATTEMPTS, "probe", "completed")
            tally.observe(DURATION, 0.1, "probe")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    taken = tally.take()
    assert sorted(taken.values())[-2:] == [20_000, 20_000]


def test_a_histogram_is_shown_cumulated_with_its_count() -> None:
    tally = Tally()
    for seconds in (0.002, 0.002, 0.25):
        tally.observe(DURATION, seconds, "probe")

    samples = shown(totals_of(tally))

    assert samples["avivro_job_duration_seconds_bucket", "0.001"] == 0
    assert samples["avivro_job_duration_seconds_bucket", "0.1"] == 2
    assert samples["avivro_job_duration_seconds_bucket", "+Inf"] == 3
    assert ("avivro_job_duration_seconds_bucket", "0.006") not in samples
    assert samples["avivro_job_duration_seconds_count", None] == 3
    assert samples["avivro_job_duration_seconds_sum", None] == 0.254


def test_every_metric_is_shown_under_the_name_it_is_counted_by() -> None:
    text = expose(Figures([], {}, {}, [])).decode()

    for metric in (*COUNTERS, *HISTOGRAMS):
        assert f"# TYPE {metric.name} " in text


def test_kinds_without_jobs_are_zeros_and_not_gaps() -> None:
    text = expose(Figures([], {}, {}, [])).decode()

    assert 'avivro_jobs{kind="probe",queue="default",state="available"} 0.0' in text
    assert 'avivro_oldest_job_age_seconds{kind="probe",queue="default"} 0.0' in text
    assert 'avivro_processes{role="worker"} 0.0' in text


def test_the_oldest_age_is_the_longest_wait_of_any_state() -> None:
    depths = [
        Depth("default", "probe", "available", 3, 12.0),
        Depth("default", "probe", "dispatched", 1, 40.0),
        Depth("default", "probe", "running", 1, None),
    ]

    text = expose(Figures(depths, {}, {}, [])).decode()

    assert 'avivro_oldest_job_age_seconds{kind="probe",queue="default"} 40.0' in text


def totals_of(tally: Tally) -> list[Sample]:
    return [Sample(name, dict(labels), value) for (name, labels), value in tally.take().items()]


def shown(totals: list[Sample]) -> dict[tuple[str, str | None], float]:
    """Values by the name of the sample and its bound."""
    text = expose(Figures([], {}, {}, totals)).decode()
    return {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
