"""What the controller chose, counted by hand."""

from collections import Counter
from pathlib import Path

import pytest

from reports.search.run import choices_figure
from reports.summaries.choices import decisions_of, operation_shares, sampled, settled
from reports.summaries.search import Records, read_records
from search_spaces import macro_space, micro_space
from tests.reports.search_folder import write_search


@pytest.fixture(params=["macro", "micro"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    space = macro_space(3) if request.param == "macro" else micro_space(2)
    return read_records(write_search(tmp_path, epochs=20, updates=10, proposals=8, space=space))


def rows_of(records: Records) -> list[list[int]]:
    return [one for update in records.of("controller_update") for one in update["architectures"]]  # type: ignore


def test_shares_add_up_and_are_those_that_were_sampled(records: Records) -> None:
    found = operation_shares(sampled(records), points=10_000)
    assert found is not None
    for at in range(len(found.epochs)):
        assert sum(line[at] for line in found.shares.values()) == pytest.approx(1)
    decisions = decisions_of(records)
    counts: Counter[str] = Counter()
    for row in rows_of(records):
        for choice, decision in zip(row, decisions, strict=True):
            if decision.kind == "operation":
                counts[str(decision.choices[choice])] += 1
    whole = operation_shares(sampled(records), points=1)
    assert whole is not None
    assert whole.epochs == (20.0,)
    assert {name: line[0] for name, line in whole.shares.items()} == pytest.approx(
        {name: count / counts.total() for name, count in counts.items()}
    )
    assert len({text.get_text() for text in choices_figure(found).axes[0].texts}) == len(found.shares)


def test_what_it_settled_on_is_the_commonest_of_the_last_tenth(records: Records) -> None:
    decisions, rows = decisions_of(records), rows_of(records)
    tenth = len(rows) // 10
    found = {one.name: one for one in settled(sampled(records))}
    for place, decision in enumerate(decisions):
        if len(decision.choices) < 2:
            assert decision.name not in found
            continue
        last = Counter(row[place] for row in rows[-tenth:])
        best = min(choice for choice, count in last.items() if count == max(last.values()))
        one = found[decision.name]
        assert one.favourite == decision.choices[best]
        assert one.last == pytest.approx(last[best] / tenth)
        assert one.first == pytest.approx(sum(row[place] == best for row in rows[:tenth]) / tenth)


@pytest.mark.parametrize("strange", [[[99] * 3], None, "x", [[0], [0, 1]], [[True]], [[-1]], [], [[0.5]]])
def test_samples_that_do_not_fit_are_left_out(records: Records, strange: object) -> None:
    updates = records.of("controller_update")
    broken = records._replace(history=({**updates[0], "architectures": strange}, *updates[1:]))
    assert len(sampled(broken).updates) == len(updates) - 1
    assert operation_shares(sampled(records._replace(result={}, config={}))) is None
    assert settled(sampled(records._replace(history=()))) == ()
