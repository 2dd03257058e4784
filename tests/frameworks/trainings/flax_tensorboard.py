"""A loop in JAX that writes with flax.metrics.tensorboard."""

import jax
from flax.metrics.tensorboard import SummaryWriter


def train(midway):
    writer = SummaryWriter("logs")
    loss = jax.jit(lambda step: 1 / (step + 1))
    for step in range(20):
        writer.scalar("loss", loss(step), step)
        if step == 9:
            midway()
    writer.hparams({"lr": 0.1})
    writer.close()
