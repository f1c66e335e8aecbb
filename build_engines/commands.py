"""What each command does with its parsed arguments; True where everything passed. All raise BuildError."""

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path

from build_engines.build import BuildRequest, BuildResult, build, built_path, open_engine, open_reference
from build_engines.classes_file import read_classes
from build_engines.compose import Composition, Normalisation, compose
from build_engines.errors import GraphError, TargetError
from build_engines.graph import load_graph, read_signature
from build_engines.importer import ImportRequest, import_pipeline
from build_engines.parity import Gates, measure_parity
from build_engines.parity_report import format_table, write_report
from build_engines.photographs import find_photographs
from build_engines.pipeline import Pipeline, load_pipeline, load_served_graph
from build_engines.progress import Progress
from build_engines.storage import write_together
from build_engines.targets.tensorrt import TensorRtOptions
from segserve_server.engines.machine import this_machine
from segserve_server.repository.manifest import Target, check_engine

_REPORTS = Path("out") / "parity"
_TIMING_CACHE = Path(".cache") / "build_engines" / "tensorrt.timing"
_MIB = 2**20


def run_build(arguments: argparse.Namespace) -> bool:
    """``build``."""
    pipeline = load_pipeline(arguments.repository, arguments.pipeline)
    result = build(_build_request(arguments, pipeline), Progress())
    if result.parity is not None:
        _say(format_table(result.parity))
    _say(_summary(result, pipeline))
    return _report_failures(result.failures, "" if result.reused else "; it was not put in place")


def run_parity(arguments: argparse.Namespace) -> bool:
    """``parity``."""
    pipeline = load_pipeline(arguments.repository, arguments.pipeline)
    load_served_graph(pipeline)
    path = built_path(pipeline, arguments.target, arguments.precision)
    if not path.is_file():
        raise TargetError(f"{path.name} is not built yet: run build with the same --target and --precision first")
    problems = check_engine(path, this_machine())
    if problems:
        raise TargetError(problems[0])
    engine = open_engine(arguments.target, arguments.precision, path.read_bytes())
    reference = open_reference(arguments.target, pipeline.onnx)
    photographs = find_photographs(arguments.photos, arguments.max_photos)
    parity = measure_parity(engine, reference, pipeline, photographs, Progress())
    gates = _gates(arguments)
    page = write_report(
        _report_folder(arguments, pipeline),
        parity,
        gates=gates,
        title=f"{pipeline.segment.name}, {arguments.target.value} {arguments.precision.value}",
        pipeline=pipeline,
    )
    _say(format_table(parity))
    _say(f"report: {page}")
    return _report_failures(gates.failures(parity.figures), "")


def run_compose(arguments: argparse.Namespace) -> bool:
    """``compose``."""
    members = [(path.name, load_graph(path)) for path in arguments.members]
    composition = _composition(arguments)
    if composition is None:
        raise GraphError("say --activation sigmoid or softmax: the members give logits")
    served = compose(members, composition)
    signature = read_signature(served, arguments.output.name)
    content = served.SerializeToString()
    write_together({arguments.output: content})
    _say(
        f"{arguments.output}: {len(members)} members, {len(composition.all_views)} views, grid {signature.grid}, "
        f"{signature.channels} classes, {len(content) / _MIB:.1f} MiB"
    )
    return True


def run_import(arguments: argparse.Namespace) -> bool:
    """``import``."""
    template = load_pipeline(arguments.template_repository, arguments.template)
    folders = import_pipeline(
        ImportRequest(
            onnx=arguments.onnx,
            name=arguments.name,
            classes=read_classes(arguments.classes),
            composition=_composition(arguments),
            grid=arguments.grid,
            crop=arguments.crop,
            clahe_clip_limit=arguments.clahe,
            template=template,
            repository=arguments.repository,
        )
    )
    _say(f"wrote {', '.join(folder.name for folder in folders)} into {arguments.repository}")
    _say(f"serve it: segserve-server serve --repository {arguments.repository}")
    return True


