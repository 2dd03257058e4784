"""A TensorFlow 1 training that writes with FileWriter."""

import tensorflow as tf


def train(midway):
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        value = tf.compat.v1.placeholder(tf.float32)
        summary = tf.compat.v1.summary.scalar("loss", value)
        writer = tf.compat.v1.summary.FileWriter("logs", graph)
        for step in range(20):
            writer.add_summary(session.run(summary, {value: 1 / (step + 1)}), step)
            if step == 9:
                midway()
        writer.close()
