"""Event files without their media, as kept with `save=False`."""

from __future__ import annotations

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from runcast.events import Decoder, scalar_only


def test_scalars_stay_and_media_go(check, points, tmp_path, boundaries):
    """What is kept is an event file with every scalar record as it was written, whatever pieces it was filtered in."""
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(100):
            writer.add_scalar("loss", step / 3, step)
            if step % 10 == 0:
                writer.add_image("image", np.zeros((3, 4, 4)), step)
                writer.add_histogram("weights", np.arange(10.0), step)
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    whole = Decoder().decode(data)
    kept = scalar_only(data, whole)
    assert len(kept) < len(data)
    batch = check(kept)
    assert points(batch) == points(whole)
    assert (batch.records, batch.summaries) == (101, ())

    pieces, stop = b"", 0
    for size in (0, 10, 500, 501, 5000, len(data)):
        piece = data[stop:size]
        batch = Decoder().decode(piece, stop)
        pieces += scalar_only(piece, batch)
        stop = batch.stop
    assert pieces == kept
