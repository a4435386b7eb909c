"""ENAS: the shared weights and the controller are trained in turn; one search, read top to bottom.

Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268, section 2.2, as used
in GraftNet: An Efficient and Flexible Multi-label Image Classification (Jia et al.), section 3.3. Differences: rewards
come from the val split of the attribute and may be an AUROC; all paths of the first epochs, and as many of the later
ones as ``fair_share`` says (by default all), train every choice equally often, so that every operation has learned
something before the controller judges it; a search resumes exactly where it stopped.
"""

import math
import time
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.costs.architecture import branch_costs
from branches.layers import ProbeStart
from branches.measures.metrics import REWARDS, Scores
from branches.training import adamw, batches, check_splits, class_weights, schedule
from foundation.history import History, Progress
from foundation.provenance import seed_of
from nas.controller.recipes import RECIPES
from nas.controller.reinforce import Reinforce
from nas.errors import SearchError
from nas.limits.allowed import within
from nas.settings import SearchSettings
from nas.supernet.supernet import Supernet
from nas.warm_start import Start, begin
from search_spaces import Architecture, Space
from search_spaces.decisions import Decision
from trunk.checkpoints import load_checkpoint, optimizer_tensors, restore_optimizer, restoring, save_checkpoint, under
from trunk.features.cached import drawn, prefetched
from trunk.features.source import LabelledFeatures


