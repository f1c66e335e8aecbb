"""Errors of the engine builder.

BuildError
├── GraphError          the ONNX is not one that can be served: its author's to change
├── PipelineError       the model repository does not hold what the command names
├── TargetError         this target, precision or machine cannot do what was asked
├── PhotographError     the photographs to calibrate on or compare with are missing or unreadable
└── StorageError        the engine could not be written
"""


class BuildError(Exception):
    """Root of every error that build_engines raises on purpose; the message says what to do."""


class GraphError(BuildError):
    """The ONNX cannot be served as it is."""


class PipelineError(BuildError):
    """The model repository does not hold the pipeline, or one of its files does not say what it must."""


class TargetError(BuildError):
    """The target cannot build this here."""


class PhotographError(BuildError):
    """No usable photographs."""


class StorageError(BuildError):
    """A file could not be written."""
