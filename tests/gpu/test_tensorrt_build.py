"""Plans built on this GPU, compared with FP32 on the example photographs."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from build_engines.cli import PASSED, main
from build_engines.targets.engine import OnnxRuntimeEngine
from build_engines.targets.tensorrt import open_tensorrt
from segserve_server.engines.machine import this_machine
from segserve_server.repository.manifest import Target, check_engines, manifest_path, misfits, read_manifest

SEGMENT = Path("fundus_hemorrhage_segment") / "1"


def _build(repository: Path, report: Path, precision: str, *switches: str) -> int:
    command = ["build", "fundus_hemorrhage", "--target", "tensorrt", "--precision", precision]
    return main([*command, "--repository", str(repository), "--report", str(report), *switches])


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_plan_builds_passes_its_gates_and_fits_this_machine(repository: Path, tmp_path: Path, precision: str) -> None:
    assert _build(repository, tmp_path, precision) == PASSED
    plan = repository / SEGMENT / "model.plan"
    manifest = read_manifest(manifest_path(plan))
    assert manifest.precision.value == precision
    assert manifest.parity is not None
    assert json.loads((tmp_path / "parity.json").read_text())["passed"]
    assert check_engines(repository, frozenset({Target.TENSORRT}), this_machine()) == []


def test_every_batch_of_the_profile_gives_the_same_probabilities(repository: Path, tmp_path: Path) -> None:
    assert _build(repository, tmp_path, "fp16") == PASSED
    folder = repository / SEGMENT
    engine = open_tensorrt((folder / "model.plan").read_bytes())
    image = np.random.default_rng(0).integers(0, 256, (1, 1024, 1024, 3), dtype=np.uint8)
    single = engine.infer(image).astype(int)
    reference = OnnxRuntimeEngine(folder / "model.onnx").infer(image).astype(int)
    assert np.abs(single - reference).mean() < 2
    for batch in (4, 8):
        answers = engine.infer(np.repeat(image, batch, axis=0)).astype(int)
        assert np.abs(answers - single).max() <= 3


def test_the_same_build_again_rebuilds_nothing(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _build(repository, tmp_path, "fp16") == PASSED
    assert _build(repository, tmp_path, "fp16") == PASSED
    assert "nothing rebuilt" in capsys.readouterr().out


def test_a_plan_of_another_gpu_or_tensorrt_does_not_fit(repository: Path, tmp_path: Path) -> None:
    assert _build(repository, tmp_path, "fp16") == PASSED
    machine = this_machine()
    assert machine.gpu is not None
    manifest = read_manifest(manifest_path(repository / SEGMENT / "model.plan"))
    other = dataclasses.replace(machine, gpu=dataclasses.replace(machine.gpu, compute_capability="7.0"))
    assert "compute capability" in misfits(manifest, other)[0]
    assert "TensorRT" in misfits(manifest, dataclasses.replace(machine, tensorrt="10.0.0.1"))[0]


@pytest.mark.parametrize("switch", ["--version-compatible", "--hardware-compatible"])
def test_compatible_plans_build_too(repository: Path, tmp_path: Path, switch: str) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns("model.plan*"))
    assert _build(copy, tmp_path / "report", "fp16", switch) == PASSED
    manifest = read_manifest(manifest_path(copy / SEGMENT / "model.plan"))
    assert manifest.options[switch.removeprefix("--").replace("-", "_")] == "true"
