"""Finds what the embedded server is made of: tritonserver in its wheel, the Python stub, the shared libpython.

The wheel `nvidia-pytriton` carries a tritonserver with the Python backend and a stub for each CPython. Only its files
are used: the package is never imported. tritonserver wants backends laid out as `<directory>/python/` with the stub
beside the backend's library; the wheel keeps the stubs apart, so such a directory of links is laid in a cache folder.
A folder with a link to libpython alone lies there too: were all of /usr/lib put on LD_LIBRARY_PATH, its libraries
would take the place of those that packages such as OpenVINO bring along.
"""

import os
import sys
import sysconfig
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from segserve_server.embedded.errors import RuntimeMissingError
from segserve_server.embedded.flags import Version
from segserve_server.embedded.procfs import STUB_NAME

WHEEL = "nvidia-pytriton"

#: tritonserver's version by the wheel's: the binary has no flag that prints its own.
_TRITON_OF_WHEEL: dict[str, Version] = {"0.7": (2, 51)}

_BACKEND_FILES = ("libtriton_python.so", "triton_python_backend_utils.py")


@dataclass(frozen=True)
class Wheel:
    """The installed wheel.

    Attributes:
        server: the tritonserver program.
        backend: the Python backend's folder.
        stub: the model process for this interpreter's version.
        libraries: the folder of shared libraries that the three link.
        version: tritonserver's version.
    """

    server: Path
    backend: Path
    stub: Path
    libraries: Path
    version: Version


@dataclass(frozen=True)
class Layout:
    """The directories laid in the cache.

    Attributes:
        backends: what `--backend-directory` names.
        libraries: a folder that holds libpython and nothing else.
    """

    backends: Path
    libraries: Path


#: glibc keeps what an image's buffers take, up to 128 MB per process, instead of having pages cleared for each image
#: anew (docs/performance.md). Buffers of over 32 MB, those of huge photographs, still go back at once.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}


@dataclass(frozen=True)
class TritonRuntime:
    """Everything that starting a tritonserver takes.

    Attributes:
        server: the tritonserver program.
        version: its version.
        backend_directory: what `--backend-directory` names.
        environment: the environment to start it with.
    """

    server: Path
    version: Version
    backend_directory: Path
    environment: dict[str, str]


def find_wheel() -> Wheel:
    """The installed nvidia-pytriton; RuntimeMissingError if it or a part of it is not there."""
    try:
        distribution = metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError:
        raise RuntimeMissingError(
            f"the embedded server needs the package {WHEEL}: pip install 'segserve-server[embedded]'"
        ) from None
    site = Path(str(distribution.locate_file("")))
    home = site / "pytriton" / "tritonserver"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    version = _TRITON_OF_WHEEL.get(".".join(distribution.version.split(".")[:2]))
    if version is None:
        raise RuntimeMissingError(
            f"{WHEEL} {distribution.version} carries an unknown tritonserver: "
            "pip install 'segserve-server[embedded]' brings the right one"
        )
    wheel = Wheel(
        server=home / "bin" / "tritonserver",
        backend=home / "backends" / "python",
        stub=home / "python_backend_stubs" / python / STUB_NAME,
        libraries=site / "nvidia_pytriton.libs",
        version=version,
    )
    if not wheel.stub.exists():
        raise RuntimeMissingError(
            f"{WHEEL} {distribution.version} has no model process for Python {python}: use Python 3.11 or 3.12"
        )
    for part in (wheel.server, wheel.libraries, *(wheel.backend / name for name in _BACKEND_FILES)):
        if not part.exists():
            raise RuntimeMissingError(
                f"{WHEEL} is incomplete, {part.name} is missing: pip install --force-reinstall {WHEEL}"
            )
    return wheel


def libpython_name() -> str:
    """The file name of this interpreter's shared library, as the stub links it."""
    return f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"


def library_folders() -> list[Path]:
    """Where to look for libpython: the interpreter's own folders, then the distribution's."""
    configured = sysconfig.get_config_var("LIBDIR")
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    own = [Path(sys.base_prefix) / "lib", *([Path(configured)] if configured else [])]
    return own + [Path(folder) for folder in (f"/usr/lib/{multiarch}", "/usr/lib64", "/usr/local/lib", "/usr/lib")]


def find_libpython() -> Path:
    """This interpreter's shared library; RuntimeMissingError if there is none."""
    for folder in library_folders():
        if (folder / libpython_name()).exists():
            return folder / libpython_name()
    package = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
    raise RuntimeMissingError(
        f"the shared library {libpython_name()} is missing: apt install {package} (Debian, Ubuntu), "
        "or use an interpreter built with --enable-shared"
    )


def cache_folder() -> Path:
    """Where files that can be made again are kept: $XDG_CACHE_HOME/segserve, by default ~/.cache/segserve."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segserve"


def lay_links(wheel: Wheel, libpython: Path, cache: Path) -> Layout:
    """Lay links to the wheel's backend and stub, and to libpython, under `cache`.

    Doing it again, or twice at a time, changes nothing: each link is put in place by a rename.
    """
    # One folder per wheel and interpreter, so that two environments never pull links from under each other.
    key = sha256(f"{wheel.stub}\n{libpython}".encode()).hexdigest()[:12]
    home = cache / f"triton-{key}"
    layout = Layout(backends=home / "backends", libraries=home / "lib")
    python_backend = layout.backends / "python"
    try:
        for target in (*(wheel.backend / name for name in _BACKEND_FILES), wheel.stub):
            _lay_link(python_backend / target.name, target)
        _lay_link(layout.libraries / libpython.name, libpython)
    except OSError as error:
        raise RuntimeMissingError(
            f"cannot write to the cache folder {cache} ({error.strerror}): name another with XDG_CACHE_HOME"
        ) from error
    return layout


def _lay_link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def server_environment(wheel: Wheel, layout: Layout) -> dict[str, str]:
    """The environment that tritonserver and its model processes start with.

    The stub takes its packages from the first `python3` on PATH (it ignores PYTHONPATH), so this interpreter's bin
    folder goes first: a virtual environment's packages, editable ones too, are then those of its models.
    """
    environment = ALLOCATOR | os.environ
    libraries = [str(wheel.libraries), str(layout.libraries)]
    environment["LD_LIBRARY_PATH"] = _join(libraries, environment.get("LD_LIBRARY_PATH"))
    environment["PATH"] = _join([str(Path(sys.executable).parent)], environment.get("PATH", os.defpath))
    return environment


def find_runtime(cache: Path | None = None) -> TritonRuntime:
    """Everything that starting a tritonserver takes; RuntimeMissingError says what is not there."""
    wheel = find_wheel()
    layout = lay_links(wheel, find_libpython(), cache or cache_folder())
    return TritonRuntime(
        server=wheel.server,
        version=wheel.version,
        backend_directory=layout.backends,
        environment=server_environment(wheel, layout),
    )


def _join(first: list[str], rest: str | None) -> str:
    return os.pathsep.join([*first, *([rest] if rest else [])])
