"""Errors of the load test."""


class LoadTestError(Exception):
    """Root: the run could not be made or read; the message says what to do. A missed objective is not an error."""
