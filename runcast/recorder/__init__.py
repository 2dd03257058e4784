"""The recorder: a detached process that tails a run's event files into the store, and outlives the training process.

It is started as a command, `python -m runcast.recorder RUN_FOLDER …`, and never imported by the training process.
"""
