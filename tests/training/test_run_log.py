"""A run's log survives kills, and counts the time of all pieces."""

from pathlib import Path

from training.run_log import append_record, read_log, rewind_log, trained_seconds


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_record(path, {"step": 1, "loss": 2.0})
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_log(path) == [{"step": 1, "loss": 2.0}]


def test_rewinding_drops_what_will_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for step in (1, 2, 3):
        append_record(path, {"step": step})
    rewind_log(path, 2)
    assert read_log(path) == [{"step": 1}, {"step": 2}]


def test_a_run_without_a_log_has_no_records(tmp_path: Path) -> None:
    assert read_log(tmp_path / "log.jsonl") == []


def test_the_time_of_all_pieces_counts() -> None:
    records = [{"step": i, "seconds": s} for i, s in enumerate((10.0, 20.0, 5.0, 15.0, 25.0))]
    assert trained_seconds(records) == 45.0
    assert trained_seconds([]) == 0.0
