"""What an engine depends on: the processor, the graphics card and the versions of their libraries.

Needs nothing but the standard library. What is not there is None, never an error.
"""

import ctypes
import functools
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
# The ones that decide which kernels OpenVINO picks; every other flag is noise in a manifest.
_INSTRUCTION_SETS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "i8mm",
    "sve",
)
_TENSORRT_LIBRARIES = ("libnvinfer.so.11", "libnvinfer.so.10")
_SMI_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first graphics card that the driver lists. ``compute_capability``: for example ``8.9``."""

    name: str
    compute_capability: str
    driver: str


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine as an engine sees it; versions are those of the installed libraries.

    ``cuda``: the newest CUDA that the driver supports. ``tensorrt``: the library that the loader would give to Triton,
    or else the Python package.
    """

    cpu: str
    instruction_sets: tuple[str, ...]
    gpu: Gpu | None = None
    cuda: str | None = None
    openvino: str | None = None
    onnxruntime: str | None = None
    tensorrt: str | None = None
    tensorrt_rtx: str | None = None


@functools.cache
def this_machine() -> Machine:
    """Look once; a machine does not change under a running process."""
    cpu, instruction_sets = _read_cpu()
    return Machine(
        cpu=cpu,
        instruction_sets=instruction_sets,
        gpu=_ask_driver(),
        cuda=_cuda_version(),
        openvino=_package_version("openvino"),
        onnxruntime=_package_version("onnxruntime") or _package_version("onnxruntime-gpu"),
        tensorrt=tensorrt_library_version(_TENSORRT_LIBRARIES) or _package_version("tensorrt"),
        tensorrt_rtx=_package_version("tensorrt-rtx-cu12-libs") or _package_version("tensorrt-rtx-cu13-libs"),
    )


def tensorrt_library_version(names: tuple[str, ...]) -> str | None:
    """The version that the first loadable of these shared libraries states, ``major.minor.patch.build``."""
    for name in names:
        try:
            library = ctypes.CDLL(name)
            parts = [getattr(library, f"getInferLib{part}Version")() for part in ("Major", "Minor", "Patch", "Build")]
        except (OSError, AttributeError):
            continue
        return ".".join(str(part) for part in parts)
    return None


def _read_cpu() -> tuple[str, tuple[str, ...]]:
    name, flags = platform.processor() or platform.machine(), frozenset[str]()
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return name, ()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = frozenset(value.split())
            break
    return name, tuple(one for one in _INSTRUCTION_SETS if one in flags)


def _ask_driver() -> Gpu | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    fields = [field.strip() for field in answer.strip().partition("\n")[0].split(",")]
    return Gpu(*fields) if len(fields) == 3 else None


def _cuda_version() -> str | None:
    number = ctypes.c_int()
    try:
        failed = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return None if failed else f"{number.value // 1000}.{number.value % 1000 // 10}"


def _package_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
