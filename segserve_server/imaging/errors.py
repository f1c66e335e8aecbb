"""Errors of the imaging package.

ImagingError
├── InvalidImageError    the bytes are not a picture this pipeline accepts: the sender's fault
└── SettingsError        a settings value is out of range or unknown: the operator's fault
"""


class ImagingError(Exception):
    """Root of every error that imaging raises on purpose."""


class InvalidImageError(ImagingError):
    """The bytes are not a picture this pipeline accepts. The message is safe to send to a client."""


class SettingsError(ImagingError):
    """A settings value is unknown, missing or out of range."""
