"""A nightly job over a folder: results beside a journal, so that an interrupted job goes on where it was.

python batch_folder.py grpc://gpu01:8001 photographs/ results/
"""

# ruff: noqa: T201

import sys
from pathlib import Path

from segserve import Client, SegserveError


def process(client: Client, photographs: Path, results: Path, *, progress: bool = True) -> tuple[int, int]:
    """Segment every image of a folder; returns how many succeeded and failed this time."""
    succeeded = failed = 0
    journal = results / "journal.jsonl"
    for item in client.segment_many(photographs, concurrency=8, journal=journal, progress=progress):
        if item.result is None:
            failed += 1
            print(f"{item.name}: {item.error}", file=sys.stderr)
            continue
        succeeded += 1
        folder = results / Path(item.name).parent.relative_to(photographs)
        item.result.save(folder, overlay=False)
    return succeeded, failed


def main() -> int:
    """Run from the command line."""
    url, photographs, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with Client(url, model="fundus_hemorrhage", timeout_s=60) as client:
        try:
            client.wait_ready(timeout_s=120)
            succeeded, failed = process(client, photographs, results)
        except SegserveError as error:
            print(f"cannot go on: {error}", file=sys.stderr)
            return 3
    print(f"{succeeded} segmented, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
