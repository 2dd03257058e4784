"""A loop that writes with torch.utils.tensorboard."""

from torch.utils.tensorboard import SummaryWriter


def train(midway):
    writer = SummaryWriter("logs")
    for step in range(20):
        writer.add_scalar("loss", 1 / (step + 1), step)
        if step == 9:
            midway()
    writer.add_scalars("lr", {"first": 0.1, "second": 0.2}, 20)
    writer.close()
