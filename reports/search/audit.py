"""Section of the audit of a search (`audit.json`): ranking, gain per seed, signs of collapse, cost."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from reports.layout.figures import legend, light, panel, styled
from reports.layout.formats import METRIC_NAMES, NOTHING, count, duration, interval, score, share, signed
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.search import Records
from reports.summaries.values import items, number, numbers, table, text

Retrained = tuple[str, float, tuple[float, ...]]  # who proposed it, its shared score, its retrained scores


def audit_section(records: Records) -> Section | None:
    """The sentence, the ranking with its ceiling, the gain per seed, the signs of collapse and the cost."""
    audit = records.audit
    if not audit:
        return None
    metric = text(audit.get("metric")) or "auroc"
    name = METRIC_NAMES[metric]
    ranking = table(audit.get("ranking"))
    points = retrained_of(ranking)
    pictures: tuple[Picture, ...] = ()
    if points:
        caption = (
            f"{len(points)} architectures, each trained from scratch twice; a bar joins the two. "
            f"{text(ranking.get('how')) or ''}"
        )
        pictures = (picture("audit", "Shared against retrained", ranking_figure(points, name), caption.strip()),)
    tables = (_ranking_table(ranking), _gain_table(audit, name), _signs_table(audit))
    return Section("audit", "Audit", text(audit.get("sentence")) or "", pictures, tables)


def retrained_of(ranking: Mapping[str, object]) -> tuple[Retrained, ...]:
    """The audited architectures that have a shared and at least one retrained score."""
    audited = []
    for entry in map(table, items(ranking.get("architectures"))):
        shared, retrained = number(entry.get("shared")), numbers(entry.get("retrained"))
        if shared is not None and retrained:
            audited.append((text(entry.get("source")) or "policy", shared, retrained))
    return tuple(audited)


@styled
def ranking_figure(points: tuple[Retrained, ...], name: str) -> Figure:
    """Shared against retrained score: a mark at the mean of the trainings, a bar over their range."""
    figure, axes = panel("with shared weights", f"val {name}, retrained from scratch twice")
    styles = {"random": ("random", "s", "drawn at random"), "policy": ("winner", "o", "from the controller")}
    for source in dict.fromkeys((*styles, *(proposed_by for proposed_by, _, _ in points))):
        role, marker, label = styles.get(source, ("tail", "^", source))
        chosen = [(shared, retrained) for proposed_by, shared, retrained in points if proposed_by == source]
        if not chosen:
            continue
        shared = [entry for entry, _ in chosen]
        axes.vlines(
            shared, [min(both) for _, both in chosen], [max(both) for _, both in chosen], light(role), alpha=0.4
        )
        means = [sum(both) / len(both) for _, both in chosen]
        axes.plot(shared, means, marker, color=light(role), markersize=5, markeredgewidth=0, alpha=0.8, label=label)
    axes.margins(0.08)
    legend(axes)
    return figure


def _ranking_table(ranking: Mapping[str, object]) -> Table:
    rows = []
    for key, name in (
        ("tau", "shared weights against retraining"),
        ("tau_better_half", "the same, better half of the ranking"),
        ("ceiling", "ceiling: retraining against retraining"),
    ):
        agreement = table(ranking.get(key))
        low, high = number(agreement.get("low")), number(agreement.get("high"))
        rows.append((name, score(number(agreement.get("tau")), 2), interval(low, high, 2) or NOTHING))
    caption = "Kendall's rank agreement: 1 is the same order, 0 unrelated, −1 reversed; 95 % bootstrap intervals."
    return Table(caption, ("", "tau", "interval"), tuple(rows))


def _gain_table(audit: Mapping[str, object], name: str) -> Table:
    gain, few = table(audit.get("gain")), table(audit.get("too_few"))
    rows = [
        (f"seed {entry.get('seed')}", *(score(number(table(entry.get("val")).get(side))) for side in SIDES))
        for entry in map(table, items(gain.get("seeds")))
    ]
    cells = [NOTHING]
    for key in ("equal_budget", "equal_cost"):
        over = table(gain.get(key))
        # Of a handful of images an interval means nothing.
        low, high = (None, None) if few else (number(over.get("low")), number(over.get("high")))
        cells.append(f"{signed(number(over.get('difference')))}\n{interval(low, high)}".strip())
    rows.append(("the search gained", *cells))
    extra = count(number(gain.get("extra_random")))
    caption = (
        f"Val {name} of each side's choice. Equal budget: as many retrained architectures; equal cost: random search "
        f"had the search's seconds, {extra} architectures more. {text(gain.get('how')) or ''}"
    )
    return Table(caption.strip(), ("", "search", "random, equal budget", "random, equal cost"), tuple(rows))


SIDES = ("search", "random", "random_equal_cost")


def _signs_table(audit: Mapping[str, object]) -> Table:
    signs, cost = table(audit.get("collapse")), table(audit.get("cost"))
    rows = (
        ("entropy at the end, of a uniform policy's", share(number(signs.get("entropy_share_last")))),
        ("duplicates among the last samples", share(number(signs.get("duplicates_last")))),
        ("decisions settled", share(number(signs.get("settled")))),
        ("distinct candidates", count(number(signs.get("candidates_distinct")))),
        ("alarms", "; ".join(map(str, items(signs.get("alarms")))) or "none"),
        ("seconds of the search", duration(number(cost.get("search_seconds")))),
        ("the whole job", duration(number(cost.get("total_seconds")))),
        ("the audit itself", duration(number(cost.get("audit_seconds")))),
        ("trainings of the audit", count(number(cost.get("audit_trainings")))),
    )
    return Table(f"Signs of collapse, and cost. {text(signs.get('thresholds')) or ''}".strip(), ("", "value"), rows)
