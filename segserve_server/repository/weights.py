"""The weights file of a segmentation step and its hash."""

import hashlib
from pathlib import Path

from segserve_server.repository.problem import RepositoryError
from segserve_server.repository.settings import ModelIdentity

FILE_NAME = "model.onnx"


def weights_path(repository: Path, model: ModelIdentity) -> Path:
    """Where the weights that a post-processing step was tuned for lie."""
    return repository / model.segment / str(model.segment_version) / FILE_NAME


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_matching_weights(repository: Path, model: ModelIdentity) -> None:
    """Raise RepositoryError unless the weights are there and are those that the settings name."""
    path = weights_path(repository, model)
    where = path.relative_to(repository)
    if not path.is_file():
        raise RepositoryError(f"{where} is missing: put the exported weights there (python -m training export)")
    actual = sha256_of_file(path)
    if actual != model.weights_sha256:
        raise RepositoryError(
            f"{where} has sha256 {actual[:12]}..., but the post-processing settings were made for "
            f"{model.weights_sha256[:12]}...: restore the weights, or choose thresholds for "
            "these and update the settings"
        )
