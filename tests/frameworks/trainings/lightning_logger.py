"""Lightning with its TensorBoardLogger."""

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset


class Line(lightning.LightningModule):
    def __init__(self, rate):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, _):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.rate)


def train(midway):
    class Midway(lightning.Callback):
        def on_train_epoch_end(self, trainer, _):
            if trainer.current_epoch == 1:
                midway()

    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=4,
        log_every_n_steps=1,
        logger=TensorBoardLogger("logs", name="line"),
        callbacks=[Midway()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    inputs = torch.randn(32, 4)
    trainer.fit(Line(0.01), DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8))
