"""The model folders of a new pipeline, derived from those of a pipeline that is there, so that they cannot drift."""

import hashlib
import re
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from google.protobuf import text_format
from segserve.contract import (
    CONTRACT_VERSION,
    MASK,
    MODEL_INPUT,
    PROBABILITY,
    PROBABILITY_SUFFIX,
    EnsembleParameters,
)
from tritonclient.grpc import model_config_pb2

from build_engines.compose import Composition, compose
from build_engines.errors import GraphError, PipelineError
from build_engines.graph import RGB, load_graph, read_signature
from build_engines.pipeline import Pipeline
from build_engines.storage import folders_or_nothing
from build_engines.toml_file import to_toml
from segserve_server.imaging.errors import SettingsError
from segserve_server.imaging.pipeline import preprocess
from segserve_server.imaging.settings import ClassSettings, PostprocessSettings, PreprocessSettings
from segserve_server.repository.check import check_repository
from segserve_server.repository.models import DEFAULT_CONFIG, read_model, variants_of
from segserve_server.repository.settings import FILE_NAME as SETTINGS_NAME
from segserve_server.repository.settings import ModelIdentity
from segserve_server.repository.weights import FILE_NAME as WEIGHTS_NAME
from segserve_server.steps.photograph import Photograph

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_FIRST_VERSION = "1"
_LENGTH = struct.Struct("<I")  # in front of each BYTES element, as Triton reads it
_STEPS = ("preprocess", "segment", "postprocess")
_WARMUP, _PHOTOGRAPH, _GEOMETRY = "warmup", "photograph", "geometry"


@dataclass(frozen=True)
class ImportRequest:
    """What the new pipeline is.

    ``composition``: around a float graph; None for a graph that is served as it is. ``grid``: None takes the graph's.
    ``clahe_clip_limit``: None leaves the contrast alone. ``template``: the pipeline whose folders are the pattern.
    ``repository``: where the new folders go.
    """

    onnx: Path
    name: str
    classes: tuple[ClassSettings, ...]
    composition: Composition | None
    grid: int | None
    crop: str
    clahe_clip_limit: float | None
    template: Pipeline
    repository: Path


def import_pipeline(request: ImportRequest) -> tuple[Path, ...]:
    """Write the five model folders of a new pipeline, all or none; their paths. Raises BuildError."""
    _require_free_name(request)
    graph, grid = _served_graph(request)
    content = graph.SerializeToString()
    try:
        settings = _preprocess_settings(request, grid)
        kept = request.template.postprocess.settings.max_listed_lesions
        clinical = PostprocessSettings(classes=request.classes, max_listed_lesions=kept)
    except SettingsError as error:
        raise PipelineError(f"{request.name}: {error}") from error
    folders = _folder_names(request.template.name)
    with folders_or_nothing(request.repository) as staging:
        for old in folders:
            folder = staging / _renamed(old, request)
            _derive_folder(request.template.repository / old, folder, request, grid)
        preprocess_sha256 = _write_settings(staging, request, settings, clinical, hashlib.sha256(content).hexdigest())
        (staging / f"{request.name}_segment" / _FIRST_VERSION / WEIGHTS_NAME).write_bytes(content)
        _write_warmup(staging, request, settings, preprocess_sha256)
        # The CPU variant: the default one wants a plan, which is built afterwards.
        problems = [str(problem) for problem in check_repository(staging, "cpu")]
        if problems:
            raise PipelineError(f"the derived folders would not pass segserve-server check: {'; '.join(problems)}")
    return tuple(request.repository / _renamed(old, request) for old in folders)


def _preprocess_settings(request: ImportRequest, grid: int) -> PreprocessSettings:
    """The template's but for what the request says. Raises SettingsError."""
    pattern = request.template.preprocess.settings
    clahe = replace(pattern.clahe, enabled=False)
    if request.clahe_clip_limit is not None:
        clahe = replace(clahe, enabled=True, clip_limit=request.clahe_clip_limit)
    return replace(pattern, grid=grid, crop=request.crop, clahe=clahe)


def _folder_names(pipeline: str) -> tuple[str, ...]:
    return (pipeline, f"{pipeline}{PROBABILITY_SUFFIX}", *(f"{pipeline}_{step}" for step in _STEPS))


def _renamed(name: str, request: ImportRequest) -> str:
    return request.name + name.removeprefix(request.template.name)


def _require_free_name(request: ImportRequest) -> None:
    if _NAME.fullmatch(request.name) is None:
        raise PipelineError(f"name {request.name!r} must be lower-case snake_case of at most 48 characters")
    taken = [name for name in _folder_names(request.name) if (request.repository / name).exists()]
    if taken:
        raise PipelineError(
            f"{request.repository} already holds {taken[0]}: choose another name, or remove its folders"
        )


