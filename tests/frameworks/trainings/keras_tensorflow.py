"""Keras on its tensorflow backend, with its TensorBoard callback."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
from _keras import train

__all__ = ["train"]
