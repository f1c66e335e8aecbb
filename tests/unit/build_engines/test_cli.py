"""Whatever is mistyped gets a sentence and an exit code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from build_engines.cli import GATE_FAILED, PASSED, REFUSED, main
from build_engines.graph import load_graph, read_signature
from build_engines.pipeline import Pipeline
from segserve_server.engines.openvino import OpenVinoEngine, Precision
from segserve_server.repository.check import check_repository
from segserve_server.repository.manifest import manifest_path, read_manifest
from segserve_server.repository.problem import RepositoryError
from tests.unit.build_engines.conftest import ROOT
from tests.unit.build_engines.networks import images, logits_network, save
from tests.unit.build_engines.test_storage import full_disk

Build = Callable[..., int]


@pytest.fixture
def build(pipeline: Pipeline, photographs: Path) -> Build:
    """Run ``build`` on the small pipeline and photographs; the exit code."""

    def run(*arguments: str) -> int:
        folders = ["--repository", str(pipeline.repository), "--photos", str(photographs)]
        report = ["--report", str(pipeline.repository.parent / "report")]
        return main(["build", pipeline.name, *folders, *report, *arguments])

    return run


def _engines(pipeline: Pipeline) -> list[str]:
    names = {path.name for path in pipeline.version_folder.iterdir()}
    return sorted(names - {"model.onnx", "model.py", "__pycache__"})


def test_build_writes_engine_manifest_and_report_and_says_one_line(
    pipeline: Pipeline, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("--target", "openvino", "--precision", "f32") == PASSED
    assert _engines(pipeline) == ["model.openvino-f32.blob", "model.openvino-f32.blob.manifest.json"]
    manifest = read_manifest(manifest_path(pipeline.version_folder / "model.openvino-f32.blob"))
    assert manifest.parity is not None
    assert manifest.parity.images == 3
    assert (pipeline.repository.parent / "report" / "parity.html").is_file()
    summary = capsys.readouterr().out.splitlines()[-1]
    assert summary.startswith("model.onnx -> model.openvino-f32.blob: openvino fp32, ")
    assert "Dice" in summary
    assert check_repository(pipeline.repository, "cpu") == []


def test_the_same_build_again_rebuilds_nothing_until_an_input_changes(
    pipeline: Pipeline, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--target", "onnxruntime", "--precision", "fp16"]
    engine = pipeline.version_folder / "model.onnxruntime.onnx"
    assert build(*arguments) == PASSED
    before = engine.stat().st_mtime_ns
    assert build(*arguments) == PASSED
    assert "up to date, nothing rebuilt" in capsys.readouterr().out
    assert engine.stat().st_mtime_ns == before
    engine.write_bytes(b"damaged")
    assert build(*arguments) == PASSED
    assert engine.stat().st_size > 1000
    assert build("--target", "onnxruntime", "--precision", "fp32") == PASSED
    assert "nothing rebuilt" not in capsys.readouterr().out


def test_a_gate_that_is_not_passed_keeps_the_engine_out(
    pipeline: Pipeline, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--target", "openvino", "--precision", "int8", "--gate-mean-dice", "1.0"]
    assert build(*arguments) == GATE_FAILED
    assert _engines(pipeline) == []
    assert "parity gate not passed: mean Dice" in capsys.readouterr().err
    assert not json.loads((pipeline.repository.parent / "report" / "parity.json").read_text())["passed"]


def test_an_rtx_engine_is_built_without_a_gpu_and_says_why_it_has_no_parity(
    pipeline: Pipeline, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("--target", "tensorrt-rtx", "--precision", "fp16") == PASSED
    assert "no parity (an engine of TensorRT for RTX" in capsys.readouterr().out
    manifest = read_manifest(manifest_path(pipeline.version_folder / "model.rtx-fp16.engine"))
    assert manifest.profile == pipeline.profile
    assert manifest.options["compute_capability"] == "8.9"
    assert "--compute-capability 8.9" in manifest.command
    assert build("--target", "tensorrt-rtx", "--precision", "fp16") == PASSED
    assert "nothing rebuilt" in capsys.readouterr().out


def test_a_full_disk_leaves_no_half_written_engine(
    pipeline: Pipeline, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk(600):
        code = build("--target", "tensorrt-rtx")
    assert code == REFUSED
    assert "could not be written" in capsys.readouterr().err
    assert _engines(pipeline) == []


def test_parity_of_a_built_engine_on_other_photographs(
    pipeline: Pipeline, build: Build, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--repository", str(pipeline.repository), "--photos", str(photographs), "--max-photos", "1"]
    command = ["parity", "eye", "--target", "onnxruntime", "--precision", "fp32", *folder]
    command += ["--report", str(pipeline.repository.parent / "other")]
    assert main(command) == REFUSED
    assert "is not built yet" in capsys.readouterr().err
    assert build("--target", "onnxruntime", "--precision", "fp32") == PASSED
    assert main(command) == PASSED
    assert "few_hemorrhages.jpg" in capsys.readouterr().out


def test_the_cpu_server_loads_the_built_engine_and_refuses_one_that_was_changed(
    pipeline: Pipeline, build: Build
) -> None:
    compiled = OpenVinoEngine(pipeline.onnx, precision=Precision.F32)
    pixels = images(1, grid=128)
    expected = compiled.infer(pixels).copy()
    assert build("--target", "openvino", "--precision", "fp32") == PASSED
    built = OpenVinoEngine(pipeline.onnx, precision=Precision.F32)
    assert (compiled.is_prebuilt, built.is_prebuilt) == (False, True)
    assert (built.infer(pixels) == expected).all()
    engine = pipeline.version_folder / "model.openvino-f32.blob"
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(RepositoryError, match="not the file that its manifest describes; run: python -m build_engines"):
        OpenVinoEngine(pipeline.onnx, precision=Precision.F32)


def test_int8_without_its_engine_says_how_to_build_it(pipeline: Pipeline) -> None:
    with pytest.raises(RepositoryError, match="--target openvino --precision int8"):
        OpenVinoEngine(pipeline.onnx, precision=Precision.INT8)


def test_bf16_is_neither_built_nor_served_as_something_else(
    pipeline: Pipeline, build: Build, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("build_engines.build", "segserve_server.engines.openvino"):
        monkeypatch.setattr(f"{module}.has_bfloat16", lambda: False)
    assert build("--target", "openvino", "--precision", "bf16") == REFUSED
    assert "does not compute in bfloat16 (AMX and AVX512-BF16 do): build fp32" in capsys.readouterr().err
    with pytest.raises(RepositoryError, match=r"precision bf16: this CPU .* choose auto or f32"):
        OpenVinoEngine(pipeline.onnx, precision=Precision.BF16)
    assert OpenVinoEngine(pipeline.onnx).precision is Precision.F32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "hearts", "--target", "openvino"], "holds no pipeline 'hearts'; its models are fundus_hemorrhage,"),
        (["build", "fundus_hemorrhage_segment", "--target", "openvino"], "is a step, not a pipeline"),
        (["build", "fundus_hemorrhage_probability", "--target", "openvino"], "has REPORT"),
        (
            ["build", "fundus_hemorrhage", "--target", "openvino"],
            "OpenVINO on a CPU runs bf16, fp32 and int8, not fp16",
        ),
        (["build", "fundus_hemorrhage", "--target", "onnxruntime", "--precision", "bf16"], "no bf16"),
        (["build", "fundus_hemorrhage", "--target", "tensorrt-rtx", "--precision", "int8"], "signed, symmetric"),
        (["build", "eye", "--target", "openvino", "--repository", "/no/where"], "/no/where holds no pipeline"),
        (["compose", "nothing.onnx", "--output", "x.onnx", "--activation", "sigmoid"], "nothing.onnx is not there"),
        (["import", "no.onnx", "--name", "x", "--classes", "no.toml"], "no.toml cannot be read"),
    ],
)
def test_what_is_mistyped_gets_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == REFUSED
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("build_engines: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("photos", ["nowhere", "empty", "broken"])
def test_photographs_that_are_none_are_refused(
    pipeline: Pipeline, build: Build, tmp_path: Path, photos: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "eye.jpg").write_bytes(b"no photograph")
    folder = str(tmp_path / photos)
    assert build("--target", "openvino", "--precision", "f32", "--photos", folder) == REFUSED
    assert {"nowhere": "no folder", "empty": "holds no photograph", "broken": "eye.jpg"}[
        photos
    ] in capsys.readouterr().err
    assert _engines(pipeline) == []


def test_a_graph_that_disagrees_with_its_configuration_is_refused(
    pipeline: Pipeline, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    config = pipeline.segment.folder / "config.pbtxt"
    config.write_text(config.read_text().replace("dims: 2\n", "dims: 3\n"))
    assert build("--target", "openvino", "--precision", "f32") == REFUSED
    assert "the graph gives 2 channels" in capsys.readouterr().err


def test_compose_writes_a_served_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(save(logits_network(seed=seed), tmp_path / f"{seed}.onnx")) for seed in (1, 2)]
    output = tmp_path / "out" / "both.onnx"
    command = ["compose", *members, "--output", str(output), "--tta", "hflip,rot90"]
    assert main(command) == REFUSED
    assert "need --activation" in capsys.readouterr().err
    assert main([*command, "--activation", "sigmoid", "--average", "vote"]) == PASSED
    assert read_signature(load_graph(output), "both").served
    assert "2 members, 3 views" in capsys.readouterr().out


def test_import_reads_classes_and_gives_colours_to_those_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = save(logits_network(classes=2), tmp_path / "n.onnx")
    classes = tmp_path / "classes.toml"
    classes.write_text('[[classes]]\nname = "a"\n[[classes]]\nname = "b"\nthreshold = 0.25\n')
    command = ["import", str(network), "--name", "pair", "--classes", str(classes), "--activation", "sigmoid"]
    assert main([*command, "--repository", str(tmp_path / "models")]) == PASSED
    assert "wrote pair, pair_probability" in capsys.readouterr().out
    assert check_repository(tmp_path / "models", "cpu") == []


@pytest.mark.parametrize(
    "text", ["", "classes = []", '[[classes]]\nname = "A b"', '[[classes]]\nname = "a"\ntreshold = 1', "x = 1", "[[["]
)
def test_a_classes_file_that_is_wrong_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = save(logits_network(), tmp_path / "n.onnx")
    classes = tmp_path / "classes.toml"
    classes.write_text(text)
    command = ["import", str(network), "--name", "pair", "--classes", str(classes), "--activation", "sigmoid"]
    assert main([*command, "--repository", str(tmp_path / "models")]) == REFUSED
    assert "classes.toml" in capsys.readouterr().err


def test_without_its_libraries_it_names_the_extra() -> None:
    program = "import sys, runpy; sys.modules['onnxsim'] = None; runpy.run_module('build_engines', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == REFUSED
    assert ended.stderr == "build_engines: onnxsim is not installed: pip install -e '.[build]'\n"
