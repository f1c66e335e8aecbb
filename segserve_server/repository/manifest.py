"""The manifest beside each built engine: what it was built from, and whether it fits this machine."""

import dataclasses
import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segserve_server.engines.machine import Gpu, Machine
from segserve_server.repository.problem import Problem, RepositoryError
from segserve_server.repository.weights import FILE_NAME, sha256_of_file

MANIFEST_SUFFIX = ".manifest.json"
SCHEMA_VERSION = 1
_AMPERE = 8  # compute capability from which hardware-compatible plans run


class Target(enum.Enum):
    """What runs an engine."""

    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"


class Precision(enum.Enum):
    """Arithmetic inside an engine; its input and output are UINT8 whatever this is."""

    FP16 = "fp16"
    BF16 = "bf16"
    FP32 = "fp32"
    INT8 = "int8"


_PATTERNS = {
    Target.TENSORRT: "*.plan",
    Target.TENSORRT_RTX: "*.engine",
    Target.OPENVINO: "*.blob",
    Target.ONNXRUNTIME: "*.onnxruntime.onnx",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Batch sizes that an engine was built for: smallest, the one it is tuned for, largest."""

    minimum: int
    preferred: int
    maximum: int


@dataclass(frozen=True, slots=True)
class ParityFigures:
    """How far an engine is from its FP32 reference; differences in probability, 0 to 1, areas in percent.

    ``judged``: pairs of image and class that show enough for a Dice; mean and worst are over those.
    """

    images: int
    judged: int
    mean_dice: float
    worst_dice: float
    mean_difference: float
    largest_difference: float
    lesions_gained: int
    lesions_lost: int
    area_change_percent: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that decides an engine, and what was measured on it.

    ``model``, ``version``: model folder and version folder. ``profile``: None where batches need none.
    ``options``: build switches by name. ``parity``: None where the engine could not run (``parity_note`` says why).
    ``created``: ISO 8601, UTC. ``command``: what builds it again.
    """

    model: str
    version: int
    target: Target
    precision: Precision
    onnx_sha256: str
    engine_sha256: str
    profile: Profile | None
    options: dict[str, str]
    machine: Machine
    parity: ParityFigures | None
    parity_note: str
    created: str
    command: str


def manifest_path(engine: Path) -> Path:
    """Where the manifest of an engine file lies."""
    return engine.with_name(engine.name + MANIFEST_SUFFIX)


def to_json(manifest: Manifest) -> str:
    """The manifest's file content."""
    document = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(manifest)}
    return json.dumps(document, indent=2, default=lambda value: value.value) + "\n"


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises RepositoryError for one that is missing or was not written by ``to_json``."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if raw.pop("schema_version") != SCHEMA_VERSION:
            raise RepositoryError(
                f"{path.name} has another schema version than {SCHEMA_VERSION}: build the engine again"
            )
        machine = raw.pop("machine")
        gpu = machine.pop("gpu")
        sets = tuple(machine.pop("instruction_sets"))
        return Manifest(
            target=Target(raw.pop("target")),
            precision=Precision(raw.pop("precision")),
            profile=_optional(Profile, raw.pop("profile")),
            parity=_optional(ParityFigures, raw.pop("parity")),
            machine=Machine(gpu=_optional(Gpu, gpu), instruction_sets=sets, **machine),
            **raw,
        )
    except OSError as error:
        raise RepositoryError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RepositoryError(f"{path.name} is not an engine's manifest: build the engine again") from error


def _optional(kind: type[Any], raw: dict[str, Any] | None) -> Any:
    return None if raw is None else kind(**raw)


