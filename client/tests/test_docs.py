"""The code of docs/sdk.md runs, block after block, as a reader would type it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from segserve.testing import FakeServer, example_image

PAGE = Path(__file__).parents[2] / "docs" / "sdk.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_page_has_code() -> None:
    assert len(BLOCKS) >= 9


def test_the_blocks_of_the_sdk_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("eye.jpg", "other_eye.jpg", "photographs/a.jpg", "photographs/sub/b.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(example_image())
    # The page's servers are these; all else is as it stands there.
    monkeypatch.setattr("segserve._core.open_transport", FakeServer().connect)
    names: dict[str, object] = {"pixels": np.zeros((30, 40, 3), np.uint8)}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    saved = {path.name for path in (tmp_path / "results").iterdir()}
    assert saved >= {"eye.report.json", "eye.overlay.png", "eye.hemorrhage.png", "a.report.json", "b.report.json"}


def test_the_documentation_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=PAGE.parents[1],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    reference = (tmp_path / "site" / "api" / "index.html").read_text("utf-8")
    assert 'id="segserve.Client.segment_many"' in reference
    assert "ServerFaultError" in reference
