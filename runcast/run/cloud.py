"""What the environment says of clouds, for the recorder: a notebook may say who it is after its run has begun."""

from __future__ import annotations

import os

__all__ = ["cloud_environment"]

_CLOUDS = ("AWS_", "AZURE_", "GOOGLE_", "S3_")


def cloud_environment() -> dict[str, str]:
    """Return the variables by which clouds are found and opened; secrets are among them: they are for the channel, and no file."""
    return {name: value for name, value in os.environ.items() if name.startswith(_CLOUDS)}
