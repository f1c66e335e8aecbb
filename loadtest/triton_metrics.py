"""What Triton's metrics say of each model between two moments: time per step, batches, queues, failures."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from loadtest.errors import LoadTestError

_TIMEOUT_S = 5.0

#: Fields of ModelCounters by the names of Triton's counters; microseconds where the name says so.
_COUNTERS = {
    "nv_inference_request_success": "succeeded",
    "nv_inference_request_failure": "failed",
    "nv_inference_count": "inferences",
    "nv_inference_exec_count": "executions",
    "nv_inference_queue_duration_us": "queue_us",
    "nv_inference_compute_input_duration_us": "input_us",
    "nv_inference_compute_infer_duration_us": "infer_us",
    "nv_inference_compute_output_duration_us": "output_us",
    "nv_inference_pending_request_count": "pending",
}


@dataclass(frozen=True, slots=True)
class ModelCounters:
    """Counters of one model since the server started; ``pending`` is how many wait right now."""

    succeeded: float = 0.0
    failed: float = 0.0
    inferences: float = 0.0
    executions: float = 0.0
    queue_us: float = 0.0
    input_us: float = 0.0
    infer_us: float = 0.0
    output_us: float = 0.0
    pending: float = 0.0


Counters = Mapping[str, ModelCounters]
"""By model name."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Of one model over a window; milliseconds per request.

    ``copies_ms``: into and out of the model's process, as far as Triton counts them. ``batch``: mean images per
    execution. ``answered``: requests that succeeded.
    """

    model: str
    answered: int
    failed: int
    queue_ms: float
    compute_ms: float
    copies_ms: float
    batch: float


def fetch(url: str) -> Counters:
    """Read a server's metrics page. Raises LoadTestError when there is none."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            return parse(answer.read().decode())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise LoadTestError(f"cannot read Triton's metrics at {url}: {error}") from error


def parse(text: str) -> Counters:
    """Counters of a metrics page, versions of a model and reasons of failure added up."""
    sums: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            field = _COUNTERS.get(sample.name) or _COUNTERS.get(sample.name.removesuffix("_total"))
            model = sample.labels.get("model")
            if field is not None and model is not None:
                of_model = sums.setdefault(model, {})
                of_model[field] = of_model.get(field, 0.0) + sample.value
    return {model: ModelCounters(**values) for model, values in sums.items()}


def steps_between(before: Counters, after: Counters) -> list[StepTimes]:
    """What each step did between two readings, sorted by name.

    An ensemble only passes work on. It is known by its name, which its steps' names begin with.
    """
    steps = []
    for model, now in sorted(after.items()):
        then = before.get(model, ModelCounters())
        executions = now.executions - then.executions
        inferences = now.inferences - then.inferences
        answered = now.succeeded - then.succeeded
        is_ensemble = any(other.startswith(f"{model}_") for other in after)
        if is_ensemble or executions <= 0:
            continue
        per_request = 1 / max(1.0, answered) / 1000
        steps.append(
            StepTimes(
                model=model,
                answered=int(answered),
                failed=int(now.failed - then.failed),
                queue_ms=(now.queue_us - then.queue_us) * per_request,
                compute_ms=(now.infer_us - then.infer_us) * per_request,
                copies_ms=(now.input_us - then.input_us + now.output_us - then.output_us) * per_request,
                batch=inferences / executions,
            )
        )
    return steps
