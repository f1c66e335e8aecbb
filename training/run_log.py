"""A run's log: one JSON object per line, each with its step."""

import json
from itertools import pairwise
from pathlib import Path

FILE_NAME = "log.jsonl"
Record = dict[str, float | int]


def read_log(path: Path) -> list[Record]:
    """The records, oldest first; a last line that a kill cut short is left out, a missing file has none."""
    if not path.exists():
        return []
    records: list[Record] = []
    for line in path.read_text("utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def append_record(path: Path, record: Record) -> None:
    """Add one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def trained_seconds(records: list[Record]) -> float:
    """Time spent in steps, over all pieces of a run that was stopped: each piece counts its seconds from 0."""
    seconds = [float(record["seconds"]) for record in records if "seconds" in record]
    return sum(now for now, after in pairwise([*seconds, 0.0]) if after < now)


def rewind_log(path: Path, step: int) -> None:
    """Drop what lies after ``step``: a run that goes on from its checkpoint will write it again."""
    kept = [record for record in read_log(path) if record["step"] <= step]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
