"""NNI's DARTS on the macro space: the mixture against the branch it becomes, and what the strategy does with it."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from branches.branch import Branch
from branches.settings import FitSettings
from foundation.history import read_history
from nas.errors import SearchError
from nas.settings import JobData, JobSettings, SearchSettings
from search_spaces import Architecture, Decision, MacroPlan, Space, macro_space
from tests.nas.conftest import make_split
from tests.nas.extra import needs_nni
from trunk.features.source import ArrayFeatures, LabelledFeatures

pytestmark = needs_nni
SPACE = macro_space(3, widths=(3, 5), depths=(1, 2, 3))
CPU = torch.device("cpu")


def mixed() -> nn.Module:
    """The mixture as DARTS trains it, with norms that are not all alike."""
    from nni.nas.strategy import DARTS

    from nas.strategies.nni_mixture import MacroMixture

    mixture: nn.Module = MacroMixture(SPACE, 6, 2, generator=torch.Generator().manual_seed(0))
    DARTS().mutate_model(mixture)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in mixture.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.5, 0.5, generator=generator)
    return mixture


def choices_of(mixture: nn.Module) -> dict[str, nn.Parameter]:
    """Decision name -> the logits of its choices."""
    return {
        str(part.label): part.get_parameter("_arch_alpha")
        for part in mixture.modules()
        if "_arch_alpha" in part._parameters
    }


@torch.no_grad()
def choose(mixture: nn.Module, architecture: Architecture) -> None:
    """Make every choice certain."""
    logits = choices_of(mixture)
    for decision, index in zip(SPACE.decisions, SPACE.indices(architecture), strict=True):
        logits[decision.name].fill_(-1e4)
        logits[decision.name][index] = 1e4


@torch.no_grad()
def extracted(mixture: nn.Module, architecture: Architecture) -> Branch:
    """The branch with the mixture's weights, the first channels of them where it is narrower."""
    branch = Branch(architecture, (6, 3, 3), 2)
    plan = branch.plan
    assert isinstance(plan, MacroPlan)

    def copy(target: nn.Module, source: str) -> None:
        for name, parameter in target.named_parameters():
            held = mixture.get_parameter(f"{source}.{name}")
            parameter.copy_(held[tuple(slice(0, size) for size in parameter.shape)])

    copy(branch.stem, "stem")
    for number, (node, part) in enumerate(zip(branch.parts, plan.nodes, strict=True), start=1):
        names = next(one.choices for one in SPACE.decisions if one.name == f"node{number}.operation")
        for name in ("operation", "norm"):
            copy(node.get_submodule(name), f"nodes.{number - 1}.0.{names.index(part.operation)}.{name}")
    pooled = f"pooled.{('average', 'bilinear').index(plan.pooling)}.linear"
    weight: Tensor = mixture.get_parameter(f"{pooled}.weight")
    if plan.pooling == "bilinear":
        weight = weight.view(2, 5, 5)[:, : plan.width, : plan.width].flatten(1)
    else:
        weight = weight[:, : plan.width]
    shortcut = [mixture.get_parameter("shortcut_linear.weight")] if plan.shortcut else []
    branch.head.linear.weight.copy_(torch.cat([weight, *shortcut], 1))
    branch.head.linear.bias.copy_(mixture.get_parameter(f"{pooled}.bias"))
    return branch


def test_a_mixture_of_certain_choices_is_the_branch() -> None:
    mixture, rng = mixed(), np.random.default_rng(0)
    features = torch.randn(16, 6, 3, 3, generator=torch.Generator().manual_seed(2))
    answers: list[Tensor] = []
    for _ in range(30):
        architecture = SPACE.random(rng)
        choose(mixture, architecture)
        with torch.no_grad():
            answers.append(mixture(features))
            expected = extracted(mixture, architecture)(features)
        torch.testing.assert_close(answers[-1], expected, rtol=1e-4, atol=1e-5)
    assert torch.stack(answers).std(0).min() > 0.01


def test_every_choice_is_learned() -> None:
    """A gradient reaches the probabilities of each decision that is one."""
    mixture = mixed()
    mixture(torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(2))).square().sum().backward()
    logits = choices_of(mixture)
    for decision in SPACE.decisions:
        gradient = logits[decision.name].grad
        assert gradient is not None
        assert gradient.abs().min() > 0, decision.name


def settings(**changes: object) -> JobSettings:
    search = SearchSettings(epochs=4, warmup_epochs=1, min_steps=0, batch_size=32)
    space = macro_space(2, widths=(2, 4), depths=(1, 2))
    return replace(
        JobSettings(space, search, strategy="nni-darts", retrain=FitSettings(epochs=2)),
        **changes,  # type: ignore[arg-type]
    )