class Search:
    """One search in a folder: ``search.safetensors`` (checkpoint) and ``history.jsonl`` (records).

    Constructing it in a folder that holds a checkpoint continues from there. `probe`: what all paths begin at.
    """

    def __init__(
        self,
        space: Space,
        train: LabelledFeatures,
        val: LabelledFeatures,
        settings: SearchSettings,
        *,
        folder: Path,
        seed: int,
        device: torch.device,
        start: Start | None = None,
        probe: ProbeStart | None = None,
    ) -> None:
        check_splits(train, val)
        self.start = start
        self.space, self.train, self.val, self.settings = space, train, val, settings
        self.folder, self.seed, self.device = folder, seed, device
        self.child = settings.child
        self.allowed = within(
            settings.limits,
            space,
            train.trunk_shape,
            train.values,
            folder=folder,
            seed=seed,
            device=device,
            batch=settings.latency_batch,
        )
        weights = torch.Generator().manual_seed(seed_of(seed, "supernet"))
        supernet = Supernet(space, train.features.shape, train.values, generator=weights, probe=probe)
        self.supernet = supernet.to(device)
        self.reinforce = Reinforce.fresh(space.decisions, RECIPES[settings.recipe], hidden=settings.hidden, seed=seed)
        self.controller = self.reinforce.controller
        self.optimizer = adamw(self.supernet, self.child)
        self.history = History(folder / "history.jsonl")
        self.epoch = 0
        self.resume()

    def run(self, *, progress: Progress | None = None) -> None:
        """Train what is left of the epochs."""
        steps = self.settings.steps(len(self.train))
        while self.epoch < self.settings.epochs:
            warming = self.epoch < self.settings.warmup_epochs
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                loss = self.train_child(steps, uniform=warming)
                if not warming:
                    self.train_controller()
            self.epoch += 1
            self.save()
            if progress:
                # The warm-up has no reward yet.
                rewarded = {} if self.reinforce.baseline is None else {"reward": self.reinforce.baseline}
                progress("search", self.epoch, self.settings.epochs, {"loss": loss, **rewarded})

    def train_child(self, steps: int, *, uniform: bool) -> float:
        """One epoch of the shared weights: a sampled path per batch, only its weights move; returns the mean loss."""
        started = time.perf_counter()
        rng = np.random.default_rng(seed_of(self.seed, "child", self.epoch))
        paths = self.child_paths(steps, 1.0 if uniform else self.settings.fair_share, rng)
        weights = class_weights(self.train).to(self.device) if self.settings.balance == "weights" else None
        self.supernet.train()
        shared = list(self.supernet.parameters())
        losses = []
        epochs = batches(self.train.labels.numpy(), self.train.values, self.child, rng)
        order = islice(chain.from_iterable(epochs), steps)
        views = drawn(self.train.features, np.random.default_rng(seed_of(self.seed, "views", self.epoch)))
        for step, (index, features) in enumerate(prefetched(views, order, self.device)):
            done = (self.epoch * steps + step) / (self.settings.epochs * steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.child.learning_rate * schedule(done, self.child.warmup_fraction)
            logits = self.supernet(features.to(self.device), paths[step])
            loss = functional.cross_entropy(logits, self.train.labels[index].to(self.device), weights)
            descend(loss, shared, self.optimizer, self.child.gradient_clip)
            losses.append(loss.detach())
        loss_mean = float(torch.stack(losses).mean())
        if not math.isfinite(loss_mean):
            raise SearchError(
                f"The shared weights diverged in epoch {self.epoch + 1} (loss {loss_mean}); lower search.learning_rate."
            )
        self.history.append(
            "child_epoch",
            epoch=self.epoch + 1,
            steps=steps,
            loss=loss_mean,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=time.perf_counter() - started,
        )
        return loss_mean

    def train_controller(self) -> None:
        """The controller's share of an epoch: sample, measure on val, reinforce."""
        rng = np.random.default_rng(seed_of(self.seed, "reward", self.epoch))
        for update in range(self.settings.updates_per_epoch):
            started = time.perf_counter()
            features, labels = self.reward_batch(rng)
            choices = self.draw_policy(self.settings.samples_per_update)
            rewards = [self.reward(self.space.architecture(row), features, labels) for row in choices.tolist()]
            outcome = self.reinforce.update(choices, rewards)
            self.history.append(
                "controller_update",
                epoch=self.epoch + 1,
                update=update + 1,
                reward=outcome.reward_mean,
                best_reward=outcome.reward_best,
                baseline=outcome.baseline,
                entropy=outcome.entropy,
                log_prob=outcome.log_prob,
                skip_penalty=outcome.skip_penalty,
                loss=outcome.loss,
                rewards=rewards,
                architectures=choices.tolist(),
                seconds=time.perf_counter() - started,
            )

    def reward_batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Val images for one update's rewards: the values in their natural shares, at least one image of each."""
        wanted = self.settings.reward_images or len(self.val)
        order = torch.from_numpy(rng.permutation(len(self.val)))
        labels = self.val.labels[order]
        firsts = torch.stack(
            [(labels == value).int().argmax() for value in range(self.val.values) if (labels == value).any()]
        )
        chosen = torch.cat([firsts, torch.arange(len(order))[~torch.isin(torch.arange(len(order)), firsts)]])[:wanted]
        index = order[chosen]
        return self.val.features.gather(index).to(self.device), self.val.labels[index]

    def reward(self, architecture: Architecture, features: Tensor, labels: Tensor) -> float:
        """The chosen metric of one path on held-out features, less the penalty for its parameters."""
        return self.rewarded(architecture, self.scores(architecture, features), labels)

    @torch.inference_mode()
    def scores(self, architecture: Architecture, features: Tensor) -> Scores:
        """Probabilities (n, values) of one path; batch norm takes the statistics of these very features."""
        logits: Tensor = self.supernet(features, architecture)
        probabilities: Scores = logits.cpu().double().softmax(dim=1).numpy()
        return probabilities

    def rewarded(self, architecture: Architecture, scores: Scores, labels: Tensor) -> float:
        """What scores (n, values) are worth."""
        score = REWARDS[self.settings.reward](scores, labels.numpy())
        if self.settings.parameter_penalty:
            score -= self.settings.parameter_penalty * self.costs(architecture)[0] / 1e6
        return score

    def costs(self, architecture: Architecture) -> tuple[int, int]:
        """(parameters, MACs per image) of the branch this architecture builds."""
        return branch_costs(architecture, self.train.trunk_shape, self.train.values)

    def child_paths(self, steps: int, fair_share: float, rng: np.random.Generator) -> list[Architecture]:
        """One path a step: a share drawn fairly, the rest by the controller, in random order."""
        fair = fair_indices(self.space.decisions, round(fair_share * steps), rng).tolist()
        paths = [self.space.architecture(row) for row in fair]
        if self.allowed is not None:
            paths = [path if self.allowed(path) else self.allowed.uniform(rng) for path in paths]
        paths += self.sample_policy(steps - len(paths))
        return [paths[position] for position in rng.permutation(steps)]

    def sample_uniform(self, count: int, rng: np.random.Generator) -> list[Architecture]:
        """``count`` architectures within the limits, drawn uniformly."""
        draw = self.allowed.uniform if self.allowed else self.space.random
        return [draw(rng) for _ in range(count)]

    def sample_policy(self, count: int) -> list[Architecture]:
        """``count`` architectures within the limits, drawn by the controller."""
        return [self.space.architecture(row) for row in self.draw_policy(count).tolist()]

    def draw_policy(self, count: int) -> Tensor:
        """The choices (count, D) of ``sample_policy``."""
        if self.allowed is None:
            return self.reinforce.sample(count)
        return self.allowed.policy(self.reinforce.sample, count, self.reinforce.generator)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "search.safetensors"

    def save(self) -> None:
        """Write the checkpoint of the finished epoch, atomically; the history is cut back to it on resuming."""
        tensors, reinforce = self.reinforce.state()
        save_checkpoint(
            self.checkpoint,
            {
                **{f"supernet.{name}": value for name, value in self.supernet.state_dict().items()},
                **optimizer_tensors(self.optimizer),
                **{f"reinforce.{name}": value for name, value in tensors.items()},
            },
            {"epoch": self.epoch, "history": self.history.size, "reinforce": reinforce},
        )

    def history_at_end(self) -> int:
        """The size of the history when the last epoch was saved."""
        with restoring(self.checkpoint):
            return int(load_checkpoint(self.checkpoint)[1]["history"])

    def resume(self) -> None:
        """Take up the folder's checkpoint, if any; records written after it are cut off and will come again."""
        if not self.checkpoint.exists():
            self.history.truncate(0)
            if self.start is not None:
                begin(self.start, self.supernet, self.controller)
            return
        tensors, record = load_checkpoint(self.checkpoint)
        with restoring(self.checkpoint):
            self.supernet.load_state_dict(under(tensors, "supernet."))
            restore_optimizer(self.optimizer, tensors)
            self.reinforce.load_state(under(tensors, "reinforce."), record["reinforce"])
            self.epoch = record["epoch"]
            size = record["history"]
        self.history.require(size)
        if self.epoch < self.settings.epochs:
            self.history.truncate(size)


def descend(loss: Tensor, weights: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, clip: float) -> None:
    """Gradients of `loss` alone, their common norm clipped to `clip`, and one step of `optimizer`.

    The same numbers as `zero_grad`, `backward`, `clip_grad_norm_` and `step` over all `weights`, in less time;
    `optimizer` must pass over those that have no gradient, as torch's do.
    """
    for weight in weights:
        weight.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    used = [weight for weight in weights if weight.grad is not None]
    nn.utils.clip_grad_norm_(used, clip)
    optimizer.step()


def fair_indices(decisions: Sequence[Decision], count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices (count, D) of uniformly drawn architectures: in each column, permutations of the choices one by one.

    Of any decision with k choices, each occurs in `count` rows either count // k times or once more.
    """
    columns = []
    for decision in decisions:
        choices = len(decision.choices)
        rounds = [rng.permutation(choices) for _ in range(-(-count // choices))]
        columns.append(np.concatenate(rounds)[:count] if rounds else np.empty(0, dtype=np.int64))
    return np.stack(columns, axis=1)
