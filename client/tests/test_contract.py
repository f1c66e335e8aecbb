"""The contract module: what both sides build on."""

import jsonschema
import pytest
from segserve import contract
from segserve.testing import FakeModel, example_result

_GOOD = {"contract_version": "1.0", "classes": "a, b", "colors": "#000000,#ffffff", "grid": "64x32"}


def test_parameters_survive_their_own_text() -> None:
    parameters = contract.EnsembleParameters.from_strings(_GOOD)
    assert parameters.classes == ("a", "b")
    assert parameters.grid == (64, 32)
    assert contract.EnsembleParameters.from_strings(parameters.to_strings()) == parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": "64"}, "grid"),
        ({"classes": "a,a"}, "once"),
        ({"classes": "a,"}, "once"),
        ({"colors": "#000000"}, "2 classes but 1 colors"),
        ({"colors": "red,blue"}, "red"),
        ({"contract_version": "one"}, "major.minor"),
    ],
)
def test_malformed_parameters_are_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(contract.ContractError, match=message):
        contract.EnsembleParameters.from_strings({**_GOOD, **change})


@pytest.mark.parametrize("name", list(_GOOD))
def test_a_missing_parameter_is_named(name: str) -> None:
    with pytest.raises(contract.ContractError, match=name):
        contract.EnsembleParameters.from_strings({key: value for key, value in _GOOD.items() if key != name})


def test_an_incident_id_is_found_in_the_text_that_carries_it() -> None:
    text = f"in ensemble 'x', {contract.incident_message('0123abcd')}"
    assert contract.find_incident(text) == "0123abcd"
    assert contract.find_incident("Stub process is not healthy") is None


def test_the_schemas_are_valid_and_describe_the_recorded_and_the_fake_report(png: bytes) -> None:
    for schema in (contract.report_schema(), contract.geometry_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(example_result().report.to_dict(), contract.report_schema())
    outputs = FakeModel(classes=("a", "b")).answer(png, (contract.REPORT, contract.GEOMETRY))
    jsonschema.validate(_parsed(outputs[contract.REPORT]), contract.report_schema())
    jsonschema.validate(_parsed(outputs[contract.GEOMETRY]), contract.geometry_schema())


def _parsed(tensor: object) -> object:
    import json

    (text,) = tensor.elements()  # type: ignore[attr-defined]
    return json.loads(text)
