"""Page of a tuning study, from `study.json`: history, importances, front, the picked trial, all trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from foundation.errors import RecordError
from foundation.files import read_json
from reports.errors import ReportError
from reports.layout.figures import legend, light, logarithmic, panel, styled
from reports.layout.formats import METRIC_NAMES, NOTHING, Names, count, duration, milliseconds, score, share
from reports.layout.pages import Listing, Page, Picture, Section, Table, Verdict, picture, sections_of, write_page
from reports.summaries.values import items, number, table, text, whole

Record = Mapping[str, object]
RECORD = "study.json"


class Trial(NamedTuple):
    """One settled trial. second: what it costs, None where a study has one objective or it was stopped early."""

    number: int
    finished: bool
    score: float | None
    second: float | None
    setting: Mapping[str, object]
    reason: str | None
    seconds: float | None
    on_front: bool
    picked: bool


def trials(record: Record) -> tuple[Trial, ...]:
    """The settled trials, in order; a record without a number is left out."""
    on_front, chosen = set(items(record.get("front"))), picked_number(record)
    settled = []
    for trial in map(table, items(record.get("trials"))):
        trial_number = whole(trial.get("trial"))
        if trial_number is None:
            continue
        settled.append(
            Trial(
                trial_number,
                trial.get("state") == "finished",
                number(trial.get("score")),
                number(trial.get("second")),
                table(trial.get("setting")),
                text(trial.get("pruned_because")),
                number(trial.get("seconds")),
                trial_number in on_front,
                trial_number == chosen,
            )
        )
    return tuple(settled)


def picked_number(record: Record) -> int | None:
    """The number of the picked trial; None while none is finished."""
    return whole(table(record.get("picked")).get("trial"))


def best_so_far(settled: Sequence[Trial]) -> tuple[list[float], list[float]]:
    """The trials that finished, and the best score up to each."""
    numbers: list[float] = []
    best: list[float] = []
    for trial in settled:
        if trial.score is not None:
            numbers.append(trial.number)
            best.append(max([trial.score, *best[-1:]]))
    return numbers, best


def importances(record: Record, objective: str) -> list[tuple[str, float]]:
    """The knobs with their share of an objective's variance, the largest first."""
    shares_of = table(table(record.get("importances")).get(objective))
    shares = [(knob_name(name), share) for name, value in shares_of.items() if (share := number(value)) is not None]
    return sorted(shares, key=lambda pair: -pair[1])


def metric_name(record: Record) -> str:
    """The score in words."""
    name = text(record.get("metric")) or "score"
    return METRIC_NAMES[name]


def second_name(record: Record) -> str | None:
    """The second objective in words; None in a study of one."""
    second = text(record.get("second"))
    return None if second is None else Names(latency_ms="latency, ms")[second]


def second_value(record: Record, value: float | None) -> str:
    """An amount of the second objective."""
    known = {"latency_ms": milliseconds, "parameters": count}
    return known.get(text(record.get("second")) or "", score)(value)


def knob_name(name: str) -> str:
    """ "learning_rate" -> "learning rate"."""
    return name.replace("_", " ")


def knob_value(value: object) -> str:
    """A value of a knob as it is set."""
    if isinstance(value, bool) or value is None:
        return NOTHING if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def summary(record: Record) -> str:
    """How many trials there are, and what the picked one is beside the first, which is the project as it was set."""
    settled = trials(record)
    finished = sum(trial.finished for trial in settled)
    wanted = whole(record.get("wanted"))
    head = f"{finished} trials finished and {len(settled) - finished} were stopped early, of {count(wanted)}."
    reason = text(table(record.get("picked")).get("reason"))
    first = next((trial for trial in settled if trial.number == 0 and trial.score is not None), None)
    if reason is None:
        return head
    before = ""
    if first is not None and picked_number(record) != 0:
        cost = f" with {second_value(record, first.second)} {second_name(record)}" if first.second is not None else ""
        before = f" The first trial, with the project's own settings, has {score(first.score)}{cost}."
    return f"{head} {reason[0].upper()}{reason[1:]}.{before}"