def misfits(manifest: Manifest, machine: Machine) -> tuple[str, ...]:
    """Why the engine cannot be trusted on this machine, one clause each; empty if it fits."""
    built = manifest.machine
    if manifest.target is Target.OPENVINO:
        return _differences(
            ("OpenVINO", built.openvino, machine.openvino),
            ("a CPU with", " ".join(built.instruction_sets), " ".join(machine.instruction_sets)),
        )
    if manifest.target is Target.TENSORRT:
        return _tensorrt_misfits(manifest, machine)
    if manifest.target is Target.TENSORRT_RTX:
        return _differences(("TensorRT for RTX", built.tensorrt_rtx, machine.tensorrt_rtx))
    return ()  # a graph-optimised ONNX runs anywhere


def _tensorrt_misfits(manifest: Manifest, machine: Machine) -> tuple[str, ...]:
    built = manifest.machine
    if machine.gpu is None:
        return ("it needs an NVIDIA GPU and the driver shows none",)
    then, now = built.tensorrt, machine.tensorrt
    if manifest.options.get("version_compatible") == "true" and _runs_newer(then, now):
        then = now
    capability = built.gpu.compute_capability if built.gpu else None
    if manifest.options.get("hardware_compatible") == "true" and _major(machine.gpu.compute_capability) >= _AMPERE:
        capability = machine.gpu.compute_capability
    return _differences(
        ("TensorRT", then, now),
        ("compute capability", capability, machine.gpu.compute_capability),
    )


def _differences(*facts: tuple[str, str | None, str | None]) -> tuple[str, ...]:
    return tuple(
        f"it was built for {what} {then or 'unknown'}, here is {now or 'none'}"
        for what, then, now in facts
        if then != now
    )


def _runs_newer(then: str | None, now: str | None) -> bool:
    """A version-compatible plan runs on the same major version, on its own minor version or a later one."""
    if then is None or now is None:
        return False
    old, new = ([int(part) for part in text.split(".")[:2]] for text in (then, now))
    return old[0] == new[0] and old[1] <= new[1]


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def check_engine(engine: Path, machine: Machine) -> tuple[str, ...]:
    """What is wrong with a built engine, one sentence each with what to do; empty if it may be served here.

    ``engine``: a file in a version folder, its ONNX and its manifest beside it. Raises nothing for bad files: they are
    what this looks for.
    """
    try:
        manifest = read_manifest(manifest_path(engine))
    except RepositoryError as error:
        return (f"{engine.name} cannot be trusted: {error}; build it with python -m build_engines build, or remove it",)
    reasons = list(misfits(manifest, machine))
    source = engine.with_name(FILE_NAME)
    if sha256_of_file(engine) != manifest.engine_sha256:
        reasons.append("it is not the file that its manifest describes")
    if not source.is_file():
        reasons.append(f"{FILE_NAME}, which it was built from, is not beside it")
    elif sha256_of_file(source) != manifest.onnx_sha256:
        reasons.append(f"{FILE_NAME} has changed since it was built")
    return tuple(f"{engine.name} does not fit: {reason}; run: {manifest.command}" for reason in reasons)


def check_engines(repository: Path, targets: frozenset[Target], machine: Machine) -> list[Problem]:
    """Every engine of the repository that these targets would load and that does not fit; empty if all do.

    An engine that is not there is no problem of this check: the CPU variant then compiles the ONNX itself.
    """
    engines = {path for target in targets for path in repository.glob(f"*/*/{_PATTERNS[target]}")}
    problems = []
    for path in repository.glob(f"*/*/*{MANIFEST_SUFFIX}"):
        engine = path.with_name(path.name.removesuffix(MANIFEST_SUFFIX))
        where = str(engine.relative_to(repository))
        try:
            if read_manifest(path).target not in targets:
                continue
        except RepositoryError as error:
            problems.append(Problem(where, str(error)))
            engines.discard(engine)
            continue
        engines.add(engine)
        if not engine.is_file():
            problems.append(
                Problem(where, "the manifest is there but not the engine: build it, or remove the manifest")
            )
    for engine in engines:
        if engine.is_file():
            where = str(engine.relative_to(repository))
            problems += [Problem(where, sentence) for sentence in check_engine(engine, machine)]
    return sorted(problems, key=str)
