"""What can be wrong with a model repository."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``where``: the file, relative to the repository; ``message``: what, and what to do."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class RepositoryError(Exception):
    """A file of the model repository is missing or does not say what it must. The message names the file."""
