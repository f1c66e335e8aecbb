"""The error tree."""

import pickle

import pytest
from segserve import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_survives_pickling_with_its_context(name: str) -> None:
    error = getattr(errors, name)("what was wrong")
    error.request_id, error.endpoint, error.model, error.elapsed_s, error.attempts = "id", "grpc://a:1", "m", 1.5, 2
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error) == "what was wrong (model m, at grpc://a:1, request id, after 1.50 s, 2 attempts)"


def test_an_error_without_context_is_its_message() -> None:
    assert str(errors.SegserveError("plain")) == "plain"


def test_own_fields_survive_pickling() -> None:
    overloaded = pickle.loads(pickle.dumps(errors.OverloadedError("full", retry_after_s=3.5)))
    fault = pickle.loads(pickle.dumps(errors.ServerFaultError("x", incident_id="abc")))
    assert (overloaded.retry_after_s, fault.incident_id) == (3.5, "abc")
    assert not fault.is_own_fault_of_triton


def test_an_invalid_image_says_the_servers_reason() -> None:
    assert errors.InvalidImageError("the image is empty").reason == "the image is empty"
