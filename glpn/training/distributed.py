"""Several processes as one: the process group, batch normalisation over all of them."""

import os
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


@dataclass(frozen=True)
class Group:
    """This process among those that `torchrun` started; one of one without it."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def leader(self) -> bool:
        return self.rank == 0


def join_group() -> Group:
    """Join the group that `torchrun`'s environment variables name (nccl on CUDA, gloo else), if there is one."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world_size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo", rank=rank, world_size=world_size)
    return Group(rank, world_size, device)


def leave_group(group: Group) -> None:
    if group.world_size > 1:
        dist.destroy_process_group()


def any_process(flag: bool, group: Group) -> bool:
    """Whether `flag` is true in any process: all then stop after the same step."""
    if group.world_size == 1:
        return flag
    flags = torch.tensor(float(flag), device=group.device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags.item())


def wait_for_all(group: Group) -> None:
    """Return when all processes have come here: what the leader wrote can then be read by the others."""
    if group.world_size > 1:
        dist.barrier()


class GroupBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics are those of all processes' batches; torch's own needs CUDA."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        moments = torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))])
        mean, mean_square = all_reduce(moments) / dist.get_world_size()
        variance = mean_square - mean.square()
        count = x.numel() / x.shape[1] * dist.get_world_size()
        with torch.no_grad():
            momentum = self.momentum if self.momentum is not None else 0.1
            cast(Tensor, self.running_mean).lerp_(mean, momentum)
            cast(Tensor, self.running_var).lerp_(variance * count / (count - 1), momentum)
            cast(Tensor, self.num_batches_tracked).add_(1)
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale + (self.bias if self.affine else 0)
        return x * scale[:, None, None] + shift[:, None, None]


def share_batch_norm(module: nn.Module) -> None:
    """Give every batch normalisation in `module` the statistics of the whole group, in place."""
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = GroupBatchNorm
