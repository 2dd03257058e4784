"""Keras on its jax backend, with its TensorBoard callback."""

import os

os.environ["KERAS_BACKEND"] = "jax"
from _keras import train

__all__ = ["train"]
