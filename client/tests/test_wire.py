"""Tensors as bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segserve import ContractMismatchError
from segserve._http_codec import decode_response, encode_request
from segserve._wire import CallOptions, InferRequest, InferResponse, OutputTensor, join_elements, split_elements


@given(st.lists(st.binary(max_size=40)))
def test_elements_survive_the_wire(elements: list[bytes]) -> None:
    assert list(split_elements(join_elements(elements))) == elements


@pytest.mark.parametrize("data", [b"\x01", b"\x05\x00\x00\x00abc"])
def test_a_cut_tensor_is_noticed(data: bytes) -> None:
    with pytest.raises(ContractMismatchError, match="ends inside"):
        split_elements(data)


def test_a_tensor_of_another_type_or_length_is_noticed() -> None:
    with pytest.raises(ContractMismatchError, match="UINT8"):
        OutputTensor("UINT8", (1,), b"1").elements()
    with pytest.raises(ContractMismatchError, match="2 elements"):
        OutputTensor("BYTES", (1, 1), join_elements([b"a", b"b"])).elements()


def test_an_absent_output_is_named() -> None:
    with pytest.raises(ContractMismatchError, match="no output MASK, but REPORT"):
        InferResponse("m", "1", "", {"REPORT": OutputTensor("BYTES", (1,), b"")}).output("MASK")


def test_a_request_is_a_json_header_and_the_length_prefixed_image() -> None:
    request = InferRequest("m", b"image", ("REPORT",), "id-1")
    body, headers = encode_request(request, CallOptions(2.5))
    length = int(headers["Inference-Header-Content-Length"])
    header = json.loads(body[:length])
    assert body[length:] == b"\x05\x00\x00\x00image"
    assert header["inputs"][0]["parameters"]["binary_data_size"] == 9
    assert header["parameters"] == {"timeout": 2_500_000}
    assert headers["Content-Type"] == "application/octet-stream"


def test_no_budget_is_still_a_timeout() -> None:
    assert CallOptions(0.0).timeout_us == 1


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"<html>", None),
        (b"[]", None),
        (b"{}", "2"),
        (b"{}", "x"),
        (b'{"model_name": "m", "outputs": [{"name": "A", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}', None),
        (
            b'{"model_name": "m", "outputs": [{"name": "A", "shape": [1], "datatype": "BYTES",'
            b' "parameters": {"binary_data_size": 9}}]}',
            None,
        ),
    ],
)
def test_an_answer_in_another_form_is_noticed(body: bytes, length: str | None) -> None:
    with pytest.raises(ContractMismatchError):
        decode_response(body, length)
