"""One build: graph to engine, parity, and only then into the place where the server looks."""

import dataclasses
import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from build_engines.errors import GraphError, TargetError
from build_engines.half import to_bf16, to_fp16
from build_engines.heights import all_heights, fix_height, free_height
from build_engines.layout import cast_first, fold
from build_engines.parity import Gates, Parity, measure_parity
from build_engines.parity_report import write_report
from build_engines.photographs import digest, find_photographs, model_inputs
from build_engines.pipeline import Pipeline, load_served_graph
from build_engines.progress import Progress
from build_engines.rounding import round_weights
from build_engines.storage import write_together
from build_engines.targets.engine import Engine, LitRowsReference, OnnxRuntimeEngine, UInt8Array
from build_engines.targets.int8 import to_int8
from build_engines.targets.onnxruntime import build_onnxruntime
from build_engines.targets.openvino import PRECISIONS, build_openvino, open_openvino
from build_engines.targets.tensorrt import TensorRtOptions, build_tensorrt, import_tensorrt, open_tensorrt
from segserve_server.engines.machine import Machine, this_machine
from segserve_server.engines.openvino import NO_BFLOAT16, engine_path, has_bfloat16
from segserve_server.repository.manifest import (
    Manifest,
    Precision,
    Profile,
    Target,
    check_engine,
    manifest_path,
    read_manifest,
    to_json,
)
from segserve_server.repository.problem import RepositoryError
from segserve_server.repository.weights import sha256_of_file

_CALIBRATED = (Precision.INT8, Precision.BF16)
_MAX_CALIBRATION = {Precision.INT8: 300, Precision.BF16: 20}  # means settle sooner than extremes
_ENOUGH_FOR_INT8 = 50


@dataclass(frozen=True)
class BuildRequest:
    """What to build and how to judge it.

    ``photographs``: folder to compare on; ``calibration``: folder for INT8 and BF16. ``report``: folder for the parity
    page. ``command``: what the manifest says to run again.
    """

    pipeline: Pipeline
    target: Target
    precision: Precision
    photographs: Path
    calibration: Path
    max_photographs: int
    gates: Gates
    report: Path
    options: TensorRtOptions
    command: str


@dataclass(frozen=True)
class BuildResult:
    """``reused``: it was there already. ``failures``: the gates it does not pass; it was not put in place then."""

    engine: Path
    manifest: Manifest
    size: int
    seconds: float
    reused: bool
    parity: Parity | None = None
    failures: tuple[str, ...] = ()


def built_path(pipeline: Pipeline, target: Target, precision: Precision) -> Path:
    """Where the server looks for an engine.

    Raises TargetError for a precision that the target does not have, or that this CPU would not compute in.
    """
    folder = pipeline.version_folder
    if target in (Target.TENSORRT, Target.TENSORRT_RTX) and precision is Precision.INT8:
        raise TargetError(
            "TensorRT takes INT8 with signed, symmetric activations only, which lose too many "
            "lesions (docs/engines.md): build fp16 or bf16"
        )
    if target is Target.OPENVINO:
        if precision not in PRECISIONS:
            raise TargetError(f"OpenVINO on a CPU runs bf16, fp32 and int8, not {precision.value}")
        if precision is Precision.BF16 and not has_bfloat16():
            raise TargetError(f"{NO_BFLOAT16}: build fp32, or build it on the CPU that serves it")
        return engine_path(pipeline.onnx, PRECISIONS[precision])
    if target is Target.ONNXRUNTIME:
        if precision is Precision.BF16:
            raise TargetError("ONNX Runtime has no bf16 convolutions: build fp16, fp32 or int8")
        return folder / "model.onnxruntime.onnx"
    if target is Target.TENSORRT_RTX:
        return folder / f"model.rtx-{precision.value}.engine"
    return folder / str(pipeline.segment.config.default_model_filename or "model.plan")


