"""Section of the search itself: reward, loss, entropy, trials, and which operations were chosen when."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from reports.layout.figures import epoch_axis, legend, light, panel, styled
from reports.layout.formats import METRIC_NAMES, OPERATION_NAMES, count, family_of, score, share
from reports.layout.pages import Section, Table, picture
from reports.summaries.choices import Sampled, Shares, operation_shares, sampled, settled
from reports.summaries.curves import Entropy, Line, Rewards, Trials, child_loss, entropy, rewards, trials
from reports.summaries.search import Records, by_hand, reward_metric, strategy_of
from reports.summaries.values import table, text

ROLES = {"conv": "winner", "separable": "probe", "pooling": "random", "identity": "muted"}
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.6, 1.4, 1.6)))
LABEL = 0.075  # of the height of the plot, the least between two labels


def search_section(records: Records) -> Section | None:
    """Reward, loss and entropy over the child epochs; none where nothing was searched."""
    if by_hand(records):
        return None
    pictures, missing = [], []
    if rewarded := rewards(records):
        first, last = score(rewarded.mean[0], 3), score(rewarded.mean[-1], 3)
        caption = f"{count(rewarded.updates)} controller updates; mean reward from {first} to {last}."
        pictures.append(picture("reward", "Reward", reward_figure(rewarded), caption))
    elif strategy_of(records) == "enas":
        missing.append("no controller update has been recorded")
    if loss := child_loss(records):
        caption = f"From {score(loss.values[0], 3)} to {score(loss.values[-1], 3)} in {len(loss.values)} epochs."
        pictures.append(picture("loss", "Loss of the shared weights", loss_figure(loss), caption))
    elif strategy_of(records) in ("enas", "nni-darts"):
        missing.append("no child epoch has been recorded")
    if asked := trials(records):
        best, number_ = score(asked.best.values[-1], 3), count(len(asked.scores.values))
        caption = f"{number_} architectures, each trained from scratch for a few epochs; the best scored {best} on val."
        pictures.append(picture("trials", "Trials", trials_figure(asked, reward_metric(records)), caption))
    if policy := entropy(records):
        first, last = score(policy.line.values[0], 2), score(policy.line.values[-1], 2)
        caption = f"From {first} to {last} nats: the lower, the surer the controller is."
        pictures.append(picture("entropy", "Entropy of the controller", entropy_figure(policy), caption))
    chosen = sampled(records)
    if taken := operation_shares(chosen):
        top = max(taken.shares, key=lambda name: taken.shares[name][-1])
        caption = (
            f"Of all operations in the architectures that the controller sampled; at the end most often "
            f"{OPERATION_NAMES[top]} ({share(taken.shares[top][-1])})."
        )
        pictures.append(picture("choices", "Which operations were chosen", choices_figure(taken), caption))
    elif strategy_of(records) == "enas":
        missing.append("the operations that the controller chose are not recorded")
    collapse = text(table(records.result.get("collapse")).get("sentence")) or ""
    tables = (favourites,) if (favourites := _settled_table(chosen)) else ()
    return Section("search", "The search", collapse, tuple(pictures), tables, missing=tuple(missing))


def _settled_table(chosen: Sampled, rows: int = 24) -> Table | None:
    """The decisions in the space's order, edges left out where there are too many."""
    favourites = settled(chosen)
    if len(favourites) > rows:
        favourites = tuple(
            trial for trial in favourites if not trial.name.startswith("edge") and ".input" not in trial.name
        )
    if not favourites:
        return None
    cells = tuple(
        (decision.name, _chosen(decision.favourite), share(decision.first), share(decision.last))
        for decision in favourites[:rows]
    )
    caption = (
        "What the controller sampled most often in the last tenth of its updates, and how often there and at first."
    )
    left = f" {len(favourites) - rows} decisions more are left out." if len(favourites) > rows else ""
    head = ("decision", "favourite", "at first", "at the end")
    return Table(caption + left, head, cells, folded="What the controller settled on, decision by decision")


def _chosen(choice: object) -> str:
    if isinstance(choice, bool):
        return "yes" if choice else "no"
    return OPERATION_NAMES[str(choice)]


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
    epoch_axis(axes, rewards.epochs)
    legend(axes, 4)
    return figure


@styled
def loss_figure(loss: Line) -> Figure:
    """The loss of the shared child weights."""
    figure, axes = panel("child epoch", "training loss of the shared weights")
    axes.plot(*loss, color=light("winner"), marker=_dot(loss.epochs))
    axes.set_ylim(bottom=0 if min(loss.values) >= 0 else None)
    epoch_axis(axes, loss.epochs)
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
    epoch_axis(axes, entropy.line.epochs)
    return figure


@styled
def trials_figure(trials: Trials, metric: str) -> Figure:
    """The val score of each short training and the best so far."""
    figure, axes = panel("trial", f"val {METRIC_NAMES[metric]} after a short training")
    axes.plot(*trials.scores, color=light("muted"), linestyle="none", marker="o", markersize=3.4, label="a trial")
    axes.plot(*trials.best, color=light("winner"), drawstyle="steps-post", label="best so far")
    epoch_axis(axes, trials.scores.epochs)
    legend(axes)
    return figure


def _dot(values: tuple[float, ...]) -> str | None:
    """A mark where a line has a single point and would not be seen."""
    return "o" if len(values) == 1 else None


@styled
def choices_figure(shares: Shares) -> Figure:
    """A line per operation, named at its end; the colour tells the family, the dashes its members apart."""
    figure, axes = panel("child epoch", "share of the sampled operations", width=7.4)
    top = max(max(line) for line in shares.shares.values())
    seen: dict[str, int] = {}
    ends = []
    for name, line in shares.shares.items():
        family = family_of(name)
        role = ROLES.get(family, "tail")
        dash = DASHES[seen.setdefault(role, 0) % len(DASHES)]
        seen[role] += 1
        marker = "o" if len(line) == 1 else None
        axes.plot(shares.epochs, line, color=light(role), linestyle=dash, marker=marker, markersize=4)
        ends.append((line[-1], OPERATION_NAMES[name], role))
    axes.set_ylim(0, top * 1.08)
    axes.set_xlim(0, max(max(shares.epochs), 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _name_ends(axes, ends, top * 1.08)
    return figure


def _name_ends(axes: Axes, ends: list[tuple[float, str, str]], top: float) -> None:
    """Labels right of the plot at the heights where the lines end, moved apart where they would overlap."""
    ends.sort(key=lambda end: end[0])
    heights: list[float] = []
    for value, _, _ in ends:
        at = value / top
        heights.append(max(at, heights[-1] + LABEL) if heights else at)
    over = max(0.0, heights[-1] - 1.0)
    for index in range(len(heights) - 1, -1, -1):
        above = heights[index + 1] - LABEL if index + 1 < len(heights) else 1.0
        heights[index] = min(heights[index], above) if over else heights[index]
    for height, (_, words, role) in zip(heights, ends, strict=True):
        axes.annotate(
            words, (1, height), (5, 0), xycoords="axes fraction", textcoords="offset points", va="center", size=8.5,
            color=light(role),
        )  # fmt: skip
