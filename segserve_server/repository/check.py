"""``segserve-server check``: everything that must agree across a model repository's hand-written files."""

from pathlib import Path

from segserve_server.engines.machine import this_machine
from segserve_server.repository.check_ensemble import check_ensemble
from segserve_server.repository.check_model import check_model
from segserve_server.repository.check_settings import check_settings
from segserve_server.repository.manifest import Target, check_engines
from segserve_server.repository.models import Model, config_path, model_folders, read_model
from segserve_server.repository.problem import Problem, RepositoryError

_TARGETS = {"tensorrt_plan": Target.TENSORRT, "onnxruntime": Target.ONNXRUNTIME, "python": Target.OPENVINO}


def check_repository(repository: Path, variant: str) -> list[Problem]:
    """Every problem of a repository as the variant would be served, in the order of the folders; empty if none."""
    problems: list[Problem] = []
    models: dict[str, Model] = {}
    try:
        folders = model_folders(repository)
    except RepositoryError as error:
        return [Problem(repository.name, str(error))]
    for folder in folders:
        try:
            models[folder.name] = read_model(folder, config_path(folder, variant))
            problems += check_model(models[folder.name])
        except RepositoryError as error:
            problems.append(Problem(folder.name, str(error)))
    for model in models.values():
        if model.is_ensemble:
            problems += check_ensemble(model, models)
            problems += check_settings(model, models)
    loaded = {_TARGETS.get(model.config.platform or model.config.backend) for model in models.values()}
    problems += check_engines(repository, frozenset(target for target in loaded if target), this_machine())
    return list(dict.fromkeys(problems))  # both ensembles share steps and would report them twice
