"""Stable-Baselines3 with tensorboard_log=."""

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback


def train(midway):
    class Midway(BaseCallback):
        def _on_step(self):
            if self.num_timesteps == 96:
                midway()
            return True

    model = PPO(
        "MlpPolicy",
        "CartPole-v1",
        n_steps=32,
        batch_size=16,
        n_epochs=1,
        device="cpu",
        tensorboard_log="logs",
    )
    model.learn(192, callback=Midway())
