"""What a client learns about models and servers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from segserve import contract
from segserve.errors import ContractMismatchError


class ModelKind(Enum):
    """What an ensemble answers with."""

    REPORT = "report"
    PROBABILITY = "probability"


@dataclass(frozen=True)
class ModelInfo:
    """One ensemble.

    Parameters
    ----------
    name, versions
        As the server has them.
    kind
        Lesion report and masks, or probability map.
    contract_version
        Of the wire contract it keeps.
    classes
        Class name to colour (``#rrggbb``), in the order of the masks.
    grid
        Width and height of the model grid, in pixels.
    """

    name: str
    versions: tuple[str, ...]
    kind: ModelKind
    contract_version: str
    classes: Mapping[str, str]
    grid: tuple[int, int]

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, versions: tuple[str, ...]) -> "ModelInfo":
        """Read a model configuration as the server reports it. Raises ContractMismatchError for a foreign model."""
        name = str(config.get("name", ""))
        try:
            texts = {key: str(value["string_value"]) for key, value in config.get("parameters", {}).items()}
            parameters = contract.EnsembleParameters.from_strings(texts)
            major = contract.contract_major(parameters.contract_version)
        except (contract.ContractError, KeyError, TypeError) as error:
            raise ContractMismatchError(f"model {name} does not describe itself by the contract: {error}") from error
        if major != contract.contract_major(contract.CONTRACT_VERSION):
            raise ContractMismatchError(
                f"model {name} keeps contract version {parameters.contract_version}, "
                f"this SDK {contract.CONTRACT_VERSION}"
            )
        outputs = {output["name"] for output in config.get("output", [])}
        return cls(
            name=name,
            versions=versions,
            kind=ModelKind.PROBABILITY if contract.PROBABILITY in outputs else ModelKind.REPORT,
            contract_version=parameters.contract_version,
            classes=dict(zip(parameters.classes, parameters.colors, strict=True)),
            grid=parameters.grid,
        )


def describes_itself(config: Mapping[str, Any]) -> bool:
    """Whether a model is an ensemble of this contract, whatever its version."""
    return contract.PARAMETER_CONTRACT_VERSION in config.get("parameters", {})


@dataclass(frozen=True)
class EndpointHealth:
    """One server: does it live, is it ready, is the model; which Triton it is, and what went wrong otherwise."""

    endpoint: str
    live: bool
    ready: bool
    model_ready: bool | None
    server_version: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Health:
    """All servers of a client. ``model``: the one that was asked about, None without a default model."""

    model: str | None
    endpoints: tuple[EndpointHealth, ...]

    @property
    def ready(self) -> bool:
        """Whether at least one server can answer."""
        return any(each.ready and each.model_ready is not False for each in self.endpoints)
