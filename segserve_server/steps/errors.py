"""Errors that a step answers a request with."""


class RequestError(Exception):
    """The request itself is wrong; the message goes to the client as INVALID_ARGUMENT."""
