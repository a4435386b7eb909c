"""Section of the candidates: size against score, places before and after retraining, the Pareto front."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.layout.figures import HEIGHT, MARKERS, epoch_axis, legend, light, logarithmic, panel, styled
from reports.layout.formats import METRIC_NAMES, NOTHING, Names, count, milliseconds, score, short_count
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.candidates import (
    CHANCE,
    Candidate,
    Retraining,
    Trained,
    candidates,
    front,
    latency_sentence,
    rank_agreement,
    ranks,
    retrainings,
    trained_ones,
)
from reports.summaries.comparison import NAMES
from reports.summaries.search import Records, by_hand, judge_of, reward_metric, strategy_of, winner_identity
from reports.summaries.values import number, numbers_of, text

LIMIT_NAMES = Names(parameters="parameters", macs="MACs", latency_ms="ms")


def _training_section(records: Records) -> Section:
    """The training of a branch that was chosen by hand."""
    trained, metric = retrainings(records), reward_metric(records)
    if not trained:
        return Section("candidates", "Training", missing=("it has not been trained yet",))
    drawn = retraining_figure(trained, metric)
    caption = "On the cached features, from the trunk's weights."
    return Section("candidates", "Training", "", (picture("retraining", "Training", drawn, caption),))


def candidates_section(records: Records) -> Section:
    """What the search proposed, how the proposals fared when retrained, and whether the ranking held."""
    if by_hand(records):
        return _training_section(records)
    proposed, trained, metric = candidates(records), retrainings(records), reward_metric(records)
    judge = judge_of(records)
    pictures: list[Picture] = []
    missing = []
    if any(candidate.parameters and candidate.score is not None for candidate in proposed):
        caption = f"{count(len(proposed))} architectures, scored on val {judge}; large marks are trained from scratch."
        if any(candidate.on_front for candidate in proposed):
            caption += " Ringed: the Pareto front over score, parameters, MACs and latency."
        drawn = candidates_figure(proposed, trained_ones(records), metric)
        pictures.append(picture("candidates", "Candidates", drawn, caption))
    else:
        missing.append("no candidate has been scored yet")
    pairs = [
        (candidate.score, candidate.retrained)
        for candidate in proposed
        if candidate.score is not None and candidate.retrained is not None
    ]
    if pairs:
        agreement = rank_agreement(pairs)
        caption = f"{len(pairs)} retrained architectures; on the dotted line the order held."
        if agreement is not None:
            caption += f" Kendall's tau {score(agreement, 2)}: 1 is the same order, 0 unrelated, −1 reversed."
        drawn = ranks_figure(ranks(proposed), judge)
        pictures.append(picture("agreement", "Does the ranking hold?", drawn, caption))
    if trained:
        caption = "Each line is one architecture trained from scratch on the cached features."
        pictures.append(picture("retraining", "Retraining", retraining_figure(trained, metric), caption))
    else:
        missing.append("no architecture has been retrained yet")
    tables = tuple(record for record in (_retrained_table(records, metric), front_table(records)) if record)
    lead = limits_sentence(records)
    return Section("candidates", "Candidates", lead, tuple(pictures), tables, missing=tuple(missing))


def _retrained_table(records: Records, metric: str, rows: int = 10) -> Table | None:
    done = [(numbers_of(record.get("val")).get(metric), record) for record in records.of("retraining")]
    ranked = sorted(((value, entry) for value, entry in done if value is not None), key=lambda pair: -pair[0])
    if not ranked:
        return None
    chosen = winner_identity(records)
    cells = tuple(
        (
            text(entry.get("identity")) or NOTHING,
            _proposer(records, entry),
            count(number(entry.get("parameters"))),
            score(number(entry.get("shared_score"))),
            score(value),
        )
        for value, entry in ranked[:rows]
    )
    name = METRIC_NAMES[metric]
    own = _proposer(records, {"role": "candidate"})
    head = ("architecture", "proposed by", "parameters", judge_of(records), f"retrained, val {name}")
    marked = next((row for row, cell in enumerate(cells) if cell[0] == chosen and cell[1] == own), None)
    which = f"The best {rows} of {len(ranked)}" if len(ranked) > rows else f"All {len(ranked)}"
    return Table(f"{which} retrained architectures by val {name}.", head, cells, marked)


def _proposer(records: Records, retraining: dict[str, object]) -> str:
    """Who proposed a retrained architecture: the search's own strategy, chance, or a strategy it is compared with."""
    role = text(retraining.get("role")) or "candidate"
    if role == "candidate":
        return "controller" if strategy_of(records) == "enas" else strategy_of(records)
    return role if role == "random" else NAMES[role]


def limits_sentence(records: Records) -> str:
    """The limits that every architecture was drawn within; empty where there were none."""
    limits = numbers_of(records.result.get("limits"))
    if not limits:
        return ""
    order = dict.fromkeys(key for key in (*LIMIT_NAMES, *limits) if key in limits)
    whole = ("parameters", "macs")
    parts = [f"{count(limits[key]) if key in whole else f'{limits[key]:g}'} {LIMIT_NAMES[key]}" for key in order]
    return f"Every architecture was drawn within the limits of this search: at most {' and '.join(parts)}."


