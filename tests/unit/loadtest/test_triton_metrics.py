"""Triton's counters, as version 2.51 prints them."""

import pytest

from loadtest.errors import LoadTestError
from loadtest.triton_metrics import fetch, parse, steps_between

PAGE = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="eye",version="1"}} {ensemble}
nv_inference_request_success{{model="eye_segment",version="1"}} {good}
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{{model="eye_segment",reason="OTHER",version="1"}} 1
nv_inference_request_failure{{model="eye_segment",reason="BACKEND",version="1"}} {bad}
# HELP nv_inference_count Number of inferences performed (does not include cached requests)
# TYPE nv_inference_count counter
nv_inference_count{{model="eye",version="1"}} {ensemble}
nv_inference_count{{model="eye_segment",version="1"}} {good}
# HELP nv_inference_exec_count Number of model executions performed (does not include cached requests)
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{{model="eye",version="1"}} {ensemble}
nv_inference_exec_count{{model="eye_segment",version="1"}} {executions}
# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{{model="eye_segment",version="1"}} {queue}
# HELP nv_inference_compute_infer_duration_us Cumulative compute inference duration in microseconds
# TYPE nv_inference_compute_infer_duration_us counter
nv_inference_compute_infer_duration_us{{model="eye_segment",version="1"}} {compute}
# HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{{model="eye_segment",version="1"}} 3
"""
BEFORE = PAGE.format(ensemble=10, good=10, bad=0, executions=10, queue=1000, compute=100_000)
AFTER = PAGE.format(ensemble=29, good=30, bad=2, executions=20, queue=41_000, compute=500_000)


def test_steps_are_the_difference_of_two_readings_per_request() -> None:
    (step,) = steps_between(parse(BEFORE), parse(AFTER))
    assert step.model == "eye_segment"
    assert (step.answered, step.failed) == (20, 2)
    assert step.queue_ms == pytest.approx(2.0)
    assert step.compute_ms == pytest.approx(20.0)
    assert step.batch == 2.0


def test_failures_of_all_reasons_are_added_up() -> None:
    assert parse(AFTER)["eye_segment"].failed == 3
    assert parse(AFTER)["eye_segment"].pending == 3


def test_an_idle_server_has_no_steps() -> None:
    assert steps_between(parse(AFTER), parse(AFTER)) == []


def test_a_page_that_is_not_there_is_an_error_with_its_address() -> None:
    with pytest.raises(LoadTestError, match=r"127\.0\.0\.1:1/"):
        fetch("http://127.0.0.1:1/metrics")
