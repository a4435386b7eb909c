"""Warm starts: the best architectures, and the shared weights, of earlier searches on the same trunk.

The idea of starting a search from other tasks is that of Transfer Learning with Neural AutoML (Wong, Houlsby, Lu,
Gesmundo, 2018), arXiv:1803.02780. Here the controller carries no task embeddings: a fresh one imitates the best
architectures of before, down to a wanted entropy, and then learns on as usual. Shared weights are averaged over the
sources, as in Model soups (Wortsman et al., 2022), arXiv:2203.05482, and are left out by default: see
experiments/warm_start.py. The linear layers in front of the logits answer another question and stay as they were drawn.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from foundation.records import read_json, reading
from nas.controller.policy import Controller
from nas.errors import SearchError
from nas.supernet.supernet import Supernet
from search_spaces import Architecture, Space
from trunk.checkpoints import load_checkpoint, restoring, save_checkpoint, under

FILE = "start.safetensors"
TOP = 10  # architectures of each earlier search that the controller imitates
HEADS = ("shared.pooled.", "shared.shortcut")
ENTROPY_SHARE = 0.6  # of a uniform policy's: what the imitation leaves for the search to decide
IMITATION_STEPS = 200
IMITATION_RATE = 7e-3


class Start(NamedTuple):
    """Shared weights by their name in the supernet (may be none), and the choices (n, D) of the best architectures."""

    weights: Mapping[str, Tensor]
    choices: Tensor

    def save(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Keep it in a search's folder, with a JSON-able record of where it comes from: a resumed search needs it."""
        tensors = {f"weights.{name}": weight for name, weight in self.weights.items()}
        save_checkpoint(folder / FILE, {**tensors, "choices": self.choices}, record)


def start_of(folder: Path) -> Start | None:
    """What the search in `folder` started from, as `Start.save` wrote it; None for a cold start."""
    path = folder / FILE
    if not path.exists():
        return None
    tensors, _ = load_checkpoint(path)
    with restoring(path):
        choices = tensors.pop("choices")
    return Start(under(tensors, "weights."), choices)


def gather(folders: Sequence[Path], space: Space, *, weights: bool = False) -> Start:
    """A start from finished searches of one space: their best-ranked architectures and, if asked for, mean weights."""
    supernets, choices = [], []
    for folder in folders:
        if weights:
            tensors, _ = load_checkpoint(folder / "search.safetensors")
            supernets.append(under(tensors, "supernet."))
        path = folder / "candidates.json"
        with reading(path):
            ranking = read_json(path)["ranking"]
            choices += [space.indices(Architecture.from_json(entry["architecture"])) for entry in ranking[:TOP]]
    return Start(averaged_weights(supernets) if weights else {}, torch.tensor(choices, dtype=torch.int64))


def checksum(folder: Path) -> str:
    """SHA-256 over what `gather` reads in a search's folder, in hex."""
    digest = hashlib.sha256()
    for name in ("search.safetensors", "candidates.json"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def averaged_weights(supernets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean over supernets of all that does not belong to their linear layers; every supernet of one shape."""
    if not supernets:
        raise SearchError("A warm start needs the shared weights of at least one earlier search.")
    names = [name for name in supernets[0] if not name.startswith(HEADS)]
    return {name: torch.stack([weights[name] for weights in supernets]).mean(0) for name in names}


def begin(start: Start, supernet: Supernet, controller: Controller) -> float:
    """Put the weights in place and have the controller imitate; returns its entropy as a share of a uniform policy's.

    Raises SearchError when a weight does not fit: the earlier searches were of another space or trunk.
    """
    own: dict[str, Tensor] = supernet.state_dict()
    for name, weight in start.weights.items():
        if name not in own or own[name].shape != weight.shape:
            raise SearchError(
                f"The warm start has {name!r} of shape {tuple(weight.shape)}, which this search's shared weights lack; "
                "start from searches of the same space on the same trunk."
            )
    with torch.no_grad():
        for name, weight in start.weights.items():
            own[name].copy_(weight)
    # A decision that is settled here may have been open in the earlier searches.
    settled = torch.tensor([len(decision.choices) == 1 for decision in controller.decisions])
    return imitate(controller, start.choices.masked_fill(settled, 0) if len(start.choices) else start.choices)


def imitate(controller: Controller, choices: Tensor) -> float:
    """Raise the likelihood of `choices` (n, D) until the policy's entropy is `ENTROPY_SHARE` of a uniform one's."""
    uniform = sum(math.log(len(decision.choices)) for decision in controller.decisions)
    parameters = list(controller.parameters())
    optimizer = torch.optim.Adam(parameters, lr=IMITATION_RATE)
    share = 1.0
    for _ in range(IMITATION_STEPS if len(choices) else 0):
        samples = controller.evaluate(choices)
        share = float(samples.entropy.detach().mean()) / uniform
        if share <= ENTROPY_SHARE:
            break
        optimizer.zero_grad()
        (-samples.log_prob.mean()).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
    return share