def front_table(records: Records, rows: int = 12) -> Table | None:
    """The front, thinned to `rows` entries with both ends; None where there is none."""
    entries = front(records)
    if not entries:
        return None
    step = max(1.0, (len(entries) - 1) / (rows - 1))
    places = sorted({round(index * step) for index in range(min(rows, len(entries)))})
    cells = tuple(
        (
            entry.identity,
            count(entry.parameters),
            short_count(entry.macs),
            milliseconds(entry.latency_ms),
            score(entry.score),
        )
        for entry in (entries[place] for place in places)
    )
    chosen = winner_identity(records)
    marked = next((row for row, cell in enumerate(cells) if cell[0] == chosen), None)
    which = f"{len(places)} of the {len(entries)}" if len(places) < len(entries) else f"The {len(entries)}"
    caption = (
        f"{which} candidates on the Pareto front: none is better in one of these columns and no worse in the others."
        f"{latency_sentence(records)}"
    )
    head = (
        "architecture",
        "parameters",
        "MACs",
        "latency",
        f"val {METRIC_NAMES[reward_metric(records)]}, shared weights",
    )
    return Table(caption, head, cells, marked)


@styled
def candidates_figure(candidates: tuple[Candidate, ...], controls: tuple[Trained, ...], metric: str) -> Figure:
    """Parameters against the val score: every candidate by what ranks it, the winner and the controls as trained."""
    figure, axes = panel("parameters", f"val {METRIC_NAMES[metric]}", height=HEIGHT + 0.9)
    points = [
        (candidate, candidate.parameters, candidate.score)
        for candidate in candidates
        if candidate.parameters is not None and candidate.parameters > 0 and candidate.score is not None
    ]
    edge = [(parameters, score) for candidate, parameters, score in points if candidate.on_front]
    if edge:
        style: Any = {"color": light("ink"), "markersize": 6.5, "markerfacecolor": "none", "markeredgewidth": 0.9}
        axes.plot(*zip(*edge, strict=True), "o", label="Pareto front", **style)
    _marks(axes, points, 3.4, 0.35 if len(points) > 300 else 0.6)
    for method in controls:
        own = method.role == "winner"
        edged: Any = {"markeredgecolor": light("ink"), "markeredgewidth": 0.9, "zorder": 6}
        size = 14 if own else 8
        axes.plot(
            [method.parameters], [method.score], MARKERS[method.role], color=light(method.role), markersize=size,
            label=method.name, **edged,
        )  # fmt: skip
    logarithmic(axes, [parameters for _, parameters, _ in points] + [method.parameters for method in controls])
    if controls:  # their marks are large
        low, high = axes.get_xlim()
        axes.set_xlim(low / 1.3, high * 1.3)
    axes.margins(y=0.1)
    legend(axes, 2)
    return figure


@styled
def ranks_figure(ranks: tuple[tuple[float, float, bool], ...], judge: str = "with shared weights") -> Figure:
    """The place of each retrained candidate by what ranked it, from `judge`, against its place after retraining.

    ranks: (place before, place after, whether it won), counted from 1, the best; on the diagonal the order held.
    """
    figure, axes = panel(f"place {judge} (1 is best)", "place after retraining from scratch", height=HEIGHT + 0.4)
    last = max(max(before, after) for before, after, _ in ranks)
    axes.plot([1, last], [1, last], color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    others = [(before, after) for before, after, won in ranks if not won]
    if others:
        axes.plot(*zip(*others, strict=True), "o", color=light("winner"), markersize=6, alpha=0.8, markeredgewidth=0)
    for before, after, won in ranks:
        if won:
            axes.plot([before], [after], "*", color=light("ink"), markersize=13, markeredgewidth=0, label="winner")
    axes.set(xlim=(last + 0.5, 0.5), ylim=(last + 0.5, 0.5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(min(int(last), 8), integer=True))
    return figure


def _marks(axes: Axes, points: list[tuple[Candidate, float, float]], size: float, alpha: float) -> None:
    """One small mark per architecture, by where it comes from."""
    for role, marker, label in (("random", "s", "drawn at random"), ("winner", "o", "candidate")):
        chosen = [(x, y) for candidate, x, y in points if (candidate.source in CHANCE) == (role == "random")]
        if chosen:
            style: Any = {"color": light(role), "alpha": alpha, "markersize": size, "markeredgewidth": 0}
            axes.plot(*zip(*chosen, strict=True), marker, label=label, **style)


@styled
def retraining_figure(retrainings: tuple[Retraining, ...], metric: str) -> Figure:
    """Val score while each architecture was trained from scratch; the winner in bold."""
    figure, axes = panel("epoch", f"val {METRIC_NAMES[metric]} while retraining")
    seen: set[str] = set()
    for record in sorted(retrainings, key=lambda record: (record.is_winner, record.role == "candidate")):
        label = "winner" if record.is_winner else "drawn at random" if record.role == "random" else "other candidates"
        axes.plot(
            *record.line,
            color=light("random" if record.role == "random" else "winner"),
            linestyle=(0, (4, 1.5)) if record.role == "random" else "-",
            linewidth=2.2 if record.is_winner else 1.0,
            alpha=1.0 if record.is_winner else 0.55,
            marker="o" if len(record.line.epochs) == 1 else None,
            markersize=4,
            label=None if label in seen else label,
        )
        seen.add(label)
    epoch_axis(axes, [epoch for record in retrainings for epoch in record.line.epochs])
    legend(axes)
    return figure
