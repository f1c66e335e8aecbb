"""A full disk leaves what was there before, and nothing half written."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from build_engines.errors import StorageError
from build_engines.storage import folders_or_nothing, write_together


@contextmanager
def full_disk(after_bytes: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the write fails as on a full disk, for real."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_files_are_written_with_their_folders_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    write_together({path: b"x", tmp_path / "c": b"y"})
    assert (path.read_bytes(), (tmp_path / "c").read_bytes()) == (b"x", b"y")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_keeps_the_old_files_both_of_them(tmp_path: Path) -> None:
    engine, manifest = tmp_path / "engine", tmp_path / "manifest"
    write_together({engine: b"old", manifest: b"old"})
    with full_disk(1000), pytest.raises(StorageError, match=r"engine could not be written .*nothing was changed"):
        write_together({manifest: b"new", engine: b"n" * 5000})
    assert (engine.read_bytes(), manifest.read_bytes()) == (b"old", b"old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["engine", "manifest"]


def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    with full_disk(1000), pytest.raises(StorageError):
        write_together({tmp_path / "new" / "engine": b"n" * 5000})
    assert list((tmp_path / "new").iterdir()) == []


def _make_folders(parent: Path, *names: str, content: bytes = b"") -> None:
    with folders_or_nothing(parent) as staging:
        for name in names:
            (staging / name).mkdir()
            (staging / name / "weights").write_bytes(content)


def test_folders_appear_together(tmp_path: Path) -> None:
    _make_folders(tmp_path, "a", "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_full_disk_leaves_no_folder(tmp_path: Path) -> None:
    with full_disk(1000), pytest.raises(StorageError):
        _make_folders(tmp_path, "a", content=b"n" * 5000)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_already_is_kept_and_the_others_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "precious").write_text("")
    with pytest.raises(StorageError):
        _make_folders(tmp_path, "a", "b")
    assert [path.name for path in tmp_path.rglob("*")] == ["b", "precious"]
