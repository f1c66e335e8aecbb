"""``settings.toml`` of a step's version folder, parsed into frozen dataclasses that reject what they do not know."""

import dataclasses
import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from segserve_server.imaging.errors import SettingsError
from segserve_server.imaging.settings import (
    ClaheSettings,
    ClassSettings,
    ImageCaps,
    PostprocessSettings,
    PreprocessSettings,
)
from segserve_server.repository.problem import RepositoryError

FILE_NAME = "settings.toml"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PreprocessFile:
    """A preprocessing step's settings and the hash of the file they came from."""

    settings: PreprocessSettings
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights a post-processing step's thresholds were chosen for.

    ``name`` and ``version`` are those the report states; ``segment`` and ``segment_version`` the model folder and
    version folder whose ``model.onnx`` has the hash ``weights_sha256``.
    """

    name: str
    version: str
    segment: str
    segment_version: int
    weights_sha256: str

    def __post_init__(self) -> None:
        if not self.name or not self.version or not self.segment:
            raise SettingsError("[model] name, version and segment must not be empty")
        if self.segment_version < 1:
            raise SettingsError(f"[model] segment_version must be 1 or more, not {self.segment_version}")
        if _SHA256.fullmatch(self.weights_sha256) is None:
            raise SettingsError("[model] weights_sha256 must be 64 hexadecimal digits")


@dataclass(frozen=True, slots=True)
class PostprocessFile:
    """A post-processing step's settings, the model they belong to, and the hash of the file they came from."""

    settings: PostprocessSettings
    model: ModelIdentity
    sha256: str


def load_preprocess_settings(path: Path) -> PreprocessFile:
    """Read a preprocessing ``settings.toml``. Raises RepositoryError, naming the file and the key."""
    raw, sha256 = _read(path)
    try:
        for table, kind in (("clahe", ClaheSettings), ("caps", ImageCaps)):
            if table in raw:
                raw[table] = _build(kind, raw[table], f"[{table}]")
        return PreprocessFile(_build(PreprocessSettings, raw, "the file"), sha256)
    except SettingsError as error:
        raise RepositoryError(f"{path.name}: {error}") from error


def load_postprocess_settings(path: Path) -> PostprocessFile:
    """Read a post-processing ``settings.toml``. Raises RepositoryError, naming the file and the key."""
    raw, sha256 = _read(path)
    try:
        model = _build(ModelIdentity, raw.pop("model", {}), "[model]")
        tables = raw.pop("classes", [])
        if not isinstance(tables, list):
            raise SettingsError("classes must be an array of tables, [[classes]]")
        raw["classes"] = tuple(_build(ClassSettings, table, "[[classes]]") for table in tables)
        return PostprocessFile(_build(PostprocessSettings, raw, "the file"), model, sha256)
    except SettingsError as error:
        raise RepositoryError(f"{path.name}: {error}") from error


def _read(path: Path) -> tuple[dict[str, Any], str]:
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8")), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise RepositoryError(f"{path.name} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RepositoryError(f"{path.name} is not valid TOML: {error}") from error


def _build(kind: type[_T], raw: Any, where: str) -> _T:
    """An instance of a settings dataclass from a TOML table: no unknown key, no missing one, no wrong type."""
    if not isinstance(raw, dict):
        raise SettingsError(f"{where} must be a table")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key, value in raw.items():
        if key not in fields:
            raise SettingsError(f"unknown key {key!r} in {where}; known are {', '.join(fields)}")
        wanted = fields[key].type
        if wanted is float and type(value) is int:
            raw[key] = float(value)
        elif isinstance(wanted, type) and wanted in (int, float, str, bool) and type(value) is not wanted:
            raise SettingsError(f"{key} in {where} must be of type {wanted.__name__}, not {type(value).__name__}")
    missing = [
        name
        for name, f in fields.items()
        if name not in raw and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SettingsError(f"{where} lacks {', '.join(missing)}")
    return kind(**raw)
