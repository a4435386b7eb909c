"""REINFORCE: train a controller on rewards, whatever its architectures build and however they are rewarded.

Simple statistical gradient-following algorithms for connectionist reinforcement learning (Williams, 1992), with the
moving-average baseline of ENAS (Pham et al., 2018), arXiv:1802.03268. Differences from ENAS: the baseline starts at the
first rewards' mean instead of 0, and judges a batch before the batch moves it; the entropy bonus is differentiated
instead of added to the reward; several architectures per update.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from foundation.provenance import seed_of
from nas.controller.policy import Controller, Samples
from nas.controller.recipes import ADVANTAGES, PAPER, Recipe
from nas.errors import SearchError
from search_spaces.decisions import Decision
from trunk.checkpoints import optimizer_tensors, restore_optimizer, under


def advantages(rewards: Tensor, baseline: float, kind: str) -> Tensor:
    """Advantages (n,) of `rewards` (n,), in float64.

    "baseline": reward - baseline (ENAS). "normalised": (reward - mean) / standard deviation of these rewards.
    "rank": the share of the others it beats less the share that beats it, in [-1, 1]; ties count for neither. The last
    two do not depend on the reward's scale, sum to zero, and give a single reward nothing to learn from.
    Raises SearchError for another kind.
    """
    rewards = rewards.double()
    if kind == "baseline":
        return rewards - baseline
    if kind == "normalised":
        centred = rewards - rewards.mean()
        # Equal rewards differ by rounding alone: dividing by that would make noise of nothing.
        deviation = float(centred.square().mean().sqrt())
        return centred / deviation if deviation > 1e-12 * float(rewards.abs().max()) else torch.zeros_like(centred)
    if kind == "rank":
        return torch.sign(rewards[:, None] - rewards).sum(1) / max(1, len(rewards) - 1)
    raise SearchError(f"advantage must be one of {', '.join(ADVANTAGES)}, not {kind!r}.")


class Remembered(NamedTuple):
    """m architectures and their rewards, best first."""

    choices: Tensor  # (m, D) int64
    rewards: Tensor  # (m,) float64


class Memory:
    """At most `capacity` different architectures of `decisions` decisions; a capacity of 0 remembers nothing."""

    def __init__(self, capacity: int, decisions: int) -> None:
        self.capacity = capacity
        self.choices = torch.zeros(0, decisions, dtype=torch.int64)
        self.rewards = torch.zeros(0, dtype=torch.float64)

    def without(self, choices: Tensor) -> Remembered:
        """What is remembered, except the architectures that are among `choices` (n, D)."""
        new = ~(self.choices[:, None] == choices[None]).all(-1).any(1)
        return Remembered(self.choices[new], self.rewards[new])

    def add(self, choices: Tensor, rewards: Tensor) -> None:
        """Take in `choices` (n, D) with their `rewards` (n,), and keep the best; of equals the older."""
        if not self.capacity:
            return
        reward_of = dict(zip(map(tuple, self.choices.tolist()), self.rewards.tolist(), strict=True))
        reward_of.update(zip(map(tuple, choices.tolist()), rewards.tolist(), strict=True))
        best = sorted(reward_of.items(), key=lambda item: -item[1])[: self.capacity]
        self.load(
            torch.tensor([choice for choice, _ in best]),
            torch.tensor([reward for _, reward in best], dtype=torch.float64),
        )

    def load(self, choices: Tensor, rewards: Tensor) -> None:
        """Take over what another memory held."""
        self.choices, self.rewards = choices.to("cpu", torch.int64), rewards.to("cpu", torch.float64)


class Update(NamedTuple):
    """What one update saw and did: rewards in the caller's unit, entropy and log_prob in nats per architecture.

    `baseline` is the moving average after the update; the figures of the policy are those of its last gradient step.
    """

    loss: float
    reward_mean: float
    reward_best: float
    baseline: float
    entropy: float
    log_prob: float
    skip_penalty: float


class Reinforce:
    """Trains `controller` by `recipe`; draws from its own CPU generator, seeded with `seed`.

    Each gradient step minimises  -mean(advantage * log_prob) - entropy_weight * entropy + skip_weight * skip_penalty,
    over the rewarded architectures and the remembered ones. Build the controller, and move it to its device, before.
    """

    def __init__(self, controller: Controller, recipe: Recipe = PAPER, *, seed: int) -> None:
        self.controller = controller
        self.recipe = recipe
        self.updates = 0
        self.baseline: float | None = None
        self.memory = Memory(recipe.memory, len(controller.decisions))
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.Adam(controller.parameters(), lr=recipe.learning_rate, fused=True)

    @classmethod
    def fresh(cls, decisions: Sequence[Decision], recipe: Recipe, *, hidden: int, seed: int) -> "Reinforce":
        """With a new controller for `decisions`, its logits as `recipe` says; everything drawn from `seed`."""
        controller = Controller(
            decisions,
            hidden=hidden,
            temperature=recipe.temperature,
            tanh_constant=recipe.tanh_constant,
            skip_target=recipe.skip_target,
            generator=torch.Generator().manual_seed(seed_of(seed, "controller")),
        )
        return cls(controller, recipe, seed=seed_of(seed, "reinforce"))

    def sample(self, n: int) -> Tensor:
        """The choices (n, D) of `n` architectures to be rewarded, drawn without gradients."""
        return self.controller.draw(n, self.generator)

    def update(self, choices: Tensor, rewards: Sequence[float] | Tensor) -> Update:
        """Learn from `rewards` (n,) of `choices` (n, D). Raises SearchError when a reward is missing or not finite."""
        choices = choices.detach().cpu()
        rewards = torch.as_tensor(rewards, dtype=torch.float64).detach().cpu()
        if rewards.shape != (len(choices),) or not len(choices):
            raise SearchError(
                f"An update takes one reward per architecture; got rewards of shape {tuple(rewards.shape)} for "
                f"{len(choices)} architectures."
            )
        if not bool(torch.isfinite(rewards).all()):
            raise SearchError(f"Rewards must be finite numbers, not {rewards.tolist()}; check the reward function.")
        mean = float(rewards.mean())
        baseline = mean if self.baseline is None else self.baseline
        remembered = self.memory.without(choices)
        advantage = advantages(torch.cat([rewards, remembered.rewards]), baseline, self.recipe.advantage)
        loss, last = self._descend(torch.cat([choices, remembered.choices]), advantage)
        self.memory.add(choices, rewards)
        self.baseline = self.recipe.baseline_decay * baseline + (1.0 - self.recipe.baseline_decay) * mean
        self.updates += 1
        rewarded = Samples(*(figure[: len(choices)] for figure in last))
        return Update(
            loss=loss,
            reward_mean=mean,
            reward_best=float(rewards.max()),
            baseline=self.baseline,
            entropy=float(rewarded.entropy.mean()),
            log_prob=float(rewarded.log_prob.mean()),
            skip_penalty=float(rewarded.skip_penalty.mean()),
        )

    def _descend(self, choices: Tensor, advantage: Tensor) -> tuple[float, Samples]:
        """`passes` gradient steps; the last loss and the figures it was made of, detached."""
        recipe, parameters = self.recipe, list(self.controller.parameters())
        advantage = advantage.to(parameters[0])
        entropy_weight = recipe.entropy_at(self.updates)
        before: Tensor | None = None
        for _ in range(recipe.passes):
            samples = self.controller.evaluate(choices)
            gain = advantage * samples.log_prob
            if recipe.ratio_clip is not None:
                before = samples.log_prob.detach() if before is None else before
                ratio = (samples.log_prob - before).exp()
                clipped = ratio.clamp(1.0 - recipe.ratio_clip, 1.0 + recipe.ratio_clip)
                gain = torch.minimum(ratio * advantage, clipped * advantage)  # PPO, eq. 7
            loss = (
                -gain.mean()
                - entropy_weight * samples.entropy.mean()
                + recipe.skip_weight * samples.skip_penalty.mean()
            )
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.gradient_clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)
            self.optimizer.step()
        return float(loss.detach()), Samples(*(figure.detach() for figure in samples))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything an exact continuation needs: named tensors (copies, on the CPU) and a JSON-able record."""
        tensors = {
            **{f"controller.{name}": weight for name, weight in self.controller.state_dict().items()},
            **optimizer_tensors(self.optimizer, "adam."),
            "generator": self.generator.get_state(),
            "memory.choices": self.memory.choices,
            "memory.rewards": self.memory.rewards,
        }
        copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        return copies, {"updates": self.updates, "baseline": self.baseline}

    def load_state(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Continue where `state` was taken, bit for bit. Raises SearchError when it is of another controller."""
        expected = {f"controller.{name}": weight for name, weight in self.controller.state_dict().items()}
        expected["generator"] = self.generator.get_state()
        for number, (name, weight) in enumerate(self.controller.named_parameters()):
            # searches of earlier versions kept Adam's moments under the weights' names
            tensors = {key.replace(f"adam.{name}.", f"adam.{number}."): tensor for key, tensor in tensors.items()}
            if f"adam.{number}.step" in tensors:  # a weight that never had a gradient has no moments
                expected[f"adam.{number}.exp_avg"] = expected[f"adam.{number}.exp_avg_sq"] = weight
        for name, tensor in expected.items():
            if name not in tensors or tensors[name].shape != tensor.shape:
                held = f"shape {tuple(tensors[name].shape)}" if name in tensors else "nothing"
                raise SearchError(
                    f"The saved controller has {held} for {name!r} where this search has shape {tuple(tensor.shape)}; "
                    "use the space and settings it was saved with."
                )
        self.controller.load_state_dict(under(tensors, "controller."))
        restore_optimizer(self.optimizer, tensors, "adam.")
        self.generator.set_state(tensors["generator"].cpu())
        self.memory.load(tensors["memory.choices"], tensors["memory.rewards"])
        self.updates, self.baseline = record["updates"], record["baseline"]
