"""No side is called better on fewer test images of a value than can tell."""

from dataclasses import replace

import pytest
import torch

from nas.job.advice import Facts, TooFew, verdict
from nas.job.gains import Gain, Interval
from nas.job.results import too_few
from nas.settings import JobData
from subdatasets.reading.rows import FEW, few_sentence
from trunk.features.source import ArrayFeatures, LabelledFeatures

GAINS = {"random": Gain(0.2, 0.1, 0.3, 0.1, 0.3), "linear_probe": Gain(0.2, 0.1, 0.3, 0.1, 0.3)}


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


def test_the_sentence_gives_neither_a_verdict_nor_advice_to_ship() -> None:
    facts = Facts(
        "hat",
        "searched",
        "90 parameters",
        "auroc",
        val=0.9,
        score=Interval(1.0, 0.9, 1.0),
        images=80,
        others={"linear_probe": 0.8},
        gains=GAINS,
        search_gain=GAINS["random"],
        random=4,
    )
    told, _ = verdict(facts)
    assert told.startswith("Ship the searched branch: ")
    assert "a gain beyond the interval" in told
    kept, advice = verdict(replace(facts, few=TooFew("yes", 1)))
    assert advice.action == "label more"
    assert kept == (
        "Label more before you ship the searched branch: test AUROC 1.0000. Too few test images of 'yes' (1, it takes "
        "10) to tell how good it is, or whether anything else is better."
    )


def test_a_search_says_beforehand_which_split_holds_too_few() -> None:
    enough = {"train": {"no": 30, "yes": 30}, "val": {"no": 10, "yes": 10}, "test": {"no": 10, "yes": 10}}
    assert few_sentence("hat", enough) == ""
    assert few_sentence("hat", {**enough, "test": {"no": 0, "yes": 0}}) == "", "there is no test split"
    found = few_sentence("hat", {**enough, "val": {"no": 40, "yes": 3}, "test": {"no": 40, "yes": 1}})
    assert "3 of 'yes' in val, 1 of 'yes' in test" in found
