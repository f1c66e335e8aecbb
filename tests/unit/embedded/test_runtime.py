import os
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from segserve_server.embedded import runtime
from segserve_server.embedded.errors import RuntimeMissingError


@pytest.fixture
def wheel() -> runtime.Wheel:
    return runtime.find_wheel()


def test_the_installed_wheel_is_found_without_importing_it(wheel: runtime.Wheel) -> None:
    assert os.access(wheel.server, os.X_OK)
    assert wheel.version == (2, 51)
    assert "pytriton" not in sys.modules


def test_without_the_wheel_the_extra_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "WHEEL", "a-wheel-that-is-not-installed")

    with pytest.raises(RuntimeMissingError, match=r"pip install 'segserve-server\[embedded\]'"):
        runtime.find_wheel()


def test_an_unknown_release_of_the_wheel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata.Distribution, "version", "9.0.0")

    with pytest.raises(RuntimeMissingError, match=r"nvidia-pytriton 9\.0\.0 carries an unknown tritonserver"):
        runtime.find_wheel()


def test_a_python_without_a_model_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "STUB_NAME", "stub_of_a_python_to_come")

    with pytest.raises(RuntimeMissingError, match=r"no model process for Python 3\.\d+: use Python 3\.11 or 3\.12"):
        runtime.find_wheel()


def test_the_interpreter_s_shared_library_is_found() -> None:
    assert runtime.find_libpython().name == f"libpython3.{sys.version_info.minor}.so.1.0"


def test_without_a_shared_libpython_the_debian_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtime, "library_folders", lambda: [tmp_path])

    with pytest.raises(RuntimeMissingError, match=rf"apt install libpython3\.{sys.version_info.minor} "):
        runtime.find_libpython()


def test_the_interpreter_s_own_library_comes_before_the_distribution_s() -> None:
    folders = runtime.library_folders()

    assert folders[0] == Path(sys.base_prefix) / "lib"
    assert folders.index(Path(sysconfig.get_config_var("LIBDIR"))) < folders.index(Path("/usr/lib"))


def test_links_are_laid_once_and_survive_a_second_time(wheel: runtime.Wheel, tmp_path: Path) -> None:
    libpython = runtime.find_libpython()

    layout = runtime.lay_links(wheel, libpython, tmp_path)
    assert runtime.lay_links(wheel, libpython, tmp_path) == layout

    laid = {path.name: path.readlink() for path in (layout.backends / "python").iterdir()}
    assert laid == {
        "libtriton_python.so": wheel.backend / "libtriton_python.so",
        "triton_python_backend_utils.py": wheel.backend / "triton_python_backend_utils.py",
        "triton_python_backend_stub": wheel.stub,
    }


def test_a_link_that_points_elsewhere_is_put_right(wheel: runtime.Wheel, tmp_path: Path) -> None:
    libpython = runtime.find_libpython()
    stub = runtime.lay_links(wheel, libpython, tmp_path).backends / "python" / wheel.stub.name
    stub.unlink()
    stub.symlink_to("/nowhere")

    runtime.lay_links(wheel, libpython, tmp_path)

    assert stub.readlink() == wheel.stub


def test_libpython_lies_in_a_folder_of_its_own(wheel: runtime.Wheel, tmp_path: Path) -> None:
    layout = runtime.lay_links(wheel, runtime.find_libpython(), tmp_path)

    assert [path.name for path in layout.libraries.iterdir()] == [runtime.libpython_name()]


def test_a_cache_folder_that_cannot_be_written_is_named(wheel: runtime.Wheel, tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.touch()

    with pytest.raises(RuntimeMissingError, match=r"cannot write to the cache folder .*file .*XDG_CACHE_HOME"):
        runtime.lay_links(wheel, runtime.find_libpython(), occupied)


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert runtime.cache_folder() == tmp_path / "segserve"

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert runtime.cache_folder() == Path("/home/somebody/.cache/segserve")


def test_this_interpreter_comes_first_for_model_processes(
    wheel: runtime.Wheel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    layout = runtime.lay_links(wheel, runtime.find_libpython(), tmp_path)

    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "0")

    environment = runtime.server_environment(wheel, layout)

    assert environment["MALLOC_MMAP_THRESHOLD_"] == "33554432"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "0"  # what the user says goes first
    assert environment["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert environment["LD_LIBRARY_PATH"] == f"{wheel.libraries}:{layout.libraries}:/opt/lib"
