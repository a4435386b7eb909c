"""Tables and figures below the overview: scores, the paper's two tables, trunk versions, the tree's cost.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), Tables 1 and 2,
and section 1: one trunk pass serves every attribute, where separate networks each compute their own; thresholds as in
the table of best thresholds of its engineering paper.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.fleet.entries import Entry, Fleet
from reports.layout.figures import legend, light, panel, rounded_count, styled
from reports.layout.formats import NOTHING, change, count, milliseconds, score, share, short_count, shortened
from reports.layout.pages import Table
from reports.summaries.search import Costs
from reports.summaries.values import items, table, text

ACROSS = 6  # attributes to a table, as in the paper
OPERATION = {key: key for key in ("threshold", "accuracy", "precision", "recall")} | {"fpr": "FPR"}
ROW = 0.235  # inches per attribute


class TreeCost(NamedTuple):
    """The sums over the attributes in `counted`, those with a branch on the trunk in use.

    trunk: down to the deepest block that any of them reads. separate: for each attribute the trunk to its own depth and
    the tail behind it. left_out: attributes with a result that is on another trunk, or whose costs are not known.
    """

    counted: tuple[Entry, ...]
    left_out: tuple[str, ...]
    trunk: Costs
    branches: Costs
    separate: Costs

    @property
    def tree(self) -> Costs:
        """Trunk and branches."""
        return added((self.trunk, self.branches))


def images_table(entries: Sequence[Entry]) -> Table:
    """Table 1: positive and negative images of each attribute; of more than two values, one number for each."""
    splits = [split for split in ("train", "val", "test") if any(split in entry.counts for entry in entries)]
    rows = tuple(
        (entry.attribute, *(images_of(entry, split) for split in splits))
        for entry in entries
        if any(entry.counts.values())
    )
    several = any(len(entry.values) > 2 for entry in entries)
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
        (entry.attribute, *(score(entry.test.get(key), 3) for key in OPERATION))
        for entry in entries
        if any(key in entry.test for key in OPERATION)
    )
    caption = "On test, at the threshold that val chose. FPR: false positive rate."
    return Table(caption, ("", *OPERATION.values()), rows)


def accuracy_tables(entries: Sequence[Entry]) -> tuple[Table, ...]:
    """Table 2: accuracy and reduction of weights, the attributes across, six to a table."""
    done = [entry for entry in entries if "accuracy" in entry.test]
    tables = []
    for start in range(0, len(done), ACROSS):
        some = done[start : start + ACROSS]
        rows = (
            ("Accuracy", *(share(entry.test["accuracy"]) for entry in some)),
            ("Reduction rate", *(change(entry.reduction) for entry in some)),
        )
        caption = (
            "As the paper's Table 2: accuracy on test at the threshold that val chose, and weights against the tail."
            if start == 0
            else "Table 2, continued."
        )
        tables.append(Table(caption, ("", *(entry.attribute for entry in some)), rows))
    return tuple(tables)


def cost_table(fleet: Fleet, cost: TreeCost) -> Table:
    """The trunk, what each branch adds to it, the sum, and as many separate networks."""
    rows = [("trunk, once for all", *_cells(cost.trunk), "")]
    for entry in cost.counted:
        added = saving(entry.branch.parameters, _with_trunk(fleet, entry).parameters)
        rows.append((f"+ {entry.attribute}", *_cells(entry.branch), change(added)))
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
    for index, record in enumerate(map(table, items(trunk.get("versions")))):
        version, print_ = text(record.get("version")) or NOTHING, text(record.get("fingerprint"))
        learnt = len(items(record.get("attributes")))
        standing = "in use" if version == now else "before the last switch" if version == before else ""
        marked = index if version == now else marked
        rows.append(
            (
                version,
                (text(record.get("created")) or NOTHING)[:10],
                text(record.get("backbone")) or NOTHING,
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


def tree_cost(fleet: Fleet) -> TreeCost:
    """Count up the fleet; everything is None where the trunk's own costs are not in the record."""
    counted = tuple(entry for entry in fleet.entries if entry.on_trunk and entry.branch.parameters is not None)
    left_out = tuple(entry.attribute for entry in fleet.entries if entry.measured and entry not in counted)
    depths = [entry.depth for entry in counted if entry.depth is not None]
    trunk = fleet.trunk_costs(max(depths, default=None))
    separate = added(added((fleet.trunk_costs(entry.depth), entry.tail)) for entry in counted)
    return TreeCost(counted, left_out, trunk, added(entry.branch for entry in counted), separate)


