"""Summaries of the search -> matplotlib figures: reward, loss, entropy, candidates, ranking, retrainings."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from reports.layout.formats import short_count
from reports.layout.palette import light
from reports.layout.svg import styled
from reports.summaries.candidates import Retraining
from reports.summaries.curves import METRIC_NAMES, Entropy, Line, Rewards, Trials

WIDTH, HEIGHT = 3.7, 2.75  # inches; legible on a phone, and three side by side on a desk


def panel(xlabel: str, ylabel: str, *, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with one empty plot; the y label stands above the plot, where it needs no turning of the head."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_title(ylabel, loc="left", color=light("muted"), fontsize=9)
    axes.tick_params(length=3)
    return figure, axes


def legend(axes: Axes, columns: int = 3) -> None:
    """Below the plot, so that it covers nothing."""
    axes.figure.legend(
        loc="outside lower left",
        ncols=columns,
        handlelength=1.7,
        columnspacing=1.0,
        handletextpad=0.5,
        borderaxespad=0.2,
    )


@styled
def reward_figure(rewards: Rewards) -> Figure:
    """Mean reward with the range of the sampled architectures, the baseline, and the best so far."""
    figure, axes = panel("child epoch", f"reward: val {METRIC_NAMES[rewards.metric]}")
    winner = light("winner")
    axes.fill_between(rewards.epochs, rewards.low, rewards.high, color=winner, alpha=0.16, linewidth=0, label="range")
    axes.plot(rewards.epochs, rewards.mean, color=winner, marker=_dot(rewards.epochs), label="mean")
    if rewards.baseline.values:
        axes.plot(*rewards.baseline, color=light("random"), linestyle=(0, (5, 1.6)), label="baseline")
    if rewards.best.values:
        axes.plot(
            *rewards.best, color=light("probe"), linestyle=(0, (1.4, 1.4)), drawstyle="steps-post", label="best so far"
        )
    _epochs(axes, rewards.epochs)
    legend(axes, 4)
    return figure


@styled
def loss_figure(loss: Line) -> Figure:
    """The loss of the shared child weights."""
    figure, axes = panel("child epoch", "training loss of the shared weights")
    axes.plot(*loss, color=light("winner"), marker=_dot(loss.epochs))
    axes.set_ylim(bottom=0 if min(loss.values) >= 0 else None)
    _epochs(axes, loss.epochs)
    return figure


@styled
def entropy_figure(entropy: Entropy) -> Figure:
    """The controller's entropy, from that of blind guessing down."""
    figure, axes = panel("child epoch", "entropy of the controller (nats)")
    axes.plot(*entropy.line, color=light("winner"), marker=_dot(entropy.line.epochs), label="controller")
    if entropy.uniform is not None:
        axes.axhline(
            entropy.uniform, color=light("muted"), linestyle=(0, (2, 2)), linewidth=1.2, label="blind guessing"
        )
        legend(axes)
    axes.set_ylim(0, 1.08 * max(entropy.uniform or 0.0, *entropy.line.values, 1e-9))
    _epochs(axes, entropy.line.epochs)
    return figure


@styled
def trials_figure(trials: Trials, metric: str) -> Figure:
    """The val score of each short training and the best so far."""
    figure, axes = panel("trial", f"val {METRIC_NAMES[metric]} after a short training")
    axes.plot(*trials.scores, color=light("muted"), linestyle="none", marker="o", markersize=3.4, label="a trial")
    axes.plot(*trials.best, color=light("winner"), drawstyle="steps-post", label="best so far")
    _epochs(axes, trials.scores.epochs)
    legend(axes)
    return figure


@styled
def retraining_figure(retrainings: tuple[Retraining, ...], metric: str) -> Figure:
    """Val score while each architecture was trained from scratch; the winner in bold."""
    figure, axes = panel("epoch", f"val {METRIC_NAMES[metric]} while retraining")
    seen: set[str] = set()
    for one in sorted(retrainings, key=lambda one: (one.is_winner, one.role == "candidate")):
        label = "winner" if one.is_winner else "drawn at random" if one.role == "random" else "other candidates"
        axes.plot(
            *one.line,
            color=light("random" if one.role == "random" else "winner"),
            linestyle=(0, (4, 1.5)) if one.role == "random" else "-",
            linewidth=2.2 if one.is_winner else 1.0,
            alpha=1.0 if one.is_winner else 0.55,
            marker="o" if len(one.line.epochs) == 1 else None,
            markersize=4,
            label=None if label in seen else label,
        )
        seen.add(label)
    _epochs(axes, [epoch for one in retrainings for epoch in one.line.epochs])
    legend(axes)
    return figure


def logarithmic(axes: Axes, values: list[float]) -> None:
    """A logarithmic x axis labelled "30 k", with three labels or more even when the values span less than a decade."""
    if not values:
        return
    low, high = min(values) / 1.15, max(values) * 1.15
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_minor_locator(NullLocator())
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)):
        ticks = [tick for tick in LogLocator(subs=steps).tick_values(low, high) if low <= tick <= high]
        if len(ticks) >= 4:
            break
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded_count(value)))


def rounded_count(value: float) -> str:
    """A count for an axis: 30000 -> "30 k", without zeros after the point."""
    written = short_count(value)
    number, _, unit = written.partition("\N{NO-BREAK SPACE}")
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return f"{number}\N{NO-BREAK SPACE}{unit}" if unit else number


def _dot(values: tuple[float, ...]) -> str | None:
    """A mark where a line has a single point and would not be seen."""
    return "o" if len(values) == 1 else None


def _epochs(axes: Axes, epochs: tuple[float, ...] | list[float]) -> None:
    axes.set_xlim(0, max(max(epochs), 1) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