def build(request: BuildRequest, progress: Progress) -> BuildResult:
    """Build, compare and install an engine, or find that it is there already. Raises BuildError."""
    pipeline = request.pipeline
    engine = built_path(pipeline, request.target, request.precision)
    model, _ = load_served_graph(pipeline)
    calibration: Sequence[Path] = ()
    if request.precision in _CALIBRATED:
        calibration = find_photographs(request.calibration, _MAX_CALIBRATION[request.precision])
    draft = _draft_manifest(request, calibration, this_machine())
    present = _still_valid(engine, draft)
    if present is not None:
        failures = request.gates.failures(present.parity) if present.parity else ()
        return BuildResult(engine, present, engine.stat().st_size, progress.seconds, True, failures=failures)
    content, machine = _build_engine(request, model, calibration, progress)
    parity, failures, note = _judge(request, content, progress)
    manifest = dataclasses.replace(
        draft,
        engine_sha256=hashlib.sha256(content).hexdigest(),
        machine=machine,
        parity=parity.figures if parity else None,
        parity_note=note,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    if not failures:
        write_together({manifest_path(engine): to_json(manifest).encode(), engine: content})
    return BuildResult(engine, manifest, len(content), progress.seconds, False, parity, failures)


def open_engine(target: Target, precision: Precision, content: bytes) -> Engine:
    """An engine's bytes, ready to run on this machine. Raises TargetError for one that cannot."""
    if target is Target.OPENVINO:
        return open_openvino(content, PRECISIONS[precision])
    if target is Target.ONNXRUNTIME:
        return OnnxRuntimeEngine(content)
    if target is Target.TENSORRT:
        return open_tensorrt(content)
    raise TargetError("an engine of TensorRT for RTX runs on its own GPU only")


def open_reference(target: Target, model: Path) -> Engine:
    """What an engine of that target is compared with: the unchanged ONNX in FP32."""
    return LitRowsReference(model) if target is Target.OPENVINO else OnnxRuntimeEngine(model)


def _draft_manifest(request: BuildRequest, calibration: Sequence[Path], machine: Machine) -> Manifest:
    pipeline, switches = request.pipeline, request.options
    options: dict[str, str] = {}
    if request.target in (Target.TENSORRT, Target.TENSORRT_RTX):
        options["version_compatible"] = str(switches.version_compatible).lower()
        options["hardware_compatible"] = str(switches.hardware_compatible).lower()
        if switches.compute_capability is not None:
            options["compute_capability"] = switches.compute_capability
    if calibration:
        options |= {"calibration_images": str(len(calibration)), "calibration_sha256": digest(calibration)}
    uses_profile = request.target in (Target.TENSORRT, Target.TENSORRT_RTX)
    return Manifest(
        model=pipeline.segment.name,
        version=pipeline.version,
        target=request.target,
        precision=request.precision,
        onnx_sha256=sha256_of_file(pipeline.onnx),
        engine_sha256="",
        profile=pipeline.profile if uses_profile else None,
        options=options,
        machine=machine,
        parity=None,
        parity_note="",
        created="",
        command=request.command,
    )


def _still_valid(engine: Path, wanted: Manifest) -> Manifest | None:
    """The manifest of the engine that is there, if it was built from the same inputs and fits this machine."""
    try:
        present = read_manifest(manifest_path(engine))
    except RepositoryError:
        return None
    if not engine.is_file() or check_engine(engine, wanted.machine):
        return None
    same = dataclasses.replace(
        wanted,
        engine_sha256=present.engine_sha256,
        machine=present.machine,
        parity=present.parity,
        parity_note=present.parity_note,
        created=present.created,
        command=present.command,
    )
    return present if same == present else None


def _build_engine(
    request: BuildRequest, model: onnx.ModelProto, calibration: Sequence[Path], progress: Progress
) -> tuple[bytes, Machine]:
    """The engine and the machine it is for."""
    machine = this_machine()
    images = model_inputs(calibration, request.pipeline.preprocess.settings)
    if images:
        progress.stage(f"calibrating on {len(images)} photographs")
    if request.precision is Precision.INT8 and len(images) < _ENOUGH_FOR_INT8:
        progress.stage(f"fewer than {_ENOUGH_FOR_INT8} photographs are for trying out, not for patients")
    if request.target is Target.OPENVINO:
        return _build_openvino(request, model, images, progress), machine
    module = None
    if request.target in (Target.TENSORRT, Target.TENSORRT_RTX):
        module = import_tensorrt(request.target, machine)
    name = request.pipeline.onnx.name
    progress.stage(f"preparing the graph in {request.precision.value}")
    graph = cast_first(fold(model, name))
    if request.precision is Precision.INT8:
        graph = to_int8(graph, images)
    elif request.precision is Precision.FP16:
        graph = to_fp16(graph, name)
    elif request.precision is Precision.BF16:
        graph = to_bf16(round_weights(graph, images), name)
    if module is None:
        progress.stage("optimising for ONNX Runtime")
        return build_onnxruntime(graph), machine
    profile: Profile = request.pipeline.profile
    progress.stage(f"building for batches {profile.minimum}, {profile.preferred}, {profile.maximum}")
    content = build_tensorrt(module, graph, profile, request.options, progress)
    if request.target is Target.TENSORRT:
        machine = dataclasses.replace(machine, tensorrt=module.__version__)  # the builder's, if it is not Triton's
    return content, machine


def _build_openvino(
    request: BuildRequest, model: onnx.ModelProto, images: Sequence[UInt8Array], progress: Progress
) -> bytes:
    content = request.pipeline.onnx.read_bytes()
    if request.precision is Precision.BF16:
        folded = fold(free_height(model), request.pipeline.onnx.name)
        content = fix_height(round_weights(folded, images), all_heights(model)[0]).SerializeToString()
    progress.stage("compiling for OpenVINO")
    try:
        return build_openvino(content, PRECISIONS[request.precision], images)
    except RuntimeError as error:
        raise GraphError(f"OpenVINO cannot compile the graph: {str(error).strip().splitlines()[-1]}") from error


def _judge(request: BuildRequest, content: bytes, progress: Progress) -> tuple[Parity | None, tuple[str, ...], str]:
    """The parity, the gates it fails and why there is none."""
    try:
        engine = open_engine(request.target, request.precision, content)
    except TargetError as error:
        return None, (), str(error)
    photographs = find_photographs(request.photographs, request.max_photographs)
    progress.stage(f"comparing with FP32 on {len(photographs)} photographs")
    reference = open_reference(request.target, request.pipeline.onnx)
    parity = measure_parity(engine, reference, request.pipeline, photographs, progress)
    title = f"{request.pipeline.segment.name}, {request.target.value} {request.precision.value}"
    write_report(
        request.report,
        parity,
        gates=request.gates,
        title=title,
        pipeline=request.pipeline,
    )
    return parity, request.gates.failures(parity.figures), ""
