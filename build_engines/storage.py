"""Writing files so that the server never sees half of one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build_engines.errors import StorageError


def write_together(contents: dict[Path, bytes]) -> None:
    """Put files in place once all of them are on the disk; a full one leaves what was there. Raises StorageError."""
    staged: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
            staged[path] = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            staged[path].chmod(0o644)  # mkstemp's 0600 would lock out a server under another user
        for path, temporary in staged.items():
            temporary.replace(path)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def folders_or_nothing(parent: Path) -> Iterator[Path]:
    """A new folder whose entries move into ``parent`` when the block ends well; when it raises, none of them does."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=parent))
    except OSError as error:
        raise _failed(parent, error) from error
    moved: list[Path] = []
    try:
        yield staging
        for entry in sorted(staging.iterdir()):
            entry.rename(parent / entry.name)
            moved.append(parent / entry.name)
    except BaseException as error:
        for entry in moved:
            shutil.rmtree(entry)
        if isinstance(error, OSError):
            raise _failed(parent, error) from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _failed(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path.name} could not be written ({error.strerror}); nothing was changed")
