"""Records -> the sections of a report about the search itself: curves, candidates, data and time, how to repeat it."""

import json
from collections.abc import Mapping

from reports.candidates import candidates, rank_agreement, ranks, retrainings, trained_ones
from reports.choice_figures import choices_figure
from reports.choices import Sampled, operation_shares, sampled, settled
from reports.comparison import NAMES
from reports.costs import front_table, limits_sentence
from reports.figures import (
    candidates_figure,
    entropy_figure,
    loss_figure,
    ranks_figure,
    retraining_figure,
    reward_figure,
    trials_figure,
)
from reports.formats import NOTHING, count, duration, score, share
from reports.images_section import example_gallery
from reports.layout import Listing, Picture, Section, Table, picture
from reports.part_names import OPERATION_NAMES
from reports.records import Records
from reports.summaries import (
    METRIC_NAMES,
    by_hand,
    child_loss,
    entropy,
    judge_of,
    reward_metric,
    rewards,
    strategy_of,
    trials,
)
from reports.values import number, numbers_of, table, text, whole

STAGES = {"features": "features", "search": "search", "retrain": "retraining", "controls": "controls", "total": "total"}


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
    return (
        {True: "yes", False: "no"}[choice]
        if isinstance(choice, bool)
        else OPERATION_NAMES.get(str(choice), str(choice))
    )


def training_section(records: Records) -> Section:
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
        return training_section(records)
    proposed, trained, metric = candidates(records), retrainings(records), reward_metric(records)
    judge = judge_of(records)
    pictures: list[Picture] = []
    missing = []
    if any(one.parameters and one.score is not None for one in proposed):
        caption = f"{count(len(proposed))} architectures, scored on val {judge}; large marks are trained from scratch."
        if any(one.on_front for one in proposed):
            caption += " Ringed: the Pareto front over score, parameters, MACs and latency."
        drawn = candidates_figure(proposed, trained_ones(records), metric)
        pictures.append(picture("candidates", "Candidates", drawn, caption))
    else:
        missing.append("no candidate has been scored yet")
    pairs = [(one.score, one.retrained) for one in proposed if one.score is not None and one.retrained is not None]
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
    tables = tuple(one for one in (_retrained_table(records, metric), front_table(records)) if one)
    lead = limits_sentence(records)
    return Section("candidates", "Candidates", lead, tuple(pictures), tables, missing=tuple(missing))


def _retrained_table(records: Records, metric: str, rows: int = 10) -> Table | None:
    done = [(numbers_of(one.get("val")).get(metric), one) for one in records.of("retraining")]
    ranked = sorted(((value, one) for value, one in done if value is not None), key=lambda pair: -pair[0])
    if not ranked:
        return None
    chosen = text(records.result.get("identity"))
    cells = tuple(
        (
            text(one.get("identity")) or NOTHING,
            _proposer(records, one),
            count(number(one.get("parameters"))),
            score(number(one.get("shared_score"))),
            score(value),
        )
        for value, one in ranked[:rows]
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
    return role if role == "random" else NAMES.get(role, role)


def data_section(records: Records) -> Section:
    """How many images of each value there were in each split, and where the time went."""
    counts = {
        split: {value: number_ for value, entry in table(entries).items() if (number_ := whole(entry)) is not None}
        for split, entries in table(table(records.result.get("data")).get("counts")).items()
    }
    tables, missing = [], []
    values = list(dict.fromkeys(value for entries in counts.values() for value in entries))
    if values:
        totals = {split: sum(entries.values()) for split, entries in counts.items()}
        rows = [
            (value, *(_count_of(counts[split].get(value, 0), totals[split]) for split in counts)) for value in values
        ]
        rows.append(("all", *(count(total) for total in totals.values())))
        tables.append(Table("Images of each value, and their share of the split.", ("value", *counts), tuple(rows)))
    else:
        missing.append("the number of images is not recorded")
    seconds = numbers_of(records.result.get("seconds"))
    if seconds:
        total_seconds = seconds.get("total")
        keys = [*(key for key in STAGES if key in seconds), *(key for key in seconds if key not in STAGES)]
        stages = (
            (
                STAGES.get(key, key),
                duration(seconds[key]),
                share(seconds[key] / total_seconds) if total_seconds else NOTHING,
            )
            for key in keys
        )
        tables.append(Table("Time by stage.", ("stage", "time", "share"), tuple(stages)))
    else:
        missing.append("the time each stage took is not recorded")
    galleries = (examples,) if (examples := example_gallery(records)) else ()
    return Section("data", "Data and time", "", (), tuple(tables), missing=tuple(missing), galleries=galleries)


def _count_of(images: int, total: int) -> str:
    return f"{count(images)}\n{share(images / total)}" if total else count(images)


def repeat_section(records: Records) -> Section:
    """The command, versions, fingerprints and settings; and every plain field of result.json."""
    result, config = records.result, records.config
    command = text(result.get("command")) or text(config.get("command"))
    versions = table(result.get("versions")) or table(config.get("versions"))
    missing = [] if command else ["the command is not recorded"]
    listings = [Listing("Command", command)] if command else []
    if config:
        listings.append(Listing("Settings (config.json)", _pretty(config), folded=True))
    tables = []
    data = table(result.get("data"))
    facts = (
        ("created", text(result.get("created"))),
        ("machine", result.get("machine")),
        ("seed", whole(result.get("seed", config.get("seed")))),
        ("trunk fingerprint", text(result.get("fingerprint")) or text(config.get("fingerprint"))),
        ("data digest", text(data.get("digest"))),
        ("folder", str(records.folder)),
    )
    rows = tuple((name, _written(value)) for name, value in facts if value not in (None, {}, []))
    tables.append(Table("Where it comes from.", ("", "value"), rows))
    if versions:
        tables.append(
            Table("Versions.", ("package", "version"), tuple((name, _written(one)) for name, one in versions.items()))
        )
    else:
        missing.append("the versions are not recorded")
    if result:
        fields = "\n".join(f"{name} = {value}" for name, value in _flat(result))
        listings.append(Listing("All fields of result.json", fields, folded=True))
    return Section("repeat", "To repeat it", "", (), tuple(tables), tuple(listings), tuple(missing))


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_written(entry)}" for name, entry in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Dotted names and values; long lists (curves) only by their length."""
    if isinstance(value, Mapping) and value:
        return [
            pair for name, entry in value.items() for pair in _flat(entry, f"{prefix}.{name}" if prefix else str(name))
        ]
    if isinstance(value, list) and len(value) > 12:
        return [(prefix, f"({len(value)} entries)")]
    return [(prefix, json.dumps(value, ensure_ascii=False, default=str))]
