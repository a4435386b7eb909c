"""Batch normalisation of a trunk in training: over the images of all ranks; its statistics measured anew at the end.

Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift (Ioffe and Szegedy, 2015),
arXiv:1502.03167. Unlike ``nn.SyncBatchNorm`` the joint norm runs on CPUs too (gloo), and on a rank without an image: it
computes what one process would with the joint batch.

In training each step shows one attribute's balanced batch, and the running averages follow the last hundred or so. A
trunk that serves other attributes meets other images: the statistics measured anew are those of the images themselves.
Averaged as in Rethinking "Batch" in BatchNorm (Wu and Johnson, 2021), arXiv:2105.07576, section 3: plain means over the
batches, with the weights as they are at the end ("precise" batch norm).
"""

from collections.abc import Iterable
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.autograd import Function

from trunk.errors import TrunkError
from trunk.pretraining.ranks import Ranks

AXES = (0, 2, 3)


class JointNormalise(Function):
    """x -> (x - mean) / sqrt(variance + eps), with mean and variance of all ranks' images.

    Shapes: x (N, C, H, W), float32 or finer -> normalised (N, C, H, W), mean, variance and count of values, (C,) each;
    the last three are for the running statistics and carry no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count = x.numel() // max(1, x.shape[1])
        own_mean = x.mean(AXES) if count else x.new_zeros(x.shape[1])
        squares = (x - own_mean[:, None, None]).square().sum(AXES)
        # Each rank's mean and squares about it, joined as by Chan, Golub and LeVeque (1979): no large sums cancel.
        gathered = ranks.gather(torch.stack([torch.full_like(own_mean, count), own_mean, squares]))
        counts, means = gathered[:, 0], gathered[:, 1]
        total = counts.sum(0)
        mean = (counts * means).sum(0) / total
        variance = (gathered[:, 2] + counts * (means - mean).square()).sum(0) / total
        scale = (variance + eps).rsqrt()
        normalised = (x - mean[:, None, None]) * scale[:, None, None]
        ctx.save_for_backward(normalised, scale, total)
        ctx.ranks = ranks
        ctx.mark_non_differentiable(mean, variance, total)
        return normalised, mean, variance, total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0]
        normalised, scale, total = ctx.saved_tensors
        # d x = scale (d y - mean(d y) - y mean(d y y)), the means over all ranks' images.
        sums = ctx.ranks.sum(torch.stack([gradient.sum(AXES), (gradient * normalised).sum(AXES)])) / total
        inner = gradient - sums[0][:, None, None] - normalised * sums[1][:, None, None]
        return inner * scale[:, None, None], None, None


class JointBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm2d that, in training, normalises over all ranks' images; it shares weights and statistics of ``norm``.

    after: what the library's own layer does behind the normalisation (timm joins the activation to it).
    """

    def __init__(self, norm: nn.BatchNorm2d, ranks: Ranks) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.ranks = ranks
        self.original = (norm,)  # in a tuple, so that it is no submodule
        self.after: nn.Module = nn.Identity()
        if isinstance(norm, BatchNormAct2d):
            self.after = nn.Sequential(norm.drop, norm.act)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            answer: Tensor = self.after(super().forward(x))
            return answer
        with torch.autocast(x.device.type, enabled=False):
            normalised, mean, variance, total = JointNormalise.apply(
                x.to(torch.promote_types(x.dtype, torch.float32)), self.eps, self.ranks
            )
            scaled = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        self.follow(mean, variance * total / (total - 1).clamp(min=1))
        answer = self.after(scaled.to(x.dtype))
        return answer

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as BatchNorm2d does: by ``momentum``, or as an average where that is None."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def join_norms(module: nn.Module, ranks: Ranks) -> None:
    """Let every batch normalisation in ``module`` run over all ranks; names and weights stay as they are.

    Call it on the device of the training: moving a module afterwards would part it from the layers it replaced.

    Raises:
        TrunkError: a normalisation of a kind that cannot be joined, but depends on the batch.
    """
    for name, child in list(module.named_children()):
        if type(child) in (nn.BatchNorm2d, BatchNormAct2d):
            assert isinstance(child, nn.BatchNorm2d)
            if child.weight is None or child.running_mean is None:
                raise TrunkError(
                    f"The backbone's layer {name} normalises without weights or running statistics, which several "
                    f"ranks cannot share; train this backbone in one process."
                )
            setattr(module, name, JointBatchNorm2d(child, ranks))
        elif isinstance(child, nn.modules.batchnorm._BatchNorm):
            raise TrunkError(
                f"The backbone's layer {name} is a {type(child).__name__}, which several ranks cannot share; train "
                f"this backbone in one process."
            )
        else:
            join_norms(child, ranks)


def part_norms(module: nn.Module) -> None:
    """Undo :func:`join_norms`: the layers that stood there stand there again, with what was learnt."""
    for name, child in list(module.named_children()):
        if isinstance(child, JointBatchNorm2d):
            setattr(module, name, child.original[0].train(child.training))
        else:
            part_norms(child)


def reestimate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics in ``module`` by their mean over ``batches``, (N, 3, height, width) each.

    No weight changes; ``module`` is left in evaluation mode. Without a batch the statistics stay as they are.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    module.train()
    fresh = True
    with torch.no_grad():
        for images in batches:
            if fresh:
                for norm in norms:
                    norm.reset_running_stats()
                    norm.momentum = None  # a plain mean over all batches
                fresh = False
            module(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()
