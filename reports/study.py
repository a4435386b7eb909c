"""A tuning study's ``study.json`` -> one HTML file: history, importances, front, the picked trial, all trials."""

from pathlib import Path

from foundation.files import read_json
from reports.errors import ReportError
from reports.formats import NOTHING, count, duration, score, share
from reports.layout import Listing, Picture, Section, Table, picture
from reports.page import templates, write_page
from reports.palette import css_variables
from reports.study_figures import front_figure, history_figure, importance_figure, knob_figure
from reports.study_summaries import (
    Record,
    Trial,
    importances,
    knob_name,
    knob_value,
    metric_name,
    picked_number,
    second_name,
    second_value,
    summary,
    trials,
)
from reports.values import number, table, text

RECORD = "study.json"


def write_study_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a study and return its path.

    Raises:
        ReportError: the folder holds no record that can be read, or the page cannot be written.
    """
    try:
        record = read_json(folder / RECORD)
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{folder / RECORD} cannot be read ({error}): run its `graftnet tune` again, which writes it anew."
        ) from error
    return write_page(render_study(table(record)), folder / "report.html")


def render_study(record: Record) -> str:
    """The page as text; the same record gives the same page."""
    chosen = picked_number(record)
    return (
        templates()
        .get_template("study.html.jinja")
        .render(
            name=text(record.get("attribute")) or "label graph",
            about=about(record),
            headline="No trial is finished yet" if chosen is None else f"Trial {chosen} is picked",
            sentence=summary(record),
            sections=[build(record) for build in SECTIONS],
            light=css_variables("light"),
            dark=css_variables("dark"),
        )
    )


def about(record: Record) -> str:
    """One line below the title: what is tuned, on which trunk, the seed, the date."""
    seed, fingerprint = number(record.get("seed")), text(record.get("fingerprint"))
    parts = [
        "depth and recipe" if record.get("study") == "depth" else "label graph",
        f"{text(record.get('backbone'))} {fingerprint[:12]}" if fingerprint else None,
        f"seed {seed:.0f}" if seed is not None else None,
        text(record.get("created")),
    ]
    return " · ".join(part for part in parts if part)


def history_section(record: Record) -> Section:
    """The trials in order, and score against cost."""
    found, metric, second = trials(record), metric_name(record), second_name(record)
    pictures: list[Picture] = []
    if any(one.score is not None for one in found):
        caption = "Trials that were stopped early are crosses at the lower edge: their score is not known."
        pictures.append(picture("history", "Score by trial", history_figure(found, metric), caption))
        if second and any(one.second is not None for one in found):
            caption = "The line is the front: nothing has a better score for less. Ring: the project's own settings."
            pictures.append(picture("front", "Score for cost", front_figure(found, metric, second), caption))
        depths = {one.setting.get("freeze_depth") for one in found if one.score is not None}
        if len(depths) > 1:
            caption = "Blocks of the trunk that the branch reads; the line joins the best at each depth."
            drawn = knob_figure(found, "freeze_depth", "freeze depth", metric)
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
    found = trials(record)
    chosen = next((one for one in found if one.picked), None)
    if chosen is None:
        return Section("setting", "The picked setting", missing=("no trial is finished yet",))
    first = next((one for one in found if one.number == 0), None)
    names = list(dict.fromkeys([*chosen.setting, *(first.setting if first else ())]))
    before = first.setting if first else {}
    rows = [(knob_name(name), knob_value(before.get(name)), knob_value(chosen.setting.get(name))) for name in names]
    costs = [(f"val {metric_name(record)}", score(first.score if first else None), score(chosen.score))]
    if (second := second_name(record)) is not None:
        values = [second_value(record, one.second if one else None) for one in (first, chosen)]
        costs.append((second, values[0], values[1]))
    caption = "The first trial has the project's settings as they were, as far as the knobs allow."
    head = ("", "first trial", f"trial {chosen.number}, picked")
    return Section("setting", "The picked setting", tables=(Table(caption, head, (*costs, *rows)),))


def trials_section(record: Record) -> Section:
    """Every settled trial."""
    found, second = trials(record), second_name(record)
    names = list(dict.fromkeys(name for one in found for name in one.setting))
    head = ("trial", "state", f"val {metric_name(record)}", *((second,) if second else ()), "seconds")
    rows = tuple(_row(one, names, record, second is not None) for one in found)
    marked = next((place for place, one in enumerate(found) if one.picked), None)
    caption = "Front: no other trial has a better score for less."
    tables = [Table(caption, (*head, *map(knob_name, names)), rows, marked)]
    if stopped := tuple((str(one.number), one.reason or NOTHING) for one in found if not one.finished):
        tables.append(Table("Why trials were stopped early.", ("trial", "because"), stopped))
    return Section("trials", "Trials", tables=tuple(tables))


def _row(one: Trial, names: list[str], record: Record, costly: bool) -> tuple[str, ...]:
    state = "picked" if one.picked else "front" if one.on_front else "finished" if one.finished else "stopped"
    cells = [str(one.number), state, score(one.score)]
    cells += [second_value(record, one.second)] if costly else []
    cells.append(duration(one.seconds))
    return (*cells, *(knob_value(one.setting.get(name)) for name in names))


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