def _build_request(arguments: argparse.Namespace, pipeline: Pipeline) -> BuildRequest:
    target: Target = arguments.target
    return BuildRequest(
        pipeline=pipeline,
        target=target,
        precision=arguments.precision,
        photographs=arguments.photos,
        calibration=arguments.calibration or arguments.photos,
        max_photographs=arguments.max_photos,
        gates=_gates(arguments),
        report=_report_folder(arguments, pipeline),
        options=TensorRtOptions(
            version_compatible=arguments.version_compatible,
            hardware_compatible=arguments.hardware_compatible,
            compute_capability=arguments.compute_capability if target is Target.TENSORRT_RTX else None,
            workspace_gib=arguments.workspace_gib,
            timing_cache=_TIMING_CACHE if target is Target.TENSORRT else None,
        ),
        command=_command(arguments),
    )


def _command(arguments: argparse.Namespace) -> str:
    """What builds this engine again: the switches that decide it, without this machine's folders."""
    words = ["python", "-m", "build_engines", "build", arguments.pipeline]
    words += ["--target", arguments.target.value, "--precision", arguments.precision.value]
    for switch in ("version_compatible", "hardware_compatible"):
        words += [f"--{switch.replace('_', '-')}"] if getattr(arguments, switch) else []
    if arguments.target is Target.TENSORRT_RTX:
        words += ["--compute-capability", arguments.compute_capability]
    return shlex.join(words)


def _gates(arguments: argparse.Namespace) -> Gates:
    defaults = Gates.for_precision(arguments.precision)
    mean, worst = arguments.gate_mean_dice, arguments.gate_worst_dice
    return Gates(
        defaults.mean_dice if mean is None else mean,
        defaults.worst_dice if worst is None else worst,
    )


def _report_folder(arguments: argparse.Namespace, pipeline: Pipeline) -> Path:
    name = f"{pipeline.segment.name}-{arguments.target.value}-{arguments.precision.value}"
    folder: Path = arguments.report or _REPORTS / name
    return folder


def _composition(arguments: argparse.Namespace) -> Composition | None:
    """None where nothing of it was asked for."""
    asked = (arguments.mean, arguments.std, arguments.temperature, arguments.background)
    if arguments.activation is None:
        if any(value is not None for value in asked) or arguments.tta:
            raise GraphError("--mean, --std, --temperature, --tta and --background need --activation")
        return None
    defaults = Normalisation()
    composition = Composition(
        activation=arguments.activation,
        normalisation=Normalisation(arguments.mean or defaults.mean, arguments.std or defaults.std),
        temperature=1.0 if arguments.temperature is None else arguments.temperature,
        views=arguments.tta,
        background=arguments.background,
    )
    if not hasattr(arguments, "average"):  # import takes one member, so there is nothing to average but views
        return composition
    return dataclasses.replace(
        composition, averaging=arguments.average, floor=arguments.floor, vote_threshold=arguments.vote_threshold
    )


def _summary(result: BuildResult, pipeline: Pipeline) -> str:
    manifest = result.manifest
    figures = manifest.parity
    parity = (
        f"Dice {figures.mean_dice:.4f} (worst {figures.worst_dice:.4f}) on {figures.images} photographs"
        if figures
        else f"no parity ({manifest.parity_note})"
    )
    done = "is up to date, nothing rebuilt" if result.reused else f"{result.seconds:.1f} s"
    return (
        f"{pipeline.onnx.name} -> {result.engine.name}: {manifest.target.value} {manifest.precision.value}, "
        f"{result.size / _MIB:.1f} MiB, {done}, {parity}"
    )


def _report_failures(failures: tuple[str, ...], consequence: str) -> bool:
    for failure in failures:
        _say(f"parity gate not passed: {failure}{consequence}", error=True)
    return not failures


def _say(text: str, *, error: bool = False) -> None:
    (sys.stderr if error else sys.stdout).write(text + "\n")
