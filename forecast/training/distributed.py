"""Several processes, one for each GPU, train one network together, as torchrun starts them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from forecast.errors import Setting, UsageError, Words
from forecast.models.shared.model import RecurrentModel
from forecast.parallel import process_rank, processes
from forecast.settings import TrainSettings
from forecast.training.sampling import Draw
from forecast.windows.windows import Batch


@contextmanager
def process_group(device: torch.device, settings: TrainSettings) -> Iterator[None]:
    """The block in which the processes that torchrun started train together; nothing where there is only one."""
    if processes() == 1:
        yield
        return
    if settings.budget is not None:
        budget = Setting("budget", settings.budget)
        cure = Words("pass ", Setting("steps"), " instead, or leave torchrun out")
        raise UsageError("several processes have no common clock", setting=budget, cure=cure)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def part_of_process(draw: Draw) -> Draw:
    """Draw as many windows for each process, all with the same random numbers, and take those of this process."""
    count, rank = processes(), process_rank()
    if count == 1:
        return draw
    return lambda generator, size, everything: draw(generator, count * size, everything).split(size)[rank]


def shared_loss(network: RecurrentModel) -> Callable[[Batch], Tensor]:
    """The loss of a network whose gradients are the means over all processes."""
    if processes() == 1:
        return network.loss
    return nn.parallel.DistributedDataParallel(_Loss(network), find_unused_parameters=True)


class _Loss(nn.Module):
    """A network whose output is its loss, which is what DistributedDataParallel can watch."""

    def __init__(self, network: RecurrentModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        return self.network.loss(batch)
