"""Records -> the section of a report about the search itself: reward, loss, entropy, what was chosen when."""

from reports.layout.figures import (
    entropy_figure,
    loss_figure,
    reward_figure,
    trials_figure,
)
from reports.layout.formats import count, score, share
from reports.layout.pages import Section, Table, picture
from reports.layout.part_names import OPERATION_NAMES
from reports.search.choice_figures import choices_figure
from reports.summaries.choices import Sampled, operation_shares, sampled, settled
from reports.summaries.curves import (
    by_hand,
    child_loss,
    entropy,
    reward_metric,
    rewards,
    strategy_of,
    trials,
)
from reports.summaries.search import Records
from reports.summaries.values import table, text


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
            f"{OPERATION_NAMES.get(top, top)} ({share(taken.shares[top][-1])})."
        )
        pictures.append(picture("choices", "Which operations were chosen", choices_figure(taken), caption))
    elif strategy_of(records) == "enas":
        missing.append("the operations that the controller chose are not recorded")
    collapse = text(table(records.result.get("collapse")).get("sentence")) or ""
    tables = (favourites,) if (favourites := _settled_table(chosen)) else ()
    return Section("search", "The search", collapse, tuple(pictures), tables, missing=tuple(missing))


def _settled_table(chosen: Sampled, rows: int = 24) -> Table | None:
    """The decisions in the space's order, edges left out where there are too many."""
    found = settled(chosen)
    if len(found) > rows:
        found = tuple(one for one in found if not one.name.startswith("edge") and ".input" not in one.name)
    if not found:
        return None
    cells = tuple((one.name, _chosen(one.favourite), share(one.first), share(one.last)) for one in found[:rows])
    caption = (
        "What the controller sampled most often in the last tenth of its updates, and how often there and at first."
    )
    left = f" {len(found) - rows} decisions more are left out." if len(found) > rows else ""
    head = ("decision", "favourite", "at first", "at the end")
    return Table(caption + left, head, cells, folded="What the controller settled on, decision by decision")


def _chosen(choice: object) -> str:
    if isinstance(choice, bool):
        return "yes" if choice else "no"
    return OPERATION_NAMES.get(str(choice), str(choice))
