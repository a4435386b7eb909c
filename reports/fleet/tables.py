"""Entries of a fleet -> the tables below the overview: the paper's two, marginal costs, trunk versions.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), Tables 1 and 2;
thresholds as in the table of best thresholds of its engineering paper.
"""

from collections.abc import Sequence

from reports.fleet.entries import Costs, Entry, Fleet
from reports.fleet.tree_cost import TreeCost, saving
from reports.layout.formats import NOTHING, change, count, milliseconds, score, share, short_count
from reports.layout.pages import Table
from reports.summaries.values import items, table, text

ACROSS = 6  # attributes to a table, as in the paper


def images_table(entries: Sequence[Entry]) -> Table:
    """Table 1: positive and negative images of each attribute; of more than two values, one number for each."""
    splits = [split for split in ("train", "val", "test") if any(split in one.counts for one in entries)]
    rows = tuple(
        (one.attribute, *(images_of(one, split) for split in splits)) for one in entries if any(one.counts.values())
    )
    several = any(len(one.values) > 2 for one in entries)
    caption = "As the paper's Table 1, with val, by which everything is chosen, as well: positive/negative."
    if several:
        caption += " Attributes of more values have one number for each of them."
    return Table(caption, ("attribute", *(f"{split} images" for split in splits)), rows)


def images_of(entry: Entry, split: str) -> str:
    """ "1,000/9,000": positive before negative; the values are named below where they are not no and yes."""
    by_value = entry.counts.get(split, {})
    names = list(by_value)
    if len(names) == 2:
        names.reverse()
    written = "/".join(count(by_value[name]) for name in names)
    return f"{written or NOTHING}\n{'/'.join(names)}" if names and set(names) != {"no", "yes"} else written or NOTHING


def thresholds_table(entries: Sequence[Entry]) -> Table:
    """Where each attribute is decided, and how that fares on test, as in the engineering paper's Table 2."""
    rows = tuple(
        (one.attribute, *(score(one.test.get(key), 3) for key in OPERATION))
        for one in entries
        if any(key in one.test for key in OPERATION)
    )
    caption = "On test, at the threshold that val chose. FPR: false positive rate."
    return Table(caption, ("", *OPERATION.values()), rows)


OPERATION = {key: key for key in ("threshold", "accuracy", "precision", "recall")} | {"fpr": "FPR"}


def accuracy_tables(entries: Sequence[Entry]) -> tuple[Table, ...]:
    """Table 2: accuracy and reduction of weights, the attributes across, six to a table."""
    done = [one for one in entries if "accuracy" in one.test]
    tables = []
    for start in range(0, len(done), ACROSS):
        some = done[start : start + ACROSS]
        rows = (
            ("Accuracy", *(share(one.test["accuracy"]) for one in some)),
            ("Reduction rate", *(change(one.reduction) for one in some)),
        )
        caption = (
            "As the paper's Table 2: accuracy on test at the threshold that val chose, and weights against the tail."
            if start == 0
            else "Table 2, continued."
        )
        tables.append(Table(caption, ("", *(one.attribute for one in some)), rows))
    return tuple(tables)


def cost_table(fleet: Fleet, cost: TreeCost) -> Table:
    """The trunk, what each branch adds to it, the sum, and as many separate networks."""
    rows = [("trunk, once for all", *_cells(cost.trunk), "")]
    for one in cost.counted:
        added = saving(one.branch.parameters, _with_trunk(fleet, one).parameters)
        rows.append((f"+ {one.attribute}", *_cells(one.branch), change(added)))
    whole = saving(cost.tree.parameters, cost.separate.parameters)
    rows.append(("the whole tree", *_cells(cost.tree), change(whole)))
    rows.append((f"{len(cost.counted)} separate networks", *_cells(cost.separate), ""))
    caption = (
        "What each branch adds, for one image. In the last column its parameters against a network of its own for the "
        "attribute, which is the trunk with its tail; the tree's against all of these. "
        f"{_how_timed(fleet)}"
    )
    head = ("", "parameters", "MACs", "latency", "against its own network")
    return Table(caption.strip(), head, tuple(rows), marked=len(rows) - 2)


def versions_table(fleet: Fleet) -> Table | None:
    """Every version of the trunk, oldest first; None without a trunk."""
    trunk = table(fleet.record.get("trunk"))
    now, before = text(trunk.get("version")), text(trunk.get("rollback"))
    rows = []
    marked = None
    for place, one in enumerate(map(table, items(trunk.get("versions")))):
        version, print_ = text(one.get("version")) or NOTHING, text(one.get("fingerprint"))
        learnt = len(items(one.get("attributes")))
        standing = "in use" if version == now else "before the last switch" if version == before else ""
        marked = place if version == now else marked
        rows.append(
            (
                version,
                (text(one.get("created")) or NOTHING)[:10],
                text(one.get("backbone")) or NOTHING,
                f"{learnt} attributes" if learnt else NOTHING,
                str(sum(1 for entry in fleet.entries if print_ and entry.fingerprint == print_)),
                standing,
            )
        )
    head = ("version", "created", "backbone", "trained on", "branches of this fleet", "")
    return Table("Versions of the trunk, oldest first.", head, tuple(rows), marked) if rows else None


def _with_trunk(fleet: Fleet, entry: Entry) -> Costs:
    trunk, tail = fleet.trunk_costs(entry.depth), entry.tail
    both = None if trunk.parameters is None or tail.parameters is None else trunk.parameters + tail.parameters
    return Costs(both, None, None)


def _cells(costs: Costs) -> tuple[str, str, str]:
    return count(costs.parameters), short_count(costs.macs), milliseconds(costs.latency_ms)


def _how_timed(fleet: Fleet) -> str:
    how = text(table(fleet.record.get("trunk")).get("timed"))
    return f"Latency of the trunk: {how}; of a branch: as its search measured it." if how else ""