def _served_graph(request: ImportRequest) -> tuple[onnx.ModelProto, int]:
    """The graph to serve and its grid. Raises GraphError where graph and request contradict each other."""
    name = request.onnx.name
    model = load_graph(request.onnx)
    signature = read_signature(model, name)
    if request.grid is not None and request.grid != signature.grid:
        raise GraphError(f"--grid says {request.grid}, but {name} works on {signature.grid} x {signature.grid}")
    if signature.served and request.composition is not None:
        raise GraphError(f"{name} is UINT8 in and out already: --activation and what goes with it are for float graphs")
    if not signature.served and request.composition is None:
        raise GraphError(f"{name} takes float images and gives logits: say --activation sigmoid or softmax")
    if request.composition is not None:
        model = compose([(name, model)], request.composition)
        signature = read_signature(model, name)
    if signature.channels != len(request.classes):
        raise GraphError(
            f"{name} gives {signature.channels} channels and {len(request.classes)} classes are named: one class per "
            "channel, without the background (--background INDEX leaves that channel out)"
        )
    return _with_contract_names(model, signature.input, signature.output), signature.grid


def _with_contract_names(model: onnx.ModelProto, source: str, result: str) -> onnx.ModelProto:
    """A copy whose input and output are called what the wire contract calls them."""
    names = {source: MODEL_INPUT, result: PROBABILITY}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for position, name in enumerate(tensors):
                tensors[position] = names.get(name, name)
    return copy


def _derive_folder(old: Path, new: Path, request: ImportRequest, grid: int) -> None:
    """Configurations rewritten, model.py and the ensembles' placeholder copied."""
    version = new / _FIRST_VERSION
    version.mkdir(parents=True)
    pattern = read_model(old, old / DEFAULT_CONFIG)
    for path in sorted((old / str(pattern.versions[-1])).iterdir()):
        if path.suffix in (".py", ".md"):
            shutil.copyfile(path, version / path.name)
    for path in variants_of(old):
        config = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
        _rewrite(config, request, grid)
        target = new / path.relative_to(old)
        target.parent.mkdir(exist_ok=True)
        variant = "" if path.name == DEFAULT_CONFIG else f", variant {path.stem}"
        head = f"# {request.name}{variant}. Derived from {request.template.name}; comments on each choice are there.\n"
        target.write_text(head + text_format.MessageToString(config), "utf-8")


def _rewrite(config: model_config_pb2.ModelConfig, request: ImportRequest, grid: int) -> None:
    """Names, shapes, classes and versions of the new pipeline; queues, instances and everything else stay."""
    classes = len(request.classes)
    dims = {MODEL_INPUT: [grid, grid, RGB], PROBABILITY: [classes, grid, grid], MASK: [classes]}
    config.name = _renamed(config.name, request)
    warmup = [(name, tensor) for one in config.model_warmup for name, tensor in one.inputs.items()]
    for name, tensor in (*((t.name, t) for t in (*config.input, *config.output)), *warmup):
        if name in dims:
            tensor.dims[:] = dims[name]
    for step in config.ensemble_scheduling.step:
        step.model_name = _renamed(step.model_name, request)
        step.model_version = int(_FIRST_VERSION)
    if config.platform == "ensemble":
        parameters = EnsembleParameters(
            contract_version=CONTRACT_VERSION,
            classes=tuple(one.name for one in request.classes),
            colors=tuple(one.color for one in request.classes),
            grid=(grid, grid),
        )
        for key, value in parameters.to_strings().items():
            config.parameters[key].string_value = value


def _write_settings(
    staging: Path, request: ImportRequest, settings: PreprocessSettings, clinical: PostprocessSettings, weights: str
) -> str:
    """Both settings files; the hash of the preprocessing one."""
    identity = ModelIdentity(
        name=request.name,
        version=_FIRST_VERSION,
        segment=f"{request.name}_segment",
        segment_version=int(_FIRST_VERSION),
        weights_sha256=weights,
    )
    before = (
        "# What turns an image into the model's input; it must be what the weights were trained through.\n"
        + to_toml(settings)
    )
    after = "# What counts as a lesion; belongs to this version and to the weights named here.\n" + to_toml(
        clinical, {"model": identity}
    )
    for step, text in (("preprocess", before), ("postprocess", after)):
        (staging / f"{request.name}_{step}" / _FIRST_VERSION / SETTINGS_NAME).write_text(text, "utf-8")
    return hashlib.sha256(before.encode()).hexdigest()


def _write_warmup(staging: Path, request: ImportRequest, settings: PreprocessSettings, settings_sha256: str) -> None:
    """The template's photograph, and the geometry that this pipeline's preprocessing makes of it."""
    before, after = (staging / f"{request.name}_{step}" / _WARMUP for step in ("preprocess", "postprocess"))
    pattern = request.template.repository / f"{request.template.name}_preprocess" / _WARMUP / _PHOTOGRAPH
    photograph = pattern.read_bytes()[_LENGTH.size :]
    seen = preprocess(photograph, settings)
    geometry = Photograph.from_preprocessed(seen, settings_sha256=settings_sha256).to_json()
    for folder, name, element in ((before, _PHOTOGRAPH, photograph), (after, _GEOMETRY, geometry)):
        folder.mkdir()
        (folder / name).write_bytes(_LENGTH.pack(len(element)) + element)
