"""Keras on its torch backend, with its TensorBoard callback."""

import os

os.environ["KERAS_BACKEND"] = "torch"
from _keras import train

__all__ = ["train"]
