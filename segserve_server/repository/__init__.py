"""Reads and checks a Triton model repository: configurations, settings, versions."""

from segserve_server.repository.problem import Problem, RepositoryError

__all__ = ["Problem", "RepositoryError"]
