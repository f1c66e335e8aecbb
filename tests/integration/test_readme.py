"""The README's commands do what it says, word for word, against a real Triton and with the real curl."""

import io
import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
from PIL import Image
from segserve.contract import report_schema

from segserve_server.embedded import EmbeddedServer
from tests.integration.test_wire import noise_png

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLE = "examples/many_hemorrhages.jpg"


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def run_in(folder: Path, command: str) -> str:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("large", [False, True], ids=["0.4 MB", "10 MB"])
def test_the_curl_line_and_the_command_that_takes_the_answer_apart(
    server: EmbeddedServer, tmp_path: Path, large: bool
) -> None:
    send, take_apart = shell_blocks()
    assert EXAMPLE in send
    (tmp_path / "examples").mkdir()
    photograph = noise_png(2600, 2400) if large else (ROOT / EXAMPLE).read_bytes()
    assert (len(photograph) > 8_000_000) is large
    (tmp_path / EXAMPLE).write_bytes(photograph)
    run_in(tmp_path, send.replace("http://localhost:8000", server.http_url))
    said = run_in(tmp_path, take_apart)
    assert "report.json" in said
    assert "hemorrhage.png" in said
    jsonschema.validate(json.loads((tmp_path / "report.json").read_text("utf-8")), report_schema())
    with Image.open(tmp_path / "hemorrhage.png") as mask, Image.open(io.BytesIO(photograph)) as image:
        assert mask.size == image.size


def test_the_python_block(server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = python_blocks()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert "timeout_s=5)" in code
    # A shared machine may be slower than the deadline that suits a server of one's own.
    patient = code.replace("timeout_s=5)", "timeout_s=120)").replace("grpc://localhost:8001", server.grpc_url)
    exec(compile(patient, "README.md", "exec"), {})
    with Image.open("many_hemorrhages.overlay.png") as overlay, Image.open(ROOT / EXAMPLE) as image:
        assert overlay.size == image.size


def test_every_page_that_the_readme_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target
