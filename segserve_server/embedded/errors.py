"""Errors of the embedded server. Each message is one sentence that says what is wrong and what to do.

EmbeddedServerError
├── RuntimeMissingError       the wheel, its binaries or the shared libpython are not on this machine
├── PortTakenError            another program listens on a port that was asked for
├── SharedMemoryError         /dev/shm is absent or too small
├── RepositoryError           the model repository is not there or holds nothing to serve
└── ServerFailedError         tritonserver ended, or did not get ready, and starting it again does not help
"""


class EmbeddedServerError(Exception):
    """Root of every error that the embedded server raises on purpose."""


class RuntimeMissingError(EmbeddedServerError):
    """A part of the server's runtime is not installed on this machine."""


class PortTakenError(EmbeddedServerError):
    """Another program listens on a port that was asked for."""


class SharedMemoryError(EmbeddedServerError):
    """/dev/shm is absent or has too little room for the tensors that steps hand to each other."""


class RepositoryError(EmbeddedServerError):
    """The model repository is not there or holds nothing to serve."""


class ServerFailedError(EmbeddedServerError):
    """tritonserver ended, or did not get ready, and starting it again does not help."""
