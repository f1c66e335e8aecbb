"""Every engine that needs no GPU is built of the shipped model, and passes its gates on the example photographs."""

import json
from pathlib import Path

import pytest

from build_engines.cli import PASSED, main
from segserve_server.engines.machine import this_machine
from segserve_server.engines.openvino import NO_BFLOAT16, has_bfloat16
from segserve_server.repository.manifest import Target, check_engines
from tests.support.repository import copy_shipped_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped repository without what may have been built in it."""
    return copy_shipped_repository(tmp_path_factory.mktemp("shipped"))


@pytest.mark.parametrize(
    ("target", "precision", "runs_here"),
    [
        pytest.param("openvino", "bf16", True, marks=pytest.mark.skipif(not has_bfloat16(), reason=NO_BFLOAT16)),
        ("openvino", "f32", True),
        ("openvino", "int8", True),
        ("onnxruntime", "fp32", True),
        ("onnxruntime", "fp16", True),
        ("tensorrt-rtx", "fp16", False),
    ],
)
def test_the_shipped_model_builds(
    repository: Path, tmp_path: Path, target: str, precision: str, *, runs_here: bool
) -> None:
    command = ["build", "fundus_hemorrhage", "--target", target, "--precision", precision]
    assert main([*command, "--repository", str(repository), "--report", str(tmp_path)]) == PASSED
    assert (tmp_path / "parity.html").is_file() == runs_here
    if runs_here:
        assert json.loads((tmp_path / "parity.json").read_text())["passed"]
    assert check_engines(repository, frozenset(Target), this_machine()) == []
