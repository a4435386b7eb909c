"""Section with the winner beside its controls: scores over seeds, gains, score for size."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.layout.figures import MARKERS, legend, light, logarithmic, panel, styled
from reports.layout.formats import METRIC_NAMES, change, count, interval, milliseconds, score, short_count, signed, span
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.candidates import latency_sentence
from reports.summaries.comparison import ROLES, Gain, Method, gains, kind_of_result, methods, winner_name
from reports.summaries.search import Records, by_hand, reward_metric
from reports.summaries.values import text

_CONTROLS = {"random": "random search", "linear_probe": "linear probe", "tail": "fine-tuned tail"}


def comparison_section(records: Records) -> Section:
    """The winner beside random search, linear probe and tail: sizes and scores."""
    compared, gained, metric = methods(records), gains(records), reward_metric(records)
    name, ours = METRIC_NAMES[metric], winner_name(records)
    split = "test" if any(method.test_score is not None for method in compared) else "val"
    missing = []
    # Beside a branch by hand there is no random one, and no tail where it is the whole tail itself.
    controls = {"linear_probe": _CONTROLS["linear_probe"]} if by_hand(records) else _CONTROLS
    # What was chosen is a control's own kind where val preferred that.
    result_key = {"probe": "linear_probe"}.get(kind := kind_of_result(records.result), kind)
    shown = {result_key, *(method.key for method in compared)}
    if not compared:
        missing.append("no architecture has been retrained and no control has been run yet")
    elif absent := [control for key, control in controls.items() if key not in shown]:
        missing.append(f"not measured: {', '.join(absent)}")
    pictures: list[Picture] = []
    if any(method.score(split) is not None for method in compared):
        spoken = ", ".join(f"{method.name} {score(method.score(split))}" for method in compared)
        caption = "Large mark: the mean of all trainings. Small dots and bar: each training, where there are several."
        drawn = scores_figure(compared, split, metric)
        pictures.append(picture("scores", f"Score on {split}", drawn, caption, f"{name} on {split}: {spoken}."))
    if gained:
        spoken = ", ".join(
            f"over {gain.name} {signed(gain.difference)} ({interval(gain.low, gain.high)})" for gain in gained
        )
        caption = f"With 95 % intervals{_over(gained)}. One that holds zero does not tell the two apart."
        drawn = gains_figure(gained, metric)
        pictures.append(
            picture("gains", f"Gain of the {ours}", drawn, caption, f"Gain in test {name}, with interval: {spoken}.")
        )
    if len([method for method in compared if method.parameters and method.score(split) is not None]) > 1:
        caption = "Higher is better, further left is smaller; the axis of parameters is logarithmic."
        pictures.append(picture("size", "Score for size", size_figure(compared, split, metric), caption))
    tables = (_comparison_table(compared, records),) if compared else ()
    lead = _selection(records)
    return Section(
        "comparison", "Compared with controls", lead, tuple(pictures), tables, (), tuple(missing), placement="above"
    )


def _over(gained: tuple[Gain, ...]) -> str:
    over = {gain.over for gain in gained if gain.low is not None}
    words = {"seeds": "training seeds", "images": "test images", "images and seeds": "test images and training seeds"}
    return f" over {words[over.pop()]}" if len(over) == 1 and over <= set(words) else ""


def _selection(records: Records) -> str:
    rule = text(records.result.get("selection"))
    return "" if rule is None else f"How the winner was picked. {rule[0].upper()}{rule[1:].rstrip('.')}."


def _comparison_table(compared: tuple[Method, ...], records: Records) -> Table:
    gained = {gain_.key: gain_ for gain_ in gains(records)}
    metric = reward_metric(records)
    name = METRIC_NAMES[metric]
    timed = any(method.latency_ms is not None for method in compared)
    head: tuple[str, ...] = ("", "parameters", "against tail", "MACs", *(("latency",) if timed else ()))
    head += (f"val {name}", f"test {name}")
    head += ("test accuracy",) if metric != "accuracy" else ()
    searched = kind_of_result(records.result) == "searched"
    head += ("gain of the search" if searched else "its gain",) if gained else ()
    rows = []
    for method in compared:
        own_tail = method.key == "tail" and method.reduction is not None and abs(method.reduction) < 0.0005
        row = [
            method.name,
            count(method.parameters),
            "the tail" if own_tail else change(method.reduction),
            short_count(method.macs),
            *((milliseconds(method.latency_ms),) if timed else ()),
            score(method.val_score) + _spread(method.val_seeds),
            score(method.test_score) + _spread(method.test_seeds),
        ]
        if metric != "accuracy":
            row.append(score(method.test.get("accuracy")))
        if gained:
            gain = gained.get(method.key)
            row.append("" if gain is None else f"{signed(gain.difference)}\n{interval(gain.low, gain.high)}")
        rows.append(tuple(row))
    caption = f"MACs: multiply-adds per image, without the trunk.{latency_sentence(records)}"
    if any(len(method.val_seeds) > 1 or len(method.test_seeds) > 1 for method in compared):
        caption += (
            f" {name[0].upper()}{name[1:]}: the mean of several trainings{_seeds(compared)}; below it their lowest and "
            "highest."
        )
    if gained:
        caption += (
            f" Gain: {winner_name(records)} minus control in test {name}, 95 % interval{_over(tuple(gained.values()))}."
        )
    marked = next((row for row, method in enumerate(compared) if method.key == "winner"), None)
    return Table(caption, head, tuple(rows), marked)


def _seeds(compared: tuple[Method, ...]) -> str:
    """How many trainings, where all that were repeated were so equally often."""
    counts = {len(method.val_seeds) for method in compared if len(method.val_seeds) > 1}
    return f" ({counts.pop()})" if len(counts) == 1 else ""


def _spread(seeds: tuple[float, ...]) -> str:
    return f"\n{span(min(seeds), max(seeds))}" if len(seeds) > 1 else ""


@styled
def scores_figure(methods: tuple[Method, ...], split: str, metric: str) -> Figure:
    """The score of each method on a split: the mean as its mark, every training as a small dot."""
    figure, axes = panel(f"{split} {METRIC_NAMES[metric]}", "", height=0.75 + 0.42 * len(methods))
    for row, method in enumerate(methods):
        role, seeds = ROLES[method.key], method.test_seeds if split == "test" else method.val_seeds
        if len(seeds) > 1:
            axes.plot([min(seeds), max(seeds)], [row, row], color=light(role), linewidth=5, alpha=0.22)
            axes.plot(seeds, [row] * len(seeds), "o", color=light(role), markersize=3.5, alpha=0.7, markeredgewidth=0)
        if (value := method.score(split)) is not None:
            size = 13 if role == "winner" else 7
            axes.plot([value], [row], MARKERS[role], color=light(role), markersize=size, markeredgewidth=0)
            _label(axes, score(value, 3), value, row)
    axes.set_yticks(range(len(methods)), [method.name for method in methods])
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set_ylim(len(methods) - 0.5, -0.75)
    axes.margins(x=0.09)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return figure


@styled
def gains_figure(gains: tuple[Gain, ...], metric: str) -> Figure:
    """The winner's gain in the test score over each control with its 95 % interval, and the line of no gain."""
    figure, axes = panel(f"gain in test {METRIC_NAMES[metric]}", "", height=0.75 + 0.42 * len(gains))
    axes.axvline(0, color=light("muted"), linewidth=1.2)
    for row, gain in enumerate(gains):
        role = ROLES[gain.key]
        if gain.low is not None and gain.high is not None:
            axes.plot([gain.low, gain.high], [row, row], color=light(role), linewidth=2)
            axes.plot([gain.low, gain.high], [row, row], "|", color=light(role), markersize=8, markeredgewidth=1.6)
        axes.plot([gain.difference], [row], MARKERS[role], color=light(role), markersize=7, markeredgewidth=0)
        _label(axes, signed(gain.difference), gain.difference, row)
    axes.set_yticks(range(len(gains)), [f"over {gain.name}" for gain in gains])
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set_ylim(len(gains) - 0.5, -0.75)
    axes.margins(x=0.09)
    axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(round(value, 9), 3)))
    return figure


@styled
def size_figure(methods: tuple[Method, ...], split: str, metric: str) -> Figure:
    """Parameters against the score: up is better, left is smaller."""
    figure, axes = panel("parameters", f"{split} {METRIC_NAMES[metric]}")
    placed = []
    for method in methods:
        value = method.score(split)
        if method.parameters is not None and method.parameters > 0 and value is not None:
            role, size = ROLES[method.key], 14 if method.key == "winner" else 8
            placed.append(method.parameters)
            axes.plot(
                [method.parameters],
                [value],
                MARKERS[role],
                color=light(role),
                markersize=size,
                markeredgewidth=0,
                label=method.name,
            )
    logarithmic(axes, placed)
    if placed:
        low, high = axes.get_xlim()
        axes.set_xlim(low / 1.4, high * 1.4)
    axes.margins(y=0.18)
    legend(axes, 2)
    return figure


def _label(axes: Axes, words: str, x: float, row: int) -> None:
    backing = {"facecolor": light("surface"), "edgecolor": "none", "alpha": 0.85, "pad": 0.6}
    axes.annotate(words, (x, row), (0, 8), textcoords="offset points", ha="center", size=8.5, bbox=backing)
