"""What the Overview says of the parts that a job passes through."""

from db.history import Call, CallTime
from workers.dashboard.path_strip import providers


def test_providers_are_told_with_how_slow_and_how_often_they_fail() -> None:
    calls = [Call("openai", "ok", 97), Call("openai", "transient", 3), Call("<b>", "ok", 1)]
    times = [CallTime("openai", "0.5", 90), CallTime("openai", "2.5", 10)]

    slow, plain = providers(calls, times)

    assert slow == "openai <b>100 calls</b>, p95 2.2 s, 3% failed"
    assert plain == "&lt;b&gt; <b>1 call</b>"


def test_calls_beyond_every_bound_have_no_made_up_time() -> None:
    (said,) = providers([Call("slow", "ok", 2)], [CallTime("slow", "+Inf", 2)])

    assert "p95 over" in said
