"""The code of docs/wire-contract.md works against a real Triton, word for word."""

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image
from segserve.contract import geometry_schema, report_schema
from segserve.testing import example_image

from segserve_server.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wire-contract.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def check(report: dict[str, Any], masks: dict[str, bytes]) -> None:
    jsonschema.validate(report, report_schema())
    assert list(masks) == [each["name"] for each in report["classes"]] == ["hemorrhage"]
    with Image.open(io.BytesIO(masks["hemorrhage"])) as mask:
        assert mask.size == (report["image"]["width"], report["image"]["height"]) == (858, 570)


def test_the_http_client_of_the_page(server: EmbeddedServer) -> None:
    names: dict[str, Any] = {}
    exec(compile(blocks("python")[0], "wire-contract.md", "exec"), names)
    port = server.ports.http
    check(*names["segment"]("127.0.0.1", port, "fundus_hemorrhage", example_image(), timeout_s=120))
    with pytest.raises(RuntimeError, match=r"^400: in ensemble 'fundus_hemorrhage', the image is empty"):
        names["segment"]("127.0.0.1", port, "fundus_hemorrhage", b"", timeout_s=120)


def test_the_grpc_client_of_the_page(server: EmbeddedServer) -> None:
    names: dict[str, Any] = {}
    exec(compile(blocks("python")[1], "wire-contract.md", "exec"), names)
    check(
        *names["segment_over_grpc"](
            f"127.0.0.1:{server.ports.grpc}", "fundus_hemorrhage", example_image(), timeout_s=120
        )
    )


def test_the_curl_line_of_the_page(server: EmbeddedServer, tmp_path: Path) -> None:
    (tmp_path / "eye.jpg").write_bytes(example_image())
    command = blocks("sh")[0].replace("http://localhost:8000", server.http_url)
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True, capture_output=True)
    headers = (tmp_path / "headers").read_text()
    length = int(re.search(r"Inference-Header-Content-Length: (\d+)", headers)[1])  # type: ignore[index]
    assert b'"REPORT"' in (tmp_path / "answer").read_bytes()[:length]


def test_the_documents_of_the_page_fit_the_schemas() -> None:
    documents = [json.loads(block.replace('"..."', f'"{"0" * 64}"')) for block in blocks("json")]
    jsonschema.validate(documents[0], report_schema())
    jsonschema.validate(documents[1], geometry_schema())
