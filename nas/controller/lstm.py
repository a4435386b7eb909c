"""The order in which a controller answers decisions: which ones share an LSTM step, and where anchors come from."""

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
    if not decisions:
        raise SearchError("The search space has no decisions: give it at least one.")
    for decision in decisions:
        if not decision.choices:
            raise SearchError(f"Decision {decision.name!r} has no choices: give it at least one.")
        if decision.kind == "edge" and (
            tuple(decision.choices) != (False, True) or decision.source is None or decision.node is None
        ):
            raise SearchError(f"Edge {decision.name!r} must have choices (False, True), a source and a node.")
    read = {decision.source for decision in decisions if decision.kind == "edge"}
    last = {decision.node: column for column, decision in enumerate(decisions) if decision.node is not None}
    steps: list[Step] = []
    outside: dict[int, int] = {}
    column = 0
    while column < len(decisions):
        previous = decisions[column - 1].node if column else None
        anchor = previous if previous is not None and previous in read and last[previous] == column - 1 else None
        end = column + 1
        sources: list[int] = []
        if decisions[column].kind == "edge":
            while end < len(decisions) and (decisions[end].kind, decisions[end].node) == (
                "edge",
                decisions[column].node,
            ):
                end += 1
            for edge in decisions[column:end]:
                assert edge.source is not None
                known = edge.source in last and last[edge.source] < column and edge.source >= 0
                sources.append(edge.source if known else outside.setdefault(edge.source, -1 - len(outside)))
        steps.append(Step(tuple(range(column, end)), tuple(sources), anchor))
        column = end
    return tuple(steps), len(outside)
