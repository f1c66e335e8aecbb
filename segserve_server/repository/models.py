"""The model folders of a repository and their parsed configurations."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from segserve_server.repository.problem import RepositoryError

DEFAULT_CONFIG = "config.pbtxt"
CONFIGS_FOLDER = "configs"

TYPE_STRING = model_config_pb2.DataType.Value("TYPE_STRING")
TYPE_UINT8 = model_config_pb2.DataType.Value("TYPE_UINT8")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as configured: ``data_type`` is Triton's name, ``dims`` without the batch dimension."""

    data_type: str
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.data_type} {list(self.dims)}"


@dataclass(frozen=True)
class Model:
    """One model folder under one variant.

    ``config``: the protobuf message ``inference.ModelConfig``; ``config_path``: the file it was read from.
    """

    folder: Path
    config_path: Path
    config: model_config_pb2.ModelConfig

    @property
    def name(self) -> str:
        """The folder's name, under which Triton knows the model."""
        return self.folder.name

    @property
    def where(self) -> str:
        """The configuration file, relative to the repository."""
        return str(self.config_path.relative_to(self.folder.parent))

    @property
    def is_ensemble(self) -> bool:
        """Whether it chains other models."""
        return bool(self.config.platform == "ensemble")

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Inputs by name."""
        return {t.name: _tensor(t) for t in self.config.input}

    @property
    def outputs(self) -> dict[str, Tensor]:
        """Outputs by name."""
        return {t.name: _tensor(t) for t in self.config.output}

    @property
    def versions(self) -> list[int]:
        """The version folders that hold something, ascending."""
        return sorted(
            int(child.name)
            for child in self.folder.iterdir()
            if child.is_dir() and child.name.isdecimal() and any(child.iterdir())
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The configuration's parameters."""
        return {key: value.string_value for key, value in self.config.parameters.items()}


def _tensor(tensor: model_config_pb2.ModelInput | model_config_pb2.ModelOutput) -> Tensor:
    return Tensor(model_config_pb2.DataType.Name(tensor.data_type), tuple(tensor.dims))


def model_folders(repository: Path) -> list[Path]:
    """The model folders, sorted. Raises RepositoryError when there is no repository or it is empty."""
    if not repository.is_dir():
        raise RepositoryError(f"there is no model repository at {repository}")
    folders = sorted(c for c in repository.iterdir() if c.is_dir() and not c.name.startswith((".", "_")))
    if not folders:
        raise RepositoryError(f"the model repository {repository} holds no model folder")
    return folders


def config_path(folder: Path, variant: str) -> Path:
    """The file that Triton reads for a variant: ``configs/<variant>.pbtxt``, else ``config.pbtxt``."""
    special = folder / CONFIGS_FOLDER / f"{variant}.pbtxt"
    return special if special.is_file() else folder / DEFAULT_CONFIG


def read_model(folder: Path, path: Path) -> Model:
    """Parse one configuration. Raises RepositoryError for a missing file or one that is not protobuf text."""
    where = path.relative_to(folder.parent)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise RepositoryError(f"{where} cannot be read: {error.strerror}") from error
    try:
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise RepositoryError(f"{where} is not a Triton model configuration: {error}") from error
    return Model(folder, path, config)


def read_models(repository: Path, variant: str) -> dict[str, Model]:
    """Every model of a repository under a variant, by name. Raises RepositoryError at the first that cannot be read."""
    return {folder.name: read_model(folder, config_path(folder, variant)) for folder in model_folders(repository)}


def variants_of(folder: Path) -> Iterator[Path]:
    """Every configuration file of a model folder: the default first, then ``configs/*.pbtxt``."""
    yield folder / DEFAULT_CONFIG
    yield from sorted((folder / CONFIGS_FOLDER).glob("*.pbtxt"))
