"""Errors of the training package.

TrainingError
├── ConfigError    the run's TOML names an unknown key or a value out of range
├── DataError      the data folder lacks a file or holds one that cannot be used
└── RunError       a run's folder, checkpoint or weights do not fit what was asked
"""


class TrainingError(Exception):
    """Root of every error that training raises on purpose. The message says what to do."""


class ConfigError(TrainingError):
    """The configuration names an unknown key or a value out of range."""


class DataError(TrainingError):
    """The data folder lacks a file or holds one that cannot be used."""


class RunError(TrainingError):
    """A run's folder, checkpoint or weights do not fit what was asked."""
