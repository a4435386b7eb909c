"""Records -> the section of a report about what the search proposed, and how it fared when trained from scratch."""

from reports.layout.figures import (
    retraining_figure,
)
from reports.layout.formats import NOTHING, count, score
from reports.layout.pages import Picture, Section, Table, picture
from reports.search.candidate_figures import candidates_figure, ranks_figure
from reports.search.costs import front_table, limits_sentence
from reports.summaries.candidates import candidates, rank_agreement, ranks, retrainings, trained_ones
from reports.summaries.comparison import NAMES
from reports.summaries.curves import (
    METRIC_NAMES,
    by_hand,
    judge_of,
    reward_metric,
    strategy_of,
)
from reports.summaries.search import Records
from reports.summaries.values import number, numbers_of, text


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
