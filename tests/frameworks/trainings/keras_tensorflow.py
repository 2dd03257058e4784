"""Keras on its tensorflow backend, with its TensorBoard callback, a profile of two batches, and hyperparameters."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import _keras
from tensorboard.plugins.hparams.api import KerasCallback


def train(midway):
    _keras.train(midway, KerasCallback("logs", {"rate": 0.01, "layers": 1}), profile=(2, 3))
