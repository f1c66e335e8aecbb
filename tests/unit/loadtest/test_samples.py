"""Figures over requests, and the file they are kept in."""

from pathlib import Path

import pytest

from loadtest.errors import LoadTestError
from loadtest.run import window_of
from loadtest.samples import Burst, Outcome, Sample, percentile, read_records, summarise, to_line


def make_samples() -> list[Sample]:
    ok = [Sample("grpc", 100.0 + i, 10.0 * (i + 1), Outcome.OK) for i in range(10)]
    rejected = Sample("http", 110.0, 3.0, Outcome.REJECTED, "full")
    failed = Sample("http", 111.0, 4.0, Outcome.FAILED, "broken")
    return [*ok, rejected, failed]


@pytest.mark.parametrize(("percent", "value"), [(50, 5.0), (95, 10.0), (99, 10.0), (10, 1.0), (0, 1.0)])
def test_percentile_is_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([float(v) for v in range(10, 0, -1)], percent) == value


def test_percentile_of_nothing_is_zero() -> None:
    assert percentile([], 95) == 0.0


def test_latency_counts_good_answers_only_and_rejections_are_not_failures() -> None:
    summary = summarise(make_samples(), seconds=5.0)
    assert (summary.ok, summary.rejected, summary.failed) == (10, 1, 1)
    assert summary.rate_per_s == 2.0
    assert (summary.p50_ms, summary.p95_ms) == (50.0, 100.0)
    assert summary.rejection_p95_ms == 3.0
    assert summary.error_fraction == pytest.approx(2 / 12)


def test_window_makes_ten_images_at_one_second_intervals_one_a_second() -> None:
    assert window_of(make_samples()[:10]) == pytest.approx(10.0)


def test_records_survive_their_file(tmp_path: Path) -> None:
    burst = Burst(started_s=1.0, seconds=0.5, images=10, failed=1)
    path = tmp_path / "records.jsonl"
    path.write_text("".join([*(to_line(sample) for sample in make_samples()), to_line(burst)]), "utf-8")
    assert read_records(path) == (make_samples(), [burst])


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"kind": "Sample", "protocol": "grpc"}\n', "utf-8")
    with pytest.raises(LoadTestError, match=r"records\.jsonl"):
        read_records(path)
