"""What must hold between an ensemble and its steps: names, types, sizes and pinned versions."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from segserve.contract import CONTRACT_VERSION, IMAGE, ContractError, EnsembleParameters

from segserve_server.repository.models import Model, Tensor
from segserve_server.repository.problem import Problem
from segserve_server.steps.pacing import PARAMETER


def check_ensemble(ensemble: Model, models: Mapping[str, Model]) -> Iterator[Problem]:
    """Follow every tensor from the ensemble's input through its steps to its outputs."""
    if set(ensemble.inputs) != {IMAGE}:
        yield Problem(ensemble.where, f"the ensemble's one input must be {IMAGE}, not {sorted(ensemble.inputs)}")
    yield from _check_parameters(ensemble)
    steps = [models.get(step.model_name) for step in ensemble.config.ensemble_scheduling.step]
    yield from _check_pace([step for step in steps if step is not None])
    flowing: dict[str, Tensor] = dict(ensemble.inputs)
    producers = dict.fromkeys(ensemble.inputs, "the ensemble's input")
    for step in ensemble.config.ensemble_scheduling.step:
        model = models.get(step.model_name)
        if model is None:
            yield Problem(ensemble.where, f"step {step.model_name!r} has no model folder")
            continue
        if step.model_version < 1:
            yield Problem(ensemble.where, f"step {step.model_name} must pin model_version (1 or more), never -1")
        elif step.model_version not in model.versions:
            yield Problem(ensemble.where, f"step {step.model_name} has no version {step.model_version}")
        if model.config.max_batch_size < ensemble.config.max_batch_size:
            yield Problem(ensemble.where, f"max_batch_size is larger than that of step {step.model_name}")
        yield from _check_inputs(ensemble, model, dict(step.input_map), flowing, producers)
        for name, tensor_name in step.output_map.items():
            if name not in model.outputs:
                yield Problem(ensemble.where, f"step {step.model_name} has no output {name!r}")
                continue
            flowing[tensor_name] = model.outputs[name]
            producers[tensor_name] = f"{name} of {step.model_name}"
    for name, wanted in ensemble.outputs.items():
        if name not in flowing:
            yield Problem(ensemble.where, f"no step gives the output {name}")
        elif flowing[name] != wanted:
            yield Problem(ensemble.where, f"output {name} is {wanted}, but {producers[name]} is {flowing[name]}")


def _check_inputs(
    ensemble: Model,
    model: Model,
    mapping: Mapping[str, str],
    flowing: Mapping[str, Tensor],
    producers: Mapping[str, str],
) -> Iterator[Problem]:
    if set(mapping) != set(model.inputs):
        yield Problem(
            ensemble.where, f"step {model.name} maps inputs {sorted(mapping)}, but has {sorted(model.inputs)}"
        )
    for name, tensor_name in mapping.items():
        wanted, given = model.inputs.get(name), flowing.get(tensor_name)
        if given is None:
            yield Problem(ensemble.where, f"input {name} of {model.name} reads {tensor_name!r}, which nothing gives")
        elif wanted is not None and wanted != given:
            yield Problem(model.where, f"input {name} is {wanted}, but {producers[tensor_name]} before it is {given}")


def _check_pace(steps: Sequence[Model]) -> Iterator[Problem]:
    """Preprocessing must not wait for an engine that does not count; see ``steps.pacing``."""
    for before, after in pairwise(steps[:2]):
        ahead, counted = (model.parameters.get(PARAMETER) for model in (before, after))
        if ahead != counted:
            yield Problem(after.where, f"parameter {PARAMETER} is {counted}, but {ahead} in {before.where}")
        elif ahead is not None and (not ahead.isdecimal() or int(ahead) < 1):
            yield Problem(before.where, f"parameter {PARAMETER} must be 1 or more, not {ahead}")


def _check_parameters(ensemble: Model) -> Iterator[Problem]:
    try:
        parameters = EnsembleParameters.from_strings(ensemble.parameters)
    except ContractError as error:
        yield Problem(ensemble.where, f"parameters: {error}")
        return
    if parameters.contract_version != CONTRACT_VERSION:
        yield Problem(
            ensemble.where, f"contract_version is {parameters.contract_version}, this server's is {CONTRACT_VERSION}"
        )
