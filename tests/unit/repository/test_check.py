# ruff: noqa: E501  (one change a line reads better than four lines a change)
"""``check``: the shipped repository is sound, and each single change to what must agree is found."""

import shutil
from pathlib import Path

import pytest

from segserve_server.repository.check import check_repository

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "model_repository"
NAME = "fundus_hemorrhage"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the shipped repository, its weights linked."""
    return shutil.copytree(SHIPPED, tmp_path / "model_repository", copy_function=_link_large)


def _link_large(source: str, target: str) -> None:
    if source.endswith(".onnx"):
        Path(target).symlink_to(source)
    else:
        shutil.copy(source, target)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text, f"{old!r} is not in {path.name}: the test no longer changes anything"
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_the_shipped_repository_has_no_problem() -> None:
    assert check_repository(SHIPPED, "cpu") == []


def test_the_gpu_variant_lacks_only_the_engine_that_is_built_on_its_gpu() -> None:
    (problem,) = check_repository(SHIPPED, "gpu")
    assert "model.plan is missing" in problem.message
    assert "build_engines" in problem.message


CHANGES = {
    "folder name": (f"{NAME}/config.pbtxt", 'name: "fundus_hemorrhage"', 'name: "fundus"', "the folder is"),
    "not protobuf": (f"{NAME}/config.pbtxt", "ensemble_scheduling {", "ensemble_schedule {", "not a Triton model"),
    "input name": (f"{NAME}/config.pbtxt", 'name: "IMAGE"', 'name: "PHOTO"', "one input must be IMAGE"),
    "unknown step": (f"{NAME}/config.pbtxt", '"fundus_hemorrhage_segment"', '"fundus_segment"', "no model folder"),
    "unpinned version": (f"{NAME}/config.pbtxt", "model_version: 1", "model_version: -1", "must pin"),
    "missing version": (f"{NAME}/config.pbtxt", "model_version: 1", "model_version: 2", "has no version 2"),
    "unfed input": (f"{NAME}/config.pbtxt", 'value: "model_input" }\n      output_map { key: "GEOMETRY"', 'value: "x" }\n      output_map { key: "GEOMETRY"', "which nothing gives"),
    "wrong input name": (f"{NAME}/config.pbtxt", 'input_map { key: "PROBABILITY"', 'input_map { key: "P"', "maps inputs"),
    "wrong output name": (f"{NAME}/config.pbtxt", 'output_map { key: "MASK"', 'output_map { key: "M"', "has no output 'M'"),
    "no producer": (f"{NAME}/config.pbtxt", 'value: "MASK" }', 'value: "MASKS" }', "no step gives"),
    "ensemble output type": (f"{NAME}/config.pbtxt", '"MASK" data_type: TYPE_STRING', '"MASK" data_type: TYPE_UINT8', "MASK is"),
    "contract version": (f"{NAME}/config.pbtxt", 'string_value: "1.0"', 'string_value: "2.0"', "contract_version is 2.0"),
    "parameter missing": (f"{NAME}/config.pbtxt", '"contract_version"', '"contract"', "parameters"),
    "classes parameter": (f"{NAME}/config.pbtxt", 'string_value: "hemorrhage"', 'string_value: "drusen"', "classes are"),
    "colors parameter": (f"{NAME}/config.pbtxt", '"#e6194b"', '"#e6194c"', "colors are"),
    "grid parameter": (f"{NAME}/config.pbtxt", '"1024x1024"', '"512x512"', "grid is 1024"),
    "ensemble batch": (f"{NAME}/config.pbtxt", "max_batch_size: 8", "max_batch_size: 16", "larger than that of step"),
    "ensemble warm-up": (f"{NAME}/config.pbtxt", "ensemble_scheduling", 'model_warmup { name: "x" }\nensemble_scheduling', "refuses model_warmup"),
    "probability dims": (f"{NAME}_probability/config.pbtxt", "dims: [ 1, 1024, 1024 ]", "dims: [ 2, 1024, 1024 ]", "PROBABILITY is"),
    "step type": (f"{NAME}_segment/configs/cpu.pbtxt", '"MODEL_INPUT" data_type: TYPE_UINT8', '"MODEL_INPUT" data_type: TYPE_FP32', "MODEL_INPUT is"),
    "step grid": (f"{NAME}_segment/configs/cpu.pbtxt", "dims: [ 1024, 1024, 3 ]", "dims: [ 512, 512, 3 ]", "TYPE_UINT8 [512, 512, 3]"),
    "foreign tensor": (f"{NAME}_postprocess/configs/cpu.pbtxt", '"GEOMETRY" data_type', '"AFFINE" data_type', "not a tensor of the wire contract"),
    "variant inputs": (f"{NAME}_preprocess/config.pbtxt", '"IMAGE" data_type: TYPE_STRING', '"IMAGE" data_type: TYPE_UINT8', "inputs differ"),
    "variant outputs": (f"{NAME}_segment/config.pbtxt", "dims: [ 1, 1024, 1024 ]", "dims: [ 1, 512, 512 ]", "outputs differ"),
    "variant batch": (f"{NAME}_segment/config.pbtxt", "max_batch_size: 8", "max_batch_size: 4", "max_batch_size differs"),
    "no batching": (f"{NAME}_preprocess/configs/cpu.pbtxt", "dynamic_batching {", "sequence_batching {", "not a Triton model"),
    "unbounded queue": (f"{NAME}_preprocess/configs/cpu.pbtxt", "max_queue_size: 64", "", "max_queue_size must be set"),
    "no timeout": (f"{NAME}_preprocess/configs/cpu.pbtxt", "default_timeout_microseconds: 10000000", "", "default_timeout_microseconds must be set"),
    "delay, not reject": (f"{NAME}_preprocess/configs/cpu.pbtxt", "REJECT", "DELAY", "must be REJECT"),
    "inner queue policy": (f"{NAME}_segment/configs/cpu.pbtxt", "preferred_batch_size: [ 1 ]", "default_queue_policy { max_queue_size: 8 }", "belongs to the entrance"),
    "pace of one step": (f"{NAME}_segment/configs/cpu.pbtxt", 'key: "images_ahead"', 'key: "images"', "images_ahead is None, but 3"),
    "another pace": (f"{NAME}_preprocess/configs/cpu.pbtxt", 'string_value: "3"', 'string_value: "4"', "images_ahead is 3, but 4"),
    "warm-up file": (f"{NAME}_preprocess/configs/cpu.pbtxt", 'input_data_file: "photograph"', 'input_data_file: "photo"', "is missing"),
    "warm-up input": (f"{NAME}_postprocess/configs/cpu.pbtxt", 'inputs { key: "GEOMETRY"', 'inputs { key: "GEO"', "must give"),
    "no warm-up": (f"{NAME}_segment/configs/cpu.pbtxt", "model_warmup", "# [", "not a Triton model"),
    "unknown backend": (f"{NAME}_segment/configs/cpu.pbtxt", 'backend: "python"', 'backend: "pytorch"', "not one that segserve serves"),
    "preprocess setting": (f"{NAME}_preprocess/1/settings.toml", "clip_limit", "cliplimit", "unknown key 'cliplimit'"),
    "preprocess grid": (f"{NAME}_preprocess/1/settings.toml", "grid = 1024", "grid = 512", "grid is 512"),
    "class name": (f"{NAME}_postprocess/1/settings.toml", 'name = "hemorrhage"', 'name = "haemorrhage"', "classes are"),
    "class color": (f"{NAME}_postprocess/1/settings.toml", '"#e6194b"', '"#000000"', "colors are"),
    "pipeline name": (f"{NAME}_postprocess/1/settings.toml", 'name = "fundus_hemorrhage"', 'name = "fundus"', "[model] name"),
    "segment version": (f"{NAME}_postprocess/1/settings.toml", "segment_version = 1", "segment_version = 2", "does not pin"),
    "weights hash": (f"{NAME}_postprocess/1/settings.toml", 'weights_sha256 = "', 'weights_sha256 = "00', "64 hexadecimal"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_single_change_is_found(repository: Path, what: str) -> None:
    file, old, new, reason = CHANGES[what]
    change(repository / file, old, new)
    problems = check_repository(repository, "cpu")
    assert any(reason in str(problem) for problem in problems), [str(p) for p in problems]


def test_other_weights_than_the_settings_name_are_found(repository: Path) -> None:
    weights = repository / f"{NAME}_segment/1/model.onnx"
    weights.unlink()
    weights.write_bytes(b"other weights")
    assert any("settings were made for" in str(p) for p in check_repository(repository, "cpu"))


def test_missing_weights_are_found_and_the_remedy_named(repository: Path) -> None:
    (repository / f"{NAME}_segment/1/model.onnx").unlink()
    assert any("training export" in str(p) for p in check_repository(repository, "cpu"))


@pytest.mark.parametrize("content", [b"", b"abc", b"\x00\x00\x00\x00photograph"])
def test_a_warm_up_file_that_would_kill_the_server_is_found(repository: Path, content: bytes) -> None:
    (repository / f"{NAME}_preprocess/warmup/photograph").write_bytes(content)
    assert any("segmentation fault" in str(p) for p in check_repository(repository, "cpu"))


def test_a_built_engine_without_a_valid_manifest_is_found(repository: Path) -> None:
    folder = repository / f"{NAME}_segment/1"
    (folder / "model.bf16.ov.manifest.json").write_text("{}", "utf-8")
    assert any("not an engine's manifest" in str(p) for p in check_repository(repository, "cpu"))


def test_an_empty_version_folder_is_found(repository: Path) -> None:
    (repository / f"{NAME}/1/README.md").unlink()
    assert any("no version folder" in str(p) for p in check_repository(repository, "cpu"))


def test_a_missing_adapter_is_found(repository: Path) -> None:
    (repository / f"{NAME}_postprocess/1/model.py").unlink()
    assert any("model.py is missing" in str(p) for p in check_repository(repository, "cpu"))


def test_no_repository_is_one_clear_problem(tmp_path: Path) -> None:
    (problem,) = check_repository(tmp_path / "nowhere", "cpu")
    assert "no model repository" in problem.message
    (problem,) = check_repository(tmp_path, "cpu")
    assert "no model folder" in problem.message
