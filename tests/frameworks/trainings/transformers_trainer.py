"""Hugging Face's Trainer with report_to="tensorboard"."""

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Examples(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        return {"input_ids": torch.tensor([index, 1, 2, 3]), "labels": torch.tensor(index % 2)}


def train(midway):
    class Midway(TrainerCallback):
        def on_epoch_end(self, arguments, state, control, **_):
            if round(state.epoch) == 2:
                midway()

    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=20, **size))
    arguments = TrainingArguments(
        "output",
        num_train_epochs=4,
        per_device_train_batch_size=8,
        logging_steps=1,
        report_to="tensorboard",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    Trainer(model=model, args=arguments, train_dataset=Examples(), callbacks=[Midway()]).train()
