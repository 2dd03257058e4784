"""A graph whose session runs tf.summary's operations, as migrated TensorFlow 1 code does."""

import tensorflow as tf


def train(midway):
    with tf.Graph().as_default():
        number = tf.compat.v1.placeholder(tf.int64, ())
        writer = tf.summary.create_file_writer("logs")
        with writer.as_default():
            tf.summary.scalar("loss", 1 / (number + 1), number)
        write = tf.compat.v1.summary.all_v2_summary_ops()
        flush = writer.flush()
        with tf.compat.v1.Session() as session:
            session.run(writer.init())
            for step in range(20):
                session.run(write, {number: step})
                if step == 9:
                    midway()
            session.run(flush)
