"""The binary form of KServe v2 over HTTP: a JSON header, then raw tensors.

Source: Triton's "binary tensor data extension"; docs/wire-contract.md shows it byte by byte.
"""

import json
from typing import Any

from segserve import contract
from segserve._wire import CallOptions, InferRequest, InferResponse, OutputTensor, join_elements
from segserve.errors import ContractMismatchError

HEADER_LENGTH = "Inference-Header-Content-Length"


def encode_request(request: InferRequest, options: CallOptions) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request."""
    tensor = join_elements([request.image])
    header = json.dumps(
        {
            "id": request.request_id,
            "parameters": {"timeout": options.timeout_us},
            "inputs": [
                {
                    "name": contract.IMAGE,
                    "shape": [1, 1],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": len(tensor)},
                }
            ],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in request.outputs],
        }
    ).encode()
    # Without a Content-Type of its own, a body may pass for a web form, on which Triton 2.51 ends itself.
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return header + tensor, headers


def decode_response(body: bytes, header_length: str | None) -> InferResponse:
    """Take an answer apart. Raises ContractMismatchError when it is not in this form."""
    try:
        length = len(body) if header_length is None else int(header_length)
        header: dict[str, Any] = json.loads(body[:length])
        outputs, offset = {}, length
        for output in header["outputs"]:
            shape = tuple(int(n) for n in output["shape"])
            size = int(output["parameters"]["binary_data_size"])
            data = body[offset : offset + size]
            if len(data) != size:
                raise ContractMismatchError("the answer ends inside a tensor")
            offset += size
            outputs[output["name"]] = OutputTensor(output["datatype"], shape, data)
        return InferResponse(
            model=header["model_name"],
            version=str(header.get("model_version", "")),
            request_id=header.get("id", ""),
            outputs=outputs,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractMismatchError(f"the answer is not an inference response: {error}") from error
