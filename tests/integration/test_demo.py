"""``make demo`` leaves what the README promises."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
from PIL import Image
from segserve.contract import report_schema

ROOT = Path(__file__).parents[2]


def test_the_demo_writes_overlay_mask_and_report_of_every_example(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/demo.py"), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for photograph in sorted((ROOT / "examples").glob("*.jpg")):
        assert photograph.stem in done.stdout
        report = json.loads((tmp_path / f"{photograph.stem}.report.json").read_text("utf-8"))
        jsonschema.validate(report, report_schema())
        with (
            Image.open(photograph) as image,
            Image.open(tmp_path / f"{photograph.stem}.hemorrhage.png") as mask,
            Image.open(tmp_path / f"{photograph.stem}.overlay.png") as overlay,
        ):
            assert mask.size == overlay.size == image.size
