"""Pretrain: ``python -m forecast.training.pretraining CHECKPOINT --steps N``, again to go on."""

import time
from pathlib import Path

import click
import torch

from forecast.training.devices import threads
from forecast.training.pretraining.loop import Pretraining, Recipe, run

SAVE_EVERY = 250  # steps
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"show_default": True})
@click.argument("checkpoint", type=FILE)
@click.option("--steps", default=30_000, help="train until this step")
@click.option("--cool", default=0, help="last steps, over which the learning rate falls to nothing")
@click.option("--seed", default=0, help="of weights and series")
@click.option("--width", default=Recipe.width, help="of a state")
@click.option("--blocks", default=Recipe.blocks, help="recurrent layers")
@click.option("--device", default="cpu", help="cpu or cuda")
@click.option("--weights", type=FILE, help="write the averaged weights here")
def main(
    checkpoint: Path, steps: int, cool: int, seed: int, width: int, blocks: int, device: str, weights: Path | None
) -> None:
    """Train the network that ships, on synthetic series alone, and write a checkpoint now and then."""
    training = Pretraining(Recipe(width=width, blocks=blocks, seed=seed), device)
    if checkpoint.exists():
        training.read(checkpoint)
    recent: list[float] = []
    begun, first = time.monotonic(), training.step

    def on_step(step: int, loss: float) -> None:
        recent.append(loss)
        if step % SAVE_EVERY == 0 or step == steps:
            training.write(checkpoint)
            pace = (time.monotonic() - begun) / (step - first)
            click.echo(f"{step} {sum(recent) / len(recent):.4f} {pace:.3f} s a step")
            recent.clear()

    with threads(1):
        run(training, steps, cool, on_step)
    if weights is not None:
        training.export(weights, cool)


if __name__ == "__main__":
    torch.multiprocessing.set_start_method("spawn", force=True)
    main()
