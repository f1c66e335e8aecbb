"""What must hold between the clinical settings of an ensemble's steps, its parameters, its tensors and its weights."""

from collections.abc import Iterator, Mapping

from segserve.contract import (
    GEOMETRY,
    IMAGE,
    MASK,
    MODEL_INPUT,
    PROBABILITY,
    PROBABILITY_SUFFIX,
    REPORT,
    ContractError,
    EnsembleParameters,
)

from segserve_server.repository.models import Model, Tensor
from segserve_server.repository.problem import Problem, RepositoryError
from segserve_server.repository.settings import (
    FILE_NAME,
    PostprocessFile,
    load_postprocess_settings,
    load_preprocess_settings,
)
from segserve_server.repository.weights import require_matching_weights

_BYTES = Tensor("TYPE_STRING", (1,))


def check_settings(ensemble: Model, models: Mapping[str, Model]) -> Iterator[Problem]:
    """Compare the ensemble's parameters and tensors with the settings of its pinned steps."""
    try:
        parameters = EnsembleParameters.from_strings(ensemble.parameters)
    except ContractError:
        return  # check_ensemble has said so
    width, height = parameters.grid
    channels = len(parameters.classes)
    contract = {
        IMAGE: _BYTES,
        REPORT: _BYTES,
        GEOMETRY: _BYTES,
        MASK: Tensor("TYPE_STRING", (channels,)),
        MODEL_INPUT: Tensor("TYPE_UINT8", (height, width, 3)),
        PROBABILITY: Tensor("TYPE_UINT8", (channels, height, width)),
    }
    steps = [(s, models[s.model_name]) for s in ensemble.config.ensemble_scheduling.step if s.model_name in models]
    for model in [ensemble, *(model for _, model in steps)]:
        for name, tensor in {**model.inputs, **model.outputs}.items():
            if name not in contract:
                yield Problem(model.where, f"{name} is not a tensor of the wire contract ({', '.join(contract)})")
            elif contract[name] != tensor:
                yield Problem(model.where, f"{name} is {tensor}, the wire contract wants {contract[name]}")
    for step, model in steps:
        path = model.folder / str(step.model_version) / FILE_NAME
        where = str(path.relative_to(model.folder.parent))
        try:
            if IMAGE in model.inputs:
                settings = load_preprocess_settings(path).settings
                if (settings.grid, settings.grid) != parameters.grid:
                    yield Problem(where, f"grid is {settings.grid}, but the ensemble's parameter says {width}x{height}")
            elif PROBABILITY in model.inputs:
                yield from _check_postprocess(ensemble, parameters, load_postprocess_settings(path), where)
        except RepositoryError as error:
            yield Problem(where, str(error))


def _check_postprocess(
    ensemble: Model, parameters: EnsembleParameters, file: PostprocessFile, where: str
) -> Iterator[Problem]:
    classes = tuple(c.name for c in file.settings.classes)
    if classes != parameters.classes:
        yield Problem(where, f"classes are {classes}, but the ensemble's parameter says {parameters.classes}")
    colors = tuple(c.color for c in file.settings.classes)
    if colors != parameters.colors:
        yield Problem(where, f"colors are {colors}, but the ensemble's parameter says {parameters.colors}")
    if file.model.name != ensemble.name.removesuffix(PROBABILITY_SUFFIX):
        yield Problem(where, f"[model] name is {file.model.name!r}, but the ensemble is {ensemble.name!r}")
    pinned = {s.model_name: s.model_version for s in ensemble.config.ensemble_scheduling.step}
    if pinned.get(file.model.segment) != file.model.segment_version:
        yield Problem(
            where,
            f"the settings belong to {file.model.segment} version {file.model.segment_version}, "
            f"which the ensemble does not pin",
        )
    try:
        require_matching_weights(ensemble.folder.parent, file.model)
    except RepositoryError as error:
        yield Problem(where, str(error))
