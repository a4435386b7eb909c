"""No side is called better on fewer test images of a value than can tell."""

from dataclasses import replace

import pytest
import torch

from nas.job.results import Gain, TooFew, too_few, verdict
from nas.job.trainings import Figures
from nas.settings import JobData
from subdatasets.reading.rows import FEW, few_sentence
from tests.nas.job.test_run import SETTINGS
from trunk.features.source import ArrayFeatures, LabelledFeatures

GAINS = {"over_random": Gain(0.2, 0.1, 0.3, 0.1, 0.3), "over_linear_probe": Gain(-0.2, -0.3, -0.1, -0.3, -0.1)}


def split(no: int, yes: int) -> LabelledFeatures:
    labels = torch.tensor([0] * no + [1] * yes)
    return LabelledFeatures(ArrayFeatures(torch.zeros(no + yes, 2, 1, 1).numpy()), labels, 2)


def job(no: int, yes: int) -> JobData:
    return JobData("hat", ("no", "yes"), split(20, 20), split(20, 20), split(no, yes))


@pytest.mark.parametrize(
    ("no", "yes", "few"),
    [(40, 1, TooFew("yes", 1)), (FEW - 1, 40, TooFew("no", 9)), (FEW, FEW, None), (40, 0, TooFew("yes", 0))],
)
def test_the_rarer_value_decides(no: int, yes: int, few: TooFew | None) -> None:
    assert too_few(job(no, yes)) == few
    assert too_few(replace(job(no, yes), test=None)) is None


def test_the_sentence_gives_neither_a_verdict_nor_advice() -> None:
    figures: dict[str, list[Figures]] = {"winner": [{"auroc": 1.0}]}
    told = verdict("auroc", figures, GAINS, 0.5, SETTINGS)
    assert "a gain beyond the interval" in told
    assert "use the probe" in told
    kept = verdict("auroc", figures, GAINS, 0.5, SETTINGS, few=TooFew("yes", 1))
    assert kept == (
        "Test AUROC 1.0000 (mean of 1 trainings); too few test images of 'yes' (1, it takes 10) to tell whether the "
        "search gained anything."
    )


def test_a_search_says_beforehand_which_split_holds_too_few() -> None:
    enough = {"train": {"no": 30, "yes": 30}, "val": {"no": 10, "yes": 10}, "test": {"no": 10, "yes": 10}}
    assert few_sentence("hat", enough) == ""
    assert few_sentence("hat", {**enough, "test": {"no": 0, "yes": 0}}) == "", "there is no test split"
    found = few_sentence("hat", {**enough, "val": {"no": 40, "yes": 3}, "test": {"no": 40, "yes": 1}})
    assert "3 of 'yes' in val, 1 of 'yes' in test" in found
