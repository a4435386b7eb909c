"""A label graph is called better by labels alone that have images enough of both kinds."""

import numpy as np
import pytest

from label_graph.gain import enough_images, gains, rarest_label, verdict_of
from label_graph.settings import GraphSettings
from reports.label_graph.page import standing, verdict_word
from reports.label_graph.records import GraphRecords

NAMES = ("hat", "bag")
SETTINGS = GraphSettings()


def run(positives: tuple[int, int], images: int = 80) -> dict[str, object]:
    """A result in which the graph is far better on both labels, which so many of the images show."""
    rng = np.random.default_rng(0)
    states = np.zeros((images, 2), np.int8)
    for column, count in enumerate(positives):
        states[rng.permutation(images)[:count], column] = 1
    scores = {"cooccurrence": {"test": states + rng.normal(0, 0.1, states.shape)}}
    scores["none"] = {"test": rng.random(states.shape)}
    return {
        "chosen": "cooccurrence",
        "measured_on": "test",
        "methods": {"cooccurrence": {"test": {"map": 0.9}}},
        "gains": gains(scores, states, "cooccurrence", "test", seed=0),
        **rarest_label(states, NAMES),
    }


def records(tmp_path_like: object, result: dict[str, object]) -> GraphRecords:
    return GraphRecords(tmp_path_like, result, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("positives", "value", "images"), [((3, 9), "hat", 3), ((76, 9), "not hat", 4), ((9, 9), "hat", 9)]
)
def test_no_verdict_where_no_label_has_enough(positives: tuple[int, int], value: str, images: int) -> None:
    result = run(positives)
    told = verdict_of(result, SETTINGS, edges=1)
    assert told == (
        f"On test, the label graph reaches 90.0 % mAP: too few test images of '{value}' ({images}, it takes 10) to "
        "tell whether the graph gained anything."
    )
    read = records(None, result)
    assert standing(read) == "too few"
    assert [verdict_word(gain) for gain in read.gains] == ["too few images"]


def test_labels_with_too_few_images_have_no_say() -> None:
    result = run((30, 3))
    told = verdict_of(result, SETTINGS, edges=1)
    assert "better than no graph" in told
    assert "on the 1 labels with 10 images of each kind" in told
    gain = result["gains"]["cooccurrence over none"]  # type: ignore[index]
    alone = run((30, 30))["gains"]["cooccurrence over none"]  # type: ignore[index]
    assert gain["enough"]["map"] == pytest.approx(gain["labels"][0])
    assert gain["map"] == pytest.approx(np.mean(gain["labels"]))
    assert "enough" not in alone
    assert standing(records(None, result)) == "better"


def test_enough_is_counted_among_known_images() -> None:
    states = np.zeros((30, 3), np.int8)
    states[:10] = 1
    assert enough_images(states).tolist() == [True] * 3
    states[0, 0] = -1
    states[10:21, 1] = -1
    assert enough_images(states).tolist() == [False, False, True]
