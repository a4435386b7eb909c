"""A job's plan, what bounds its tail, and what a budget in minutes makes of its settings; nothing is trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from branches.settings import FitSettings
from nas.job.stages import budget, work
from nas.job.stages.work import Units, bounded_tail, nominal_units, plan_of, plan_sentence, total
from nas.settings import JobData, JobSettings, SearchSettings
from search_spaces import macro_space
from tests.nas.conftest import make_split
from tests.nas.job.test_run import Tail

CPU = torch.device("cpu")
DATA = JobData("toy", ("no", "yes"), make_split(300, 0), make_split(100, 1), tail=Tail)
UNITS = Units((1.0, 2.0, 4.0), 0.01, 10.0)
SETTINGS = JobSettings(
    space=macro_space(2, widths=(4,)),
    search=SearchSettings(epochs=4, warmup_epochs=1, min_steps=5, batch_size=50, reward_images=50),
    retrain=FitSettings(epochs=3, batch_size=100),
    tail=FitSettings(epochs=2, batch_size=100),
    candidates=20,
    tail_share=1.0,
    learning_curve=False,
)


def test_a_plan_counts_what_each_stage_does() -> None:
    stages = {stage.name: stage.seconds for stage in plan_of(DATA, SETTINGS, UNITS)}
    scored = (3 * 10 * 8 * 50 + 20 * 100) * 0.01  # rewards, and candidates on all of val
    steps = 4 * 6 * 50 / 100  # epochs of 300 / 50 batches, in steps of 100 images
    assert stages["search"] == pytest.approx((steps + scored, 2 * steps + scored, 4 * steps + scored))
    trainings = 2 * (4 + 2)  # winner's and random ones, four and two repeats
    assert stages["trainings"][1] == pytest.approx(trainings * 3 * (3 * 2.0 + 100 * 0.01))
    assert stages["tail"] == (60.0, 60.0, 60.0)
    assert total(plan_of(DATA, replace(SETTINGS, tail=None), UNITS))[1] == pytest.approx(
        stages["search"][1] + stages["trainings"][1]
    )
    names = [stage.name for stage in plan_of(DATA, replace(SETTINGS, learning_curve=True, finalists=8), UNITS)]
    assert names == ["search", "race", "trainings", "learning curve", "tail"]
    trials = plan_of(DATA, replace(SETTINGS, strategy="random", trials=7, trial_epochs=2), UNITS)[0]
    assert trials.seconds[1] == pytest.approx(7 * 2 * (3 * 2.0 + 1.0))


def test_the_sentence_names_every_stage_and_the_range() -> None:
    sentence = plan_sentence(plan_of(DATA, SETTINGS, UNITS), "bald")
    assert sentence.startswith("bald: search 4 epochs and 20 candidates, 3 min; trainings 12 of 3 epochs, 4 min; tail ")
    assert "about 8 min in all (6 min to 12 min)" in sentence


def test_more_images_than_max_steps_hold_cost_nothing_more() -> None:
    settings = replace(
        SETTINGS, search=replace(SETTINGS.search, max_steps=5), retrain=replace(SETTINGS.retrain, max_steps=2)
    )
    many = replace(DATA, train=make_split(900, 0))
    assert total(plan_of(many, settings, UNITS)[:2]) == total(plan_of(DATA, settings, UNITS)[:2])
    assert total(plan_of(many, SETTINGS, UNITS)[:2]) > total(plan_of(DATA, SETTINGS, UNITS)[:2])


def test_a_tail_takes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LEAST_STEPS", 2)
    tail = FitSettings(epochs=5, batch_size=10)  # 30 steps an epoch
    settings = replace(SETTINGS, tail=tail)
    nominal = nominal_units(DATA, settings)
    others = total(work.stages_before_tail(DATA, settings, nominal))[1]
    for share in (0.9, 0.5, 0.2, 0.1):
        bounded = bounded_tail(DATA, replace(settings, tail_share=share), nominal._replace(tail_step=others / 100))
        assert bounded is not None
        steps = bounded.epochs * bounded.steps(300)
        assert steps <= 100 * share / (1 - share)
        # A whole epoch more would be too much, or the tail is as long as was asked for.
        assert steps + 30 > 100 * share / (1 - share) or bounded == tail
    assert bounded_tail(DATA, settings) == tail
    assert bounded_tail(replace(DATA, tail=None), settings) is None


def test_nominal_units_are_the_same_on_every_machine_and_measured_ones_are_there() -> None:
    assert nominal_units(DATA, SETTINGS) == nominal_units(DATA, SETTINGS)
    before = torch.get_rng_state()
    measured = work.measured_units(DATA, SETTINGS, seed=0, device=CPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert 0 < measured.step[0] <= measured.step[1] <= measured.step[2]
    assert measured.image > 0
    assert measured.tail_step > 0


@pytest.mark.parametrize("minutes", [4, 8, 20])
def test_a_budget_takes_the_most_that_fits(minutes: float) -> None:
    settings = replace(SETTINGS, minutes=minutes)
    chosen = budget.fitting(DATA, settings, UNITS)
    assert total(plan_of(DATA, chosen, UNITS))[1] <= 60 * minutes
    longer = budget.fitting(DATA, replace(settings, minutes=2 * minutes), UNITS)
    assert total(plan_of(DATA, longer, UNITS)) > total(plan_of(DATA, chosen, UNITS))
    assert chosen.search.warmup_epochs < chosen.search.epochs
    assert budget.sized(settings, budget.sizes_of(chosen)) == chosen


def test_a_budget_that_nothing_keeps_takes_the_least() -> None:
    least = budget.fitting(DATA, replace(SETTINGS, minutes=0.01), UNITS)
    assert least == budget.scaled(replace(SETTINGS, minutes=0.01), budget.SCALES[0])
    assert least.retrain_top == least.repeats == 1


def test_a_budget_is_decided_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, minutes=5.0)
    monkeypatch.setattr(budget, "measured_units", lambda *_args, **_options: UNITS)
    chosen, about = budget.within_budget(DATA, settings, folder=tmp_path, seed=0, device=CPU)
    assert about["budget"]["minutes"] == 5.0
    assert about["budgeted"]["search"]["epochs"] == chosen.search.epochs
    monkeypatch.setattr(budget, "measured_units", lambda *_args, **_options: UNITS._replace(step=(9.0, 9.0, 9.0)))
    assert budget.within_budget(DATA, settings, folder=tmp_path, seed=0, device=CPU) == (chosen, about)
    assert budget.budgeted(settings, tmp_path) == chosen
    assert budget.within_budget(DATA, SETTINGS, folder=tmp_path, seed=0, device=CPU) == (SETTINGS, {})