def added(costs: Iterable[Costs]) -> Costs:
    """The sum, part by part; None as soon as one of them is not known, or where there is none."""
    parts = tuple(costs)
    return Costs(*map(_sum, zip(*parts, strict=True))) if parts else Costs(None, None, None)


def _sum(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def saving(tree: float | None, separate: float | None) -> float | None:
    """The share that the tree saves; None where one of both is not known."""
    return 1 - tree / separate if tree is not None and separate else None


@styled
def fleet_scores_figure(entries: Sequence[Entry]) -> Figure:
    """The test score of every attribute, best first, with its interval; entries without a score are left out."""
    ranked = sorted((entry for entry in entries if entry.score is not None), key=lambda entry: entry.score or 0.0)
    figure, axes = panel("", f"test {ranked[-1].metric}", width=5.2, height=0.75 + ROW * len(ranked))
    for state, face, label in (("current", light("winner"), "current"), ("", light("surface"), "not current")):
        chosen = [
            (index, entry)
            for index, entry in enumerate(ranked)
            if (entry.state == "current") == bool(state) and entry.score is not None
        ]
        if not chosen:
            continue
        for row, entry in chosen:
            if entry.low is not None and entry.high is not None:
                axes.plot([entry.low, entry.high], [row, row], color=light("winner"), linewidth=3, alpha=0.3)
        x, y = [entry.score or 0.0 for _, entry in chosen], [row for row, _ in chosen]
        axes.plot(x, y, "o", color=light("winner"), markerfacecolor=face, markersize=5.5, label=label)
    axes.set_yticks(range(len(ranked)), [shortened(entry.attribute, 24) for entry in ranked])
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set_ylim(-0.7, len(ranked) - 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="y")
    if any(entry.state != "current" for entry in ranked):
        legend(axes)
    return figure


@styled
def tree_cost_figure(cost: TreeCost) -> Figure:
    """Two bars for each kind of cost that is known: the tree (trunk, then branches) and the separate networks."""
    kinds = known_kinds(cost)
    figure = Figure(figsize=(5.2, 0.55 + 1.05 * len(kinds)), layout="constrained")
    for axes, (name, field) in zip(figure.subplots(len(kinds), 1, squeeze=False)[:, 0], kinds, strict=True):
        trunk, branches, separate = (getattr(costs, field) for costs in (cost.trunk, cost.branches, cost.separate))
        first = axes.get_subplotspec().is_first_row()
        edge = light("surface")
        axes.barh([1], [trunk], color=light("probe"), edgecolor=edge, label="trunk, once" if first else None)
        axes.barh(
            [1],
            [branches],
            left=[trunk],
            color=light("winner"),
            edgecolor=edge,
            hatch="///",
            label="branches" if first else None,
        )
        axes.barh(
            [0], [separate], color=light("tail"), edgecolor=edge, label="networks of their own" if first else None
        )
        axes.set_yticks([0, 1], ["separate", "tree"])
        axes.set_title(name, loc="left", color=light("muted"), fontsize=9)
        axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if field != "latency_ms":
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded_count(value)))
    legend(figure.axes[0])
    return figure


def known_kinds(cost: TreeCost) -> list[tuple[str, str]]:
    """Title and field of each kind of cost that is known of the tree and of the separate networks."""
    titles = dict(zip(Costs._fields, ("parameters", "MACs per image", "milliseconds per image"), strict=True))
    return [
        (title, field)
        for field, title in titles.items()
        if getattr(cost.tree, field) is not None and getattr(cost.separate, field) is not None
    ]