@styled
def history_figure(settled: Sequence[Trial], metric: str) -> Figure:
    """The val score of each finished trial, where others were stopped, and the best so far."""
    figure, axes = panel("trial", f"val {metric}")
    done = [(trial.number, trial.score) for trial in settled if trial.score is not None]
    axes.plot(*zip(*done, strict=True), "o", color=light("muted"), markersize=3.4, label="finished")
    low = min(score for _, score in done)
    if stopped := [trial.number for trial in settled if not trial.finished]:
        axes.plot(stopped, [low] * len(stopped), "x", color=light("random"), markersize=4, label="stopped early")
    axes.plot(*best_so_far(settled), color=light("winner"), drawstyle="steps-post", label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(axes)
    return figure


@styled
def front_figure(settled: Sequence[Trial], metric: str, second: str) -> Figure:
    """Cost against val score, the front as a line, the picked trial starred and the first one ringed."""
    figure, axes = panel(second, f"val {metric}")
    done = [
        (trial, trial.second, trial.score) for trial in settled if trial.second is not None and trial.score is not None
    ]
    edge = [(cost, score) for trial, cost, score in sorted(done, key=lambda point: point[1]) if trial.on_front]
    if edge:
        axes.plot(*zip(*edge, strict=True), color=light("winner"), linewidth=1.1, drawstyle="steps-post", label="front")
    axes.plot(
        *zip(*((x, y) for _, x, y in done), strict=True), "o", color=light("muted"), markersize=3.4, label="trial"
    )
    for name, marker, chosen in (
        ("first", "o", [(x, y) for entry, x, y in done if entry.number == 0]),
        ("picked", "*", [(x, y) for entry, x, y in done if entry.picked]),
    ):
        if chosen:
            ring = marker == "o"
            axes.plot(
                *zip(*chosen, strict=True),
                marker,
                color=light("random" if ring else "ink"),
                markersize=8 if ring else 12,
                markerfacecolor="none" if ring else light("ink"),
                markeredgecolor=light("random" if ring else "surface"),
                zorder=5,
                label=name,
            )
    logarithmic(axes, [cost for _, cost, _ in done if cost > 0])
    legend(axes, 4)
    return figure


@styled
def importance_figure(shares: Sequence[tuple[str, float]], objective: str) -> Figure:
    """The share of an objective's variance that each knob explains, the largest on top."""
    figure, axes = panel(f"share of the variance of {objective}", "", height=0.9 + 0.24 * len(shares))
    names, values = [name for name, _ in shares], [value for _, value in shares]
    axes.barh(range(len(shares)), values, color=light("winner"), height=0.62)
    axes.set_yticks(range(len(shares)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.05 * max(values))
    axes.tick_params(axis="y", length=0)
    return figure


@styled
def knob_figure(settled: Sequence[Trial], knob: str, name: str, metric: str) -> Figure:
    """The val score of each finished trial by one knob's whole number; the mean of each as a line."""
    figure, axes = panel(name, f"val {metric}")
    points = [
        (value, trial.score) for trial in settled if isinstance(value := trial.setting.get(knob), int) and trial.score
    ]
    axes.plot(*zip(*points, strict=True), "o", color=light("muted"), markersize=3.4, label="trial")
    places = sorted({value for value, _ in points})
    best = [max(score for value, score in points if value == place) for place in places]
    axes.plot(places, best, color=light("winner"), marker="o", markersize=4, label="best")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    legend(axes)
    return figure


def write_study_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a study and return its path.

    Raises:
        ReportError: the folder holds no record that can be read, or the page cannot be written.
    """
    try:
        record = read_json(folder / RECORD)
    except RecordError as error:
        raise ReportError(str(error)) from error
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{folder / RECORD} cannot be read ({error}): run its `graftnet tune` again, which writes it anew."
        ) from error
    return write_page(render_study(table(record)), folder / "report.html")


def render_study(record: Record) -> str:
    """The page as text; the same record gives the same page."""
    chosen, study = picked_number(record), text(record.get("study")) or "label graph"
    seed, fingerprint = number(record.get("seed")), text(record.get("fingerprint"))
    kind = Names(depth="depth and recipe", gcn="label graph")[study]
    name = text(record.get("attribute")) or kind
    return Page(
        title=f"{name}: tuning",
        kind="Tuning study",
        heading=name,
        about=(
            kind,
            f"{text(record.get('backbone'))} {fingerprint[:12]}" if fingerprint else None,
            f"seed {seed:.0f}" if seed is not None else None,
            text(record.get("created")),
        ),
        skip=("trials", "the trials"),
        verdict=Verdict(
            "", "No trial is finished yet" if chosen is None else f"Trial {chosen} is picked", summary(record)
        ),
        sections=sections_of(SECTIONS, record),
        contents=False,
    ).html()


def history_section(record: Record) -> Section:
    """The trials in order, and score against cost."""
    settled, metric, second = trials(record), metric_name(record), second_name(record)
    pictures: list[Picture] = []
    if any(trial.score is not None for trial in settled):
        caption = "Trials that were stopped early are crosses at the lower edge: their score is not known."
        pictures.append(picture("history", "Score by trial", history_figure(settled, metric), caption))
        if second and any(trial.second is not None for trial in settled):
            caption = "The line is the front: nothing has a better score for less. Ring: the project's own settings."
            pictures.append(picture("front", "Score for cost", front_figure(settled, metric, second), caption))
        depths = {trial.setting.get("freeze_depth") for trial in settled if trial.score is not None}
        if len(depths) > 1:
            caption = "Blocks of the trunk that the branch reads; the line joins the best at each depth."
            drawn = knob_figure(settled, "freeze_depth", "freeze depth", metric)
            pictures.append(picture("depth", "Score by freeze depth", drawn, caption))
    lead = "A trial is a small search, or training, with one setting of the knobs; val judges, test is not looked at."
    missing = () if pictures else ("no trial is finished yet",)
    return Section("history", "History and front", lead, tuple(pictures), missing=missing)


def importance_section(record: Record) -> Section:
    """What the score and the cost depend on, by functional ANOVA."""
    names = (("score", f"val {metric_name(record)}"), ("second", second_name(record) or ""))
    pictures = [
        picture(
            f"importance-{key}",
            f"What {name} depends on",
            importance_figure(shares, name),
            ", ".join(f"{knob} {share(value)}" for knob, value in shares[:3]) + ".",
        )
        for key, name in names
        if (shares := importances(record, key)) and max(value for _, value in shares) > 0
    ]
    lead = "The share of the variance over the finished trials that each knob explains (functional ANOVA)."
    missing = () if pictures else ("too few trials are finished, or all scored alike",)
    return Section("importances", "Importance of the knobs", lead, tuple(pictures), missing=missing)


def picked_section(record: Record) -> Section:
    """The picked trial's setting beside that of the first, which is the project as it was."""
    settled = trials(record)
    chosen = next((trial for trial in settled if trial.picked), None)
    if chosen is None:
        return Section("setting", "The picked setting", missing=("no trial is finished yet",))
    first = next((trial for trial in settled if trial.number == 0), None)
    names = list(dict.fromkeys([*chosen.setting, *(first.setting if first else ())]))
    before = first.setting if first else {}
    rows = [(knob_name(name), knob_value(before.get(name)), knob_value(chosen.setting.get(name))) for name in names]
    costs = [(f"val {metric_name(record)}", score(first.score if first else None), score(chosen.score))]
    if (second := second_name(record)) is not None:
        values = [second_value(record, trial.second if trial else None) for trial in (first, chosen)]
        costs.append((second, values[0], values[1]))
    caption = "The first trial has the project's settings as they were, as far as the knobs allow."
    head = ("", "first trial", f"trial {chosen.number}, picked")
    return Section("setting", "The picked setting", tables=(Table(caption, head, (*costs, *rows)),))


def trials_section(record: Record) -> Section:
    """Every settled trial."""
    settled, second = trials(record), second_name(record)
    names = list(dict.fromkeys(name for trial in settled for name in trial.setting))
    head = ("trial", "state", f"val {metric_name(record)}", *((second,) if second else ()), "seconds")
    rows = tuple(_row(trial, names, record, second is not None) for trial in settled)
    marked = next((index for index, trial in enumerate(settled) if trial.picked), None)
    caption = "Front: no other trial has a better score for less."
    tables = [Table(caption, (*head, *map(knob_name, names)), rows, marked)]
    if stopped := tuple((str(trial.number), trial.reason or NOTHING) for trial in settled if not trial.finished):
        tables.append(Table("Why trials were stopped early.", ("trial", "because"), stopped))
    return Section("trials", "Trials", tables=tuple(tables), placement="stacked")


def _row(trial: Trial, names: list[str], record: Record, costly: bool) -> tuple[str, ...]:
    state = "picked" if trial.picked else "front" if trial.on_front else "finished" if trial.finished else "stopped"
    cells = [str(trial.number), state, score(trial.score)]
    cells += [second_value(record, trial.second)] if costly else []
    cells.append(duration(trial.seconds))
    return (*cells, *(knob_value(trial.setting.get(name)) for name in names))


def repeat_section(record: Record) -> Section:
    """The command, where the trials are kept, and what they were run on."""
    given_up = record.get("given_up")
    listings = [
        Listing("Command", text(record.get("command")) or NOTHING),
        Listing("Storage", f"{text(record.get('storage')) or NOTHING}\nstudy {text(record.get('name'))}"),
        Listing("Machine", text(record.get("machine")) or NOTHING),
    ]
    seconds, settled = number(record.get("seconds")), number(record.get("settled"))
    lead = f"{count(settled)} trials took {duration(seconds)} of work in all."
    if isinstance(given_up, list) and given_up:
        lead += f" Given up, as every try ended in a failure: {', '.join(map(str, given_up))}."
    return Section("repeat", "To repeat it", lead, listings=tuple(listings))


SECTIONS = (history_section, importance_section, picked_section, trials_section, repeat_section)
