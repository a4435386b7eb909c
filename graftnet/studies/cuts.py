"""Race cuts of the trunk for an attribute: its probes say which depths, short trainings which of them; the record.

Test images are not looked at. The record is ``runs/cuts/<fingerprint>/<attribute>/race.json``; new searches of the
attribute follow it, before the probe's advice, where `trunk.freeze_depth` is 0.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from foundation.files import write_json
from foundation.history import Progress
from foundation.locks import only_one
from foundation.provenance import identity_of, machine, this_command, timestamp
from graftnet.errors import ConfigError
from graftnet.project.config import project_of
from graftnet.project.folder import Project, open_project
from graftnet.project.machine import choose_device
from graftnet.project.overrides import NONE, Overrides, open_overridden
from graftnet.project.settings import fit_settings, seed_or, space_of_config
from graftnet.searches.features import AttributeData, attribute_data
from graftnet.studies.probe import probe_attributes, probe_lines
from graftnet.terminal.output import Answer, show_progress, text_table
from graftnet.trunks.advice import race_file, raced_depth, read_probe
from graftnet.trunks.versions import open_trunk
from nas.job.origin import settings_record
from nas.settings import JobSettings
from nas.tuning.cuts import Cut, prior, race_cuts
from trunk.trunk import Trunk

HEAD = ("", "depth", "probe", "val", "behind", "standard error")


def race_attribute(
    project: Project,
    trunk: Trunk,
    attribute: str,
    *,
    count: int,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Race the `count` depths that the attribute's probe ranks first, or return what such a race found.

    Raises:
        ConfigError, DataError: a race of one depth, or its data cannot be used.
    """
    view = project_of(project, attribute)
    require_several(count)
    probe = read_probe(project, trunk.fingerprint, attribute)
    assert probe is not None, "probed before it is raced"
    depths = prior([row["auroc"] for row in probe["depths"]], count, probe["advised"])
    data = without_test(attribute_data(view, trunk, attribute, depths[0], device=device))
    space, recipe = space_of_config(view.config), fit_settings(view.config)
    identity = {
        **data.identity,
        "freeze_depth": depths,
        "seed": seed,
        "device": device.type,
        **settings_record(JobSettings(space, retrain=recipe)),
    }
    path = race_file(project, trunk.fingerprint, attribute)
    folder = path.parent / identity_of(identity)
    with only_one(folder):
        splits = data.splits_at(depths, progress=progress)
        cuts = {depth: Cut(splits[depth]["train"], splits[depth]["val"]) for depth in depths}
        race = race_cuts(cuts, space, recipe, folder=folder, seed=seed, device=device, progress=progress)
        record = {
            "attribute": attribute,
            "fingerprint": trunk.fingerprint,
            "depths": depths,
            **race.to_json(),
            "metric": recipe.metric,
            "seed": seed,
            "command": this_command(),
            "created": timestamp(),
            "machine": machine(device),
        }
        write_json(path, record)
    return record


def race_call(folder: Path | None, attributes: Sequence[str], *, count: int, device: str) -> Answer:
    """Probe attributes, by default all, and race the `count` best depths of each, as the command line does."""
    project, chosen = open_project(folder), choose_device(device)
    require_several(count)
    with show_progress() as progress:
        record = probe_attributes(project, attributes, device=chosen, progress=progress)
        trunk, seed = open_trunk(project, chosen), project.config.project.seed
        races = {
            name: race_attribute(project, trunk, name, count=count, seed=seed, device=chosen, progress=progress)
            for name in record["attributes"]
        }
    lines = [line for found in races.values() for line in ("", *race_lines(found))]
    return Answer({**record, "races": races}, "\n".join([*probe_lines(record), *lines]))


def require_several(count: int) -> None:
    """Raise ConfigError for a race of one depth."""
    if count < 2:
        raise ConfigError(f"--race (search.race) takes 2 depths or more, is {count}; leave it out for probes alone.")


def race_first(
    folder: Path | None,
    attributes: Sequence[str],
    *,
    seed: int | None,
    device: str,
    overrides: Overrides = NONE,
) -> None:
    """What `search.race` asks for before a search: probes and races the attributes, by default all, that have neither.

    An attribute whose depth is set, that was searched before or raced on this trunk, or whose branch is made by hand,
    is left as it is.
    """
    project = open_overridden(folder, overrides)
    views = {name: project_of(project, name) for name in attributes or project.questions()}
    views = {name: replace(view, config=overrides.applied(view.config)) for name, view in views.items()}
    asked = {name: view.config.search.race for name, view in views.items() if is_open(view, name)}
    if not any(asked.values()):
        return
    chosen = choose_device(device)
    trunk = open_trunk(project, chosen)
    waiting = {
        name: count for name, count in asked.items() if count and raced_depth(project, trunk.fingerprint, name) is None
    }
    with show_progress() as progress:
        if unprobed := [name for name in waiting if read_probe(project, trunk.fingerprint, name) is None]:
            probe_attributes(project, unprobed, device=chosen, progress=progress)
        for name, count in waiting.items():
            own = seed_or(seed, project)
            race_attribute(views[name], trunk, name, count=count, seed=own, device=chosen, progress=progress)


def is_open(project: Project, attribute: str) -> bool:
    """Whether the attribute's depth may still be chosen; `project`: as the attribute has it."""
    config, begun = project.config, project.searches(attribute).glob("*/config.json")
    return config.branch.kind != "tail" and not config.trunk.freeze_depth and not any(begun)


def without_test(data: AttributeData) -> AttributeData:
    """The same data, as if there were no test images."""
    seen = tuple(example for example in data.subdataset.examples if example.split != "test")
    return replace(data, subdataset=replace(data.subdataset, examples=seen))


def race_lines(record: dict[str, Any]) -> Sequence[str]:
    """The table as text, and what follows from it."""
    rows = []
    for depth in record["depths"]:
        at = record["standings"].get(str(depth))
        figures = (f"{at['val']:.4f}", f"{at['behind']:.4f}", f"{at['error']:.4f}") if at else ("out", "", "")
        mark = "*" if depth == record["depth"] else ""
        rows.append((mark, str(depth), f"{record['probes'][str(depth)]:.4f}", *figures))
    trainings = sum(len(each["arms"]) for each in record["rounds"])
    return [
        f"{record['attribute']}: {trainings} short trainings at {len(rows)} depths, by val {record['metric']}",
        *text_table([HEAD, *rows], "<>>>>>"),
        f"New searches of {record['attribute']} cut after {record['depth']} blocks where trunk.freeze_depth is 0.",
    ]
