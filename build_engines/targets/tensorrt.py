"""The TensorRT targets: one builder for TensorRT (10.12 to 11.x) and TensorRT for RTX, over the module passed in.

Only what both have is used: strongly typed networks, the ONNX parser, optimisation profiles, a timing cache. Precision
comes from the graph, never from a builder flag, which TensorRT 11 no longer has.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from build_engines.errors import GraphError, TargetError
from build_engines.progress import Progress
from build_engines.storage import write_together
from build_engines.targets.engine import Engine, UInt8Array
from segserve_server.engines.machine import Machine
from segserve_server.repository.manifest import Profile, Target

MODULES = {Target.TENSORRT: "tensorrt", Target.TENSORRT_RTX: "tensorrt_rtx_bindings"}
_PACKAGES = {Target.TENSORRT: "tensorrt", Target.TENSORRT_RTX: "tensorrt-rtx-cu12-bindings tensorrt-rtx-cu12-libs"}
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class TensorRtOptions:
    """Build switches. ``compute_capability``: for TensorRT for RTX, which builds without a GPU, for example ``8.9``."""

    version_compatible: bool = False
    hardware_compatible: bool = False
    compute_capability: str | None = None
    workspace_gib: int = 4
    timing_cache: Path | None = None


def import_tensorrt(target: Target, machine: Machine) -> Any:
    """The module that builds for a target. Raises TargetError where there is no GPU, or no such package."""
    if target is Target.TENSORRT and machine.gpu is None:
        raise TargetError(
            "a TensorRT plan is built on the GPU that serves it, and this machine shows none (nvidia-smi). Run this in "
            "the serving container on the GPU server (docs/gpu-runner.md), or try the graph "
            "here with --target tensorrt-rtx"
        )
    try:
        return importlib.import_module(MODULES[target])
    except ImportError as error:
        raise TargetError(
            f"{MODULES[target]} cannot be imported ({error}): pip install {_PACKAGES[target]}; for --target "
            "tensorrt the "
            "version must be that of the container's TensorRT"
        ) from error


def build_tensorrt(
    module: Any, model: onnx.ModelProto, profile: Profile, options: TensorRtOptions, progress: Progress
) -> bytes:
    """A serialised engine of a graph whose types say its precision. Raises GraphError or TargetError."""
    log = _make_log(module)
    builder = module.Builder(log)
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, log)
    if not parser.parse(model.SerializeToString()):
        raise GraphError(f"TensorRT cannot read the graph: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, options.workspace_gib * _GIB)
    _apply_options(module, config, options)
    shapes = builder.create_optimization_profile()
    source = network.get_input(0)
    rest = tuple(source.shape)[1:]
    shapes.set_shape(source.name, *((batch, *rest) for batch in (profile.minimum, profile.preferred, profile.maximum)))
    config.add_optimization_profile(shapes)
    config.progress_monitor = _make_monitor(module, progress)
    cache = _load_timing_cache(config, options.timing_cache)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise TargetError(f"TensorRT could not build the engine: {log.last_error or 'it did not say why'}")
    if options.timing_cache is not None and cache is not None:
        write_together({options.timing_cache: bytes(cache.serialize())})
    return bytes(engine)


def _apply_options(module: Any, config: Any, options: TensorRtOptions) -> None:
    if options.version_compatible:
        config.set_flag(module.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = module.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.compute_capability is None:
        return
    name = f"SM{options.compute_capability.replace('.', '')}"
    known = getattr(module, "ComputeCapability", None)
    if known is None or name not in known.__members__:
        raise TargetError(
            f"{module.__name__} does not build for compute capability {options.compute_capability}; it knows "
            f"{', '.join(sorted(known.__members__)) if known else 'only the GPU of this machine'}"
        )
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(known.__members__[name], 0):
        raise TargetError(f"{module.__name__} refuses compute capability {options.compute_capability}")


def _load_timing_cache(config: Any, path: Path | None) -> Any:
    """A timing cache from an earlier build, or an empty one; None where none is wanted."""
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")  # of another GPU or version: begin a new one
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _parser_errors(parser: Any) -> str:
    lines = []
    for number in range(parser.num_errors):
        error = parser.get_error(number)
        node = error.node_name() or error.node_operator()
        lines.append(f"{error.node_operator()} ({node}): {str(error.desc()).strip().splitlines()[0]}")
    return "; ".join(lines) or "it did not say why"


def _make_log(module: Any) -> Any:
    """A logger that keeps the last error and prints nothing: what matters is raised."""

    class Log(module.ILogger):  # type: ignore[misc]  # the base class comes from the module passed in
        def __init__(self) -> None:
            super().__init__()
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= int(module.ILogger.Severity.ERROR):
                self.last_error = message

    return Log()


def _make_monitor(module: Any, progress: Progress) -> Any:
    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            progress.part(phase, step + 1, self._steps.get(phase, 0))
            return True

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()


class TensorRtEngine:
    """A plan on this machine's GPU, run by polygraphy; of ``tensorrt`` only."""

    def __init__(self, plan: bytes) -> None:
        from polygraphy.backend.trt import EngineFromBytes, TrtRunner

        self._runner = TrtRunner(EngineFromBytes(plan))
        self._runner.activate()
        self._input = next(iter(self._runner.get_input_metadata()))

    def infer(self, images: UInt8Array) -> UInt8Array:
        """uint8 [N, H, W, 3] to uint8 [N, C, H, W], probability x 255."""
        outputs = self._runner.infer({self._input: images})
        result: UInt8Array = next(iter(outputs.values())).copy()
        return result


def open_tensorrt(plan: bytes) -> Engine:
    """The plan, ready to run."""
    return TensorRtEngine(plan)
