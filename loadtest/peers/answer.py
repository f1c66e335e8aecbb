"""The JSON that every peer answers with."""

import base64
import json
from typing import Any

from loadtest.bench.pipeline import Answer


def to_document(answer: Answer) -> dict[str, Any]:
    """``report``: the report; ``masks``: the PNGs in base64, since JSON has no bytes."""
    return {
        "report": json.loads(answer.report),
        "masks": [base64.b64encode(mask).decode("ascii") for mask in answer.masks],
    }
