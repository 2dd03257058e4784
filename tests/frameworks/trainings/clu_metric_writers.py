"""A loop in JAX that writes with clu.metric_writers, on its own thread."""

import jax
from clu import metric_writers


def train(midway):
    writer = metric_writers.create_default_writer("logs", asynchronous=True)
    loss = jax.jit(lambda step: 1 / (step + 1))
    for step in range(20):
        writer.write_scalars(step, {"loss": loss(step)})
        if step == 9:
            midway()
    writer.write_texts(20, {"note": "done"})
    writer.close()
