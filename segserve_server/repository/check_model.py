"""What must hold for a model folder by itself: name, versions, queue, warm-up files, variants."""

import struct
from collections.abc import Iterator

from segserve.contract import IMAGE
from tritonclient.grpc import model_config_pb2

from segserve_server.repository.models import TYPE_STRING, Model, read_model, variants_of
from segserve_server.repository.problem import Problem

_REJECT = model_config_pb2.ModelQueuePolicy.REJECT
_LENGTH = struct.Struct("<I")
_DEFAULT_FILES = {"python": "model.py", "tensorrt_plan": "model.plan", "onnxruntime_onnx": "model.onnx"}


def check_model(model: Model) -> Iterator[Problem]:
    """Everything that can be said of one model without its neighbours."""
    if model.config.name != model.name:
        yield Problem(model.where, f"name is {model.config.name!r}, but the folder is {model.name!r}")
    if model.config.max_batch_size < 1:
        yield Problem(model.where, "max_batch_size must be 1 or more: the wire contract has a batch dimension")
    if not model.versions:
        yield Problem(model.where, "there is no version folder with a file in it (an ensemble needs one too)")
    if model.is_ensemble:
        if model.config.model_warmup:
            yield Problem(model.where, "an ensemble refuses model_warmup; put it into the steps")
    else:
        yield from _check_queue(model)
        yield from _check_files(model)
        yield from _check_warmup(model)
    yield from _check_variants(model)


def _check_queue(model: Model) -> Iterator[Problem]:
    if not model.config.HasField("dynamic_batching"):
        yield Problem(model.where, "dynamic_batching is missing: without it nothing bounds the queue")
        return
    policy = model.config.dynamic_batching.default_queue_policy
    if IMAGE not in model.inputs:
        if policy.ByteSize():
            yield Problem(
                model.where,
                f"default_queue_policy belongs to the entrance, the step that takes {IMAGE}: behind it work would be "
                "refused after it has been paid for, and Triton 2.51 leaves instances idle for up to half a second",
            )
        return
    if policy.max_queue_size < 1:
        yield Problem(model.where, "default_queue_policy.max_queue_size must be set: the queue is unbounded")
    if policy.default_timeout_microseconds < 1:
        yield Problem(
            model.where,
            "default_queue_policy.default_timeout_microseconds must be set: without one Triton ignores the timeout "
            "of a request too",
        )
    if policy.timeout_action != _REJECT:
        yield Problem(model.where, "default_queue_policy.timeout_action must be REJECT")


def _check_files(model: Model) -> Iterator[Problem]:
    kind = model.config.platform or model.config.backend
    wanted = model.config.default_model_filename or _DEFAULT_FILES.get(kind)
    if wanted is None:
        yield Problem(model.where, f"backend or platform {kind!r} is not one that segserve serves")
        return
    for version in model.versions:
        if not (model.folder / str(version) / wanted).is_file():
            advice = "; build it on the target GPU: python -m build_engines build" if kind == "tensorrt_plan" else ""
            yield Problem(f"{model.name}/{version}", f"{wanted} is missing{advice}")


def _check_warmup(model: Model) -> Iterator[Problem]:
    if not model.config.model_warmup:
        yield Problem(model.where, "model_warmup is missing: the first requests would pay for lazy initialisation")
    for warmup in model.config.model_warmup:
        if set(warmup.inputs) != set(model.inputs):
            yield Problem(model.where, f"model_warmup {warmup.name!r} must give {sorted(model.inputs)}")
        for name, given in warmup.inputs.items():
            if not given.input_data_file:
                continue
            path = model.folder / "warmup" / given.input_data_file
            where = str(path.relative_to(model.folder.parent))
            if not path.is_file():
                yield Problem(where, f"the warm-up file of {name} is missing")
            elif given.data_type == TYPE_STRING:
                content = path.read_bytes()
                length = _LENGTH.unpack(content[: _LENGTH.size])[0] if len(content) >= _LENGTH.size else None
                if length != len(content) - _LENGTH.size:
                    yield Problem(
                        where,
                        f"must start with the 4-byte little-endian length of the rest ({len(content)} bytes in all): "
                        "Triton 2.51 dies of a segmentation fault without it",
                    )


def _check_variants(model: Model) -> Iterator[Problem]:
    """Every variant must look the same from outside."""
    for path in variants_of(model.folder):
        if path == model.config_path or not path.is_file():
            continue
        other = read_model(model.folder, path)
        for what in ("inputs", "outputs"):
            if getattr(other, what) != getattr(model, what):
                yield Problem(other.where, f"{what} differ from those in {model.config_path.name}")
        if other.config.max_batch_size != model.config.max_batch_size:
            yield Problem(other.where, f"max_batch_size differs from that in {model.config_path.name}")
