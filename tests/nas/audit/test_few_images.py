"""An audit gives no verdict where a search gives none: on fewer images of a value than can tell."""

from dataclasses import replace
from typing import Any

import pytest

from nas.audit.run import advice, audit_sentence, few_of
from nas.job.results import split_counts
from reports.search.audit import _gain_table
from subdatasets.reading.rows import FEW
from tests.nas.job.test_few_images import job, split

WORDS = "too few {} images of 'yes' ({}, it takes 10) to tell whether the search gained anything"


def audit(**more: Any) -> dict[str, Any]:
    sure = {"difference": 0.05, "low": 0.04, "high": 0.06, "seeds": 3}
    tau = {"tau": 0.8, "low": 0.7, "high": 0.9, "pairs": 24}
    return {
        "attribute": "hat",
        "metric": "auroc",
        "ranking": {"tau": tau, "ceiling": tau},
        "gain": {"equal_budget": sure, "equal_cost": sure, "extra_random": 3},
        "collapse": {"alarms": []},
        **more,
    }


@pytest.mark.parametrize(("where", "images"), [("test", 3), ("val", 9)])
def test_no_advice_below_the_number(where: str, images: int) -> None:
    assert advice(audit()) == "worth searching"
    few = audit(too_few={"split": where, "value": "yes", "images": images})
    assert advice(few) == WORDS.format(where, images)
    assert audit_sentence(few).endswith(f": {WORDS.format(where, images)}.")
    assert "0.0600" in str(_gain_table(audit(), "AUROC").rows[-1])
    assert "0.0600" not in str(_gain_table(few, "AUROC").rows[-1])


def test_the_splits_that_an_audit_rests_on_are_counted() -> None:
    assert few_of(job(FEW, FEW)) == {}
    assert few_of(job(40, 2)) == {"too_few": {"split": "test", "value": "yes", "images": 2}}
    val = replace(job(FEW, FEW), val=split(4, 30))
    assert few_of(val) == {"too_few": {"split": "val", "value": "no", "images": 4}}
    assert few_of(replace(val, test=None)) == few_of(val)
    assert split_counts(val)["val"] == {"no": 4, "yes": 30}
