"""Steps of a controller: which decisions share one, and which hidden state stands for a node as an edge's anchor."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas.errors import SearchError
from search_spaces.decisions import Decision


@dataclass(frozen=True)
class Step:
    """One LSTM step: a softmax over one decision (no sources), or several edges into one node.

    columns: the consecutive decisions answered here. sources: per edge, the slot of its anchor: the source's node
    number, or a negative number for a source that has decided nothing by then (-1 is the first learned vector).
    anchor: the node whose last decision this step has read, so that its hidden state is that node's anchor; None when
    no edge starts there.
    """

    columns: tuple[int, ...]
    sources: tuple[int, ...] = ()
    anchor: int | None = None


def steps_of(decisions: Sequence[Decision]) -> tuple[tuple[Step, ...], int]:
    """The steps that answer `decisions` in their order, and how many sources need a learned vector as anchor.

    Raises SearchError for no decisions, a decision without choices, or an edge that is not (False, True) with
    source and node.
    """
    check(decisions)
    edge_sources = {decision.source for decision in decisions if decision.kind == "edge"}
    last_column = {decision.node: column for column, decision in enumerate(decisions) if decision.node is not None}
    steps: list[Step] = []
    outside: dict[int, int] = {}
    for columns in grouped(decisions):
        first = columns[0]
        previous = decisions[first - 1].node if first else None
        decided = previous is not None and previous in edge_sources and last_column[previous] == first - 1
        sources = []
        for source in (decisions[column].source for column in columns if decisions[column].kind == "edge"):
            assert source is not None
            known = source >= 0 and last_column.get(source, first) < first
            sources.append(source if known else outside.setdefault(source, -1 - len(outside)))
        steps.append(Step(columns, tuple(sources), previous if decided else None))
    return tuple(steps), len(outside)


def check(decisions: Sequence[Decision]) -> None:
    """Raise SearchError for decisions that no controller can answer, see `steps_of`."""
    if not decisions:
        raise SearchError("The search space has no decisions: give it at least one.")
    for decision in decisions:
        if not decision.choices:
            raise SearchError(f"Decision {decision.name!r} has no choices: give it at least one.")
        if decision.kind == "edge" and (
            tuple(decision.choices) != (False, True) or decision.source is None or decision.node is None
        ):
            raise SearchError(f"Edge {decision.name!r} must have choices (False, True), a source and a node.")


def grouped(decisions: Sequence[Decision]) -> list[tuple[int, ...]]:
    """The columns of each step: consecutive edges into one node together, any other decision alone."""
    groups: list[tuple[int, ...]] = []
    for column, decision in enumerate(decisions):
        before = decisions[column - 1] if column else None
        if before and decision.kind == "edge" and (before.kind, before.node) == ("edge", decision.node):
            groups[-1] += (column,)
        else:
            groups.append((column,))
    return groups
