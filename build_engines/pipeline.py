"""A pipeline of the model repository: which weights, on which grid, for which classes and batches."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from segserve.contract import IMAGE, MODEL_INPUT, PROBABILITY, REPORT
from tritonclient.grpc import model_config_pb2

from build_engines.errors import GraphError, PipelineError
from build_engines.graph import Signature, load_graph, require_served
from segserve_server.repository.manifest import Profile
from segserve_server.repository.models import DEFAULT_CONFIG, Model, read_model
from segserve_server.repository.problem import RepositoryError
from segserve_server.repository.settings import (
    FILE_NAME as SETTINGS_NAME,
)
from segserve_server.repository.settings import (
    PostprocessFile,
    PreprocessFile,
    load_postprocess_settings,
    load_preprocess_settings,
)
from segserve_server.repository.weights import FILE_NAME as WEIGHTS_NAME


@dataclass(frozen=True)
class Pipeline:
    """An ensemble's segmentation step and the settings around it. ``version``: of the segmentation step."""

    name: str
    repository: Path
    segment: Model
    version: int
    preprocess: PreprocessFile
    postprocess: PostprocessFile

    @property
    def version_folder(self) -> Path:
        """Where weights and engines lie."""
        return self.segment.folder / str(self.version)

    @property
    def onnx(self) -> Path:
        """The served graph."""
        return self.version_folder / WEIGHTS_NAME

    @property
    def profile(self) -> Profile:
        """Batch 1; the first preferred batch size, else the largest; the largest."""
        config = self.segment.config
        largest = max(1, config.max_batch_size)
        preferred = list(config.dynamic_batching.preferred_batch_size)
        return Profile(1, min(preferred[0], largest) if preferred else largest, largest)


def load_pipeline(repository: Path, name: str) -> Pipeline:
    """Find an ensemble's steps and read their settings. Raises PipelineError."""
    folder = repository / name
    if not folder.is_dir():
        known = sorted(path.parent.name for path in repository.glob(f"*/{DEFAULT_CONFIG}"))
        raise PipelineError(f"{repository} holds no pipeline {name!r}; its models are {', '.join(known) or 'none'}")
    try:
        ensemble = read_model(folder, folder / DEFAULT_CONFIG)
        if not ensemble.is_ensemble:
            raise PipelineError(f"{name} is a step, not a pipeline: name the ensemble it belongs to")
        before = _step(ensemble, inputs=IMAGE)
        network = _step(ensemble, inputs=MODEL_INPUT)
        after = _step(ensemble, outputs=REPORT)
        segment_folder = repository / network.model_name
        return Pipeline(
            name=name,
            repository=repository,
            segment=read_model(segment_folder, segment_folder / DEFAULT_CONFIG),
            version=network.model_version,
            preprocess=load_preprocess_settings(_settings(repository, before)),
            postprocess=load_postprocess_settings(_settings(repository, after)),
        )
    except RepositoryError as error:
        raise PipelineError(f"{error}; segserve-server check says more") from error


def _settings(repository: Path, step: model_config_pb2.ModelEnsembling.Step) -> Path:
    return repository / str(step.model_name) / str(step.model_version) / SETTINGS_NAME


def _step(ensemble: Model, *, inputs: str = "", outputs: str = "") -> model_config_pb2.ModelEnsembling.Step:
    for step in ensemble.config.ensemble_scheduling.step:
        if inputs in step.input_map or outputs in step.output_map:
            return step
    raise PipelineError(
        f"no step of {ensemble.name} has {inputs or outputs}: it gives no report, build its sister instead"
    )


def load_served_graph(pipeline: Pipeline) -> tuple[onnx.ModelProto, Signature]:
    """The pipeline's ONNX, checked against the configuration it is served under. Raises GraphError."""
    model = load_graph(pipeline.onnx)
    signature = require_served(model, pipeline.onnx.name)
    grid = pipeline.preprocess.settings.grid
    wanted = (signature.input, [signature.grid, signature.grid, 3], signature.output)
    inputs, outputs = pipeline.segment.inputs, pipeline.segment.outputs
    if wanted[0] not in inputs or wanted[2] not in outputs:
        raise GraphError(
            f"the graph's tensors are {signature.input} and {signature.output}; {pipeline.segment.where} names "
            f"{MODEL_INPUT} and {PROBABILITY}"
        )
    if list(inputs[signature.input].dims) != wanted[1] or signature.grid != grid:
        raise GraphError(
            f"the graph works on {signature.grid} x {signature.grid}, {pipeline.segment.where} and the preprocessing "
            f"settings say {list(inputs[signature.input].dims)} and grid {grid}"
        )
    channels = outputs[signature.output].dims[0]
    if channels != signature.channels or channels != len(pipeline.postprocess.settings.classes):
        raise GraphError(
            f"the graph gives {signature.channels} channels, {pipeline.segment.where} says {channels} and the "
            f"post-processing settings name {len(pipeline.postprocess.settings.classes)} classes"
        )
    return model, signature