def test_choices_wait_for_the_warm_up_and_then_move(data: JobData, tmp_path: Path) -> None:
    from nas.strategies.nni_darts import DartsStage

    def probabilities(epochs: int, warmup_epochs: int) -> dict[str, list[float]]:
        search = SearchSettings(epochs=epochs, warmup_epochs=warmup_epochs, min_steps=0, batch_size=32)
        folder = tmp_path / f"{epochs}-{warmup_epochs}"
        DartsStage(data, settings(search=search), folder=folder, seed=0, device=CPU).candidates()
        found = read_history(folder / "history.jsonl")[-1]["probabilities"]
        assert isinstance(found, dict)
        return found

    still = probabilities(2, 2)
    assert probabilities(3, 3) == still
    moved = probabilities(3, 2)
    assert set(still) == {one.name for one in settings().space.decisions}
    for name, shares in moved.items():
        assert sum(shares) == pytest.approx(1)
        assert shares != still[name], name


def test_the_rest_of_a_killed_training_is_the_same(data: JobData, tmp_path: Path) -> None:
    """Killed between epochs with the choices' optimiser in full swing, and once more when all epochs are done."""
    from nas.strategies.nni_darts import DartsStage

    def stage(folder: str) -> DartsStage:
        return DartsStage(data, settings(), folder=tmp_path / folder, seed=0, device=CPU)

    class KilledError(BaseException):
        pass

    def kill(_stage: str, done: int, _total: int, _figures: object) -> None:
        if done == 3:
            raise KilledError

    whole = stage("whole").candidates()
    with pytest.raises(KilledError):
        stage("killed").candidates(progress=kill)
    assert stage("killed").candidates() == whole
    (tmp_path / "killed" / "candidates.json").unlink()
    assert stage("killed").candidates() == whole
    last = [read_history(tmp_path / name / "history.jsonl")[-1] for name in ("whole", "killed")]
    assert last[0] == last[1]


def test_ctrl_c_stays_one(data: JobData, tmp_path: Path) -> None:
    from nas.strategies.nni_darts import DartsStage

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        DartsStage(data, settings(), folder=tmp_path, seed=0, device=CPU).candidates(progress=interrupt)
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_mixture_that_diverges_says_so(data: JobData, tmp_path: Path) -> None:
    from nas.strategies.nni_darts import DartsStage

    features = data.train.features.gather(torch.arange(len(data.train)))
    features[0] = torch.finfo(torch.float32).max  # finite, as what comes out of a trunk is, and too much for a sum
    broken = replace(data, train=LabelledFeatures(ArrayFeatures(features), data.train.labels, 2))
    with pytest.raises(SearchError, match=r"diverged in epoch 1 .*lower search\.learning_rate"):
        DartsStage(broken, settings(), folder=tmp_path, seed=0, device=CPU).candidates()


def test_it_learns_what_tells_the_values_apart(data: JobData, tmp_path: Path) -> None:
    from nas.strategies.nni_darts import DartsStage

    big = replace(data, train=make_split(512, 3))
    search = SearchSettings(epochs=10, warmup_epochs=2, min_steps=0, batch_size=32)
    found = DartsStage(big, settings(search=search), folder=tmp_path, seed=0, device=CPU).candidates()
    assert found[0].score > 0.85
    losses = [one["loss"] for one in read_history(tmp_path / "history.jsonl") if one["kind"] == "child_epoch"]
    assert losses[-1] < 0.8 * losses[0]


def test_rare_values_may_weigh_more(data: JobData, tmp_path: Path) -> None:
    from nas.strategies.nni_darts import DartsStage

    losses = {}
    for balance in ("none", "weights", "sampling"):
        search = replace(settings().search, epochs=2, balance=balance)
        uneven = replace(data, train=make_split(90, 0, values=3), val=make_split(60, 1, values=3))
        uneven.train.labels[uneven.train.labels == 2] = torch.tensor([2] * 3 + [0] * 27)
        folder = tmp_path / balance
        DartsStage(uneven, settings(search=search), folder=folder, seed=0, device=CPU).candidates()
        losses[balance] = read_history(folder / "history.jsonl")[0]["loss"]
    assert len(set(losses.values())) == 3


def test_other_spaces_are_refused() -> None:
    from nas.strategies.nni_mixture import MacroMixture

    space = Space("micro", {}, (Decision("a", (1, 2)),))
    with pytest.raises(SearchError, match="macro space alone, not on 'micro'"):
        MacroMixture(space, 6, 2, generator=torch.Generator())
