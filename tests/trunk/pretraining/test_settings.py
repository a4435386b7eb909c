"""When to train the trunk again: five to seven labels that it has not learnt from."""

import pytest

from trunk.errors import TrunkError
from trunk.pretraining.settings import Policy, advise

LEARNT = ("bald", "hat")


@pytest.mark.parametrize(
    ("new", "state"), [(0, "wait"), (4, "wait"), (5, "due"), (6, "due"), (7, "overdue"), (30, "overdue")]
)
def test_five_to_seven_new_labels(new: int, state: str) -> None:
    labels = [f"label{number}" for number in range(new)]
    advice = advise(LEARNT, [*LEARNT, *labels], Policy())
    assert advice.state == state
    assert advice.added == tuple(sorted(labels))


def test_a_label_that_was_removed_is_not_counted() -> None:
    assert advise(LEARNT, ["bald", "beard"], Policy()).added == ("beard",)
    assert advise(LEARNT, [], Policy()).added == ()


def test_the_sentence_names_them() -> None:
    assert advise((), ("a", "b"), Policy(2, 3)).sentence == (
        "2 labels since the last training of the trunk (a, b): it is worth training again, by 3 at the latest."
    )
    assert advise((), "abc", Policy(2, 3)).sentence.endswith(
        "(a, b, c): train it again, for 3 are the most it should wait for."
    )
    assert advise((), (), Policy()).sentence == (
        "No labels since the last training of the trunk; at 5 to 7 it is worth training again."
    )


@pytest.mark.parametrize(("due", "overdue"), [(0, 7), (6, 5)])
def test_a_policy_that_makes_no_sense(due: int, overdue: int) -> None:
    with pytest.raises(TrunkError, match=r"trunk\.retrain_overdue must be"):
        Policy(due, overdue)
