"""An engine is trusted only where its manifest fits."""

import dataclasses
import json
from pathlib import Path

import pytest

from segserve_server.engines.machine import Gpu, Machine, this_machine
from segserve_server.repository.manifest import (
    Manifest,
    ParityFigures,
    Precision,
    Profile,
    Target,
    check_engine,
    check_engines,
    manifest_path,
    misfits,
    read_manifest,
    to_json,
)
from segserve_server.repository.problem import RepositoryError
from segserve_server.repository.weights import sha256_of_file

CPU = Machine(cpu="a CPU", instruction_sets=("avx2", "avx512_bf16"), openvino="2026.4.1")
GPU = Machine(cpu="a CPU", instruction_sets=(), gpu=Gpu("L4", "8.9", "610.1"), tensorrt="11.1.0.5", cuda="13.3")
COMMAND = "python -m build_engines build eye --target openvino --precision bf16"


def _manifest(target: Target, machine: Machine, **options: str) -> Manifest:
    return Manifest(
        model="eye_segment",
        version=1,
        target=target,
        precision=Precision.BF16,
        onnx_sha256="0" * 64,
        engine_sha256="1" * 64,
        profile=Profile(1, 4, 8),
        options=options,
        machine=machine,
        parity=ParityFigures(3, 2, 0.995, 0.99, 0.001, 0.02, 1, 0, -0.3),
        parity_note="",
        created="2026-11-21T00:00:00+00:00",
        command=COMMAND,
    )


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A version folder with an ONNX, an engine of it and a manifest that fits CPU."""
    folder = tmp_path / "eye_segment" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"weights")
    path = folder / "model.openvino-bf16.blob"
    path.write_bytes(b"engine")
    manifest = dataclasses.replace(
        _manifest(Target.OPENVINO, CPU),
        onnx_sha256=sha256_of_file(folder / "model.onnx"),
        engine_sha256=sha256_of_file(path),
    )
    manifest_path(path).write_text(to_json(manifest))
    return path


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    for manifest in (
        _manifest(Target.TENSORRT, GPU, version_compatible="true"),
        dataclasses.replace(_manifest(Target.OPENVINO, CPU), parity=None, profile=None),
    ):
        path = tmp_path / "m.json"
        path.write_text(to_json(manifest))
        assert read_manifest(path) == manifest


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 1, "target": "x"}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(content)
    with pytest.raises(RepositoryError, match="build the engine again"):
        read_manifest(path)


def test_a_manifest_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(json.loads(to_json(_manifest(Target.OPENVINO, CPU))) | {"schema_version": 2}))
    with pytest.raises(RepositoryError, match="another schema version"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"openvino": "2027.0.0"}, "OpenVINO 2026.4.1, here is 2027.0.0"),
        ({"openvino": None}, "here is none"),
        ({"instruction_sets": ("avx2",)}, "a CPU with avx2 avx512_bf16, here is avx2"),
    ],
)
def test_a_cpu_engine_needs_its_openvino_and_its_instruction_sets(change: dict[str, object], reason: str) -> None:
    manifest = _manifest(Target.OPENVINO, CPU)
    assert misfits(manifest, CPU) == ()
    assert misfits(manifest, dataclasses.replace(CPU, cpu="another name", onnxruntime="9")) == ()
    (said,) = misfits(manifest, dataclasses.replace(CPU, **change))  # type: ignore[arg-type]
    assert reason in said


@pytest.mark.parametrize(
    ("machine", "options", "reason"),
    [
        (GPU, {}, None),
        (dataclasses.replace(GPU, gpu=Gpu("L40S", "8.9", "620.0")), {}, None),
        (CPU, {}, "needs an NVIDIA GPU"),
        (dataclasses.replace(GPU, tensorrt="11.2.0.1"), {}, "TensorRT 11.1.0.5, here is 11.2.0.1"),
        (dataclasses.replace(GPU, tensorrt="11.2.0.1"), {"version_compatible": "true"}, None),
        (dataclasses.replace(GPU, tensorrt="11.0.0.1"), {"version_compatible": "true"}, "TensorRT"),
        (dataclasses.replace(GPU, tensorrt="12.0.0.1"), {"version_compatible": "true"}, "TensorRT"),
        (dataclasses.replace(GPU, tensorrt=None), {"version_compatible": "true"}, "here is none"),
        (dataclasses.replace(GPU, gpu=Gpu("H200", "9.0", "1")), {}, "compute capability 8.9, here is 9.0"),
        (dataclasses.replace(GPU, gpu=Gpu("H200", "9.0", "1")), {"hardware_compatible": "true"}, None),
        (dataclasses.replace(GPU, gpu=Gpu("T4", "7.5", "1")), {"hardware_compatible": "true"}, "here is 7.5"),
    ],
)
def test_a_plan_needs_its_tensorrt_and_its_gpu_unless_built_compatible(
    machine: Machine, options: dict[str, str], reason: str | None
) -> None:
    said = misfits(_manifest(Target.TENSORRT, GPU, **options), machine)
    assert (reason is None and said == ()) or (reason is not None and reason in said[0])


def test_an_optimised_onnx_fits_everywhere() -> None:
    assert misfits(_manifest(Target.ONNXRUNTIME, CPU), GPU) == ()


def test_a_fitting_engine_has_no_problem(engine: Path) -> None:
    assert check_engine(engine, CPU) == ()
    assert check_engines(engine.parents[2], frozenset({Target.OPENVINO}), CPU) == []


def test_an_engine_for_another_machine_says_what_to_run(engine: Path) -> None:
    (sentence,) = check_engine(engine, dataclasses.replace(CPU, openvino="2027.0.0"))
    assert sentence.endswith(f"run: {COMMAND}")
    (problem,) = check_engines(engine.parents[2], frozenset({Target.OPENVINO}), GPU)[:1]
    assert problem.where == "eye_segment/1/model.openvino-bf16.blob"


def test_only_the_engines_of_the_served_targets_are_looked_at(engine: Path) -> None:
    assert check_engines(engine.parents[2], frozenset({Target.TENSORRT}), GPU) == []


def test_a_changed_engine_changed_weights_and_missing_weights_are_each_named(engine: Path) -> None:
    weights = engine.with_name("model.onnx")
    weights.write_bytes(b"other weights")
    assert "model.onnx has changed since it was built" in check_engine(engine, CPU)[0]
    weights.unlink()
    assert "is not beside it" in check_engine(engine, CPU)[0]
    engine.write_bytes(b"half an engi")
    assert "is not the file that its manifest describes" in check_engine(engine, CPU)[0]


def test_an_engine_without_a_manifest_cannot_be_trusted(engine: Path) -> None:
    manifest_path(engine).unlink()
    assert "cannot be trusted" in check_engine(engine, CPU)[0]
    (problem,) = check_engines(engine.parents[2], frozenset({Target.OPENVINO}), CPU)
    assert problem.where == "eye_segment/1/model.openvino-bf16.blob"


def test_a_manifest_without_its_engine_is_a_problem(engine: Path) -> None:
    engine.unlink()
    (problem,) = check_engines(engine.parents[2], frozenset({Target.OPENVINO}), CPU)
    assert "not the engine" in problem.message


def test_this_machine_knows_its_cpu_and_its_openvino() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.openvino
