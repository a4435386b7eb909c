"""Sources of a warm start: earlier searches that a planned one begins from, to profit from what others learned.

The sources are part of what defines a search: they are recorded with their checksums in its identity, and therefore in
the name of its folder. A search that has begun keeps its sources, whatever other attributes find later.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from foundation.files import jsonable, read_json_if_whole
from foundation.records import reading
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, by_age
from graftnet.searches.plan import SearchPlan
from nas.job.origin import settings_record
from nas.warm_start import Start, checksum, gather, start_of

Sources = Sequence[Mapping[str, str]]  # attribute, search (its folder's name) and checksum of each
SAME = ("fingerprint", "freeze_depth", "feature_precision", "storage")


def resumed(plan: SearchPlan) -> SearchPlan:
    """The plan of the attribute's search that has begun and differs from `plan` at most in what it started from.

    A finished one before an unfinished one, then the newest by what is recorded; `plan` itself where there is none, or
    where search.warm_start is off.
    """
    if plan.by_hand or not plan.project.config.search.warm_start:
        return plan
    begun, results = [], plan.project.results(plan.attribute)
    for age, folder in enumerate(by_age(plan.project.searches(plan.attribute).glob("*/config.json"))):
        with reading(folder / "config.json"):
            other = with_sources(plan, read_json_if_whole(folder / "config.json").get("warm_start") or ())
        if other.folder == folder:
            begun.append((other.finished, results.index(folder) if other.finished else age, other))
    return max(begun, key=lambda search: search[:2])[2] if begun else plan


def warmed(plan: SearchPlan) -> SearchPlan:
    """A plan that is about to begin, with the sources that are there now; `plan` itself where nothing suits it."""
    warm = plan.project.config.search.warm_start and not plan.by_hand
    return with_sources(plan, suitable(plan)) if warm else plan


def with_sources(plan: SearchPlan, sources: Sources) -> SearchPlan:
    """The plan with these sources, and with the epochs of a warm start."""
    if not sources:
        return plan
    table = plan.project.config.search
    search = replace(plan.settings.search, epochs=table.warm_epochs, warmup_epochs=table.warm_warmup_epochs)
    settings = replace(plan.settings, search=search)
    identity = {
        **plan.identity,
        **settings_record(settings),
        "warm_start": [dict(source) for source in sources],
        "warm_weights": table.warm_weights,
    }
    return replace(plan, settings=settings, identity=identity)


def suitable(plan: SearchPlan) -> list[dict[str, str]]:
    """The newest finished search of every other attribute that has the plan's trunk, depth and search space."""
    space = jsonable(plan.settings.space.settings)
    sources = []
    for attribute in sorted(others(plan.project, plan.attribute)):
        for folder in reversed(plan.project.results(attribute)):
            config = read_json_if_whole(folder / "config.json")
            same = all(config.get(key) == plan.identity.get(key) for key in SAME)
            if same and config.get("space") == plan.settings.space.name and config.get("space_settings") == space:
                sources.append({"attribute": attribute, "search": folder.name, "checksum": checksum(folder)})
                break
    return sources


def others(project: Project, attribute: str) -> Iterator[str]:
    """The attributes that have been searched, but this one."""
    root = project.searches(attribute).parent
    return (folder.name for folder in root.iterdir() if folder.name != attribute) if root.is_dir() else iter(())


def prepare_start(plan: SearchPlan) -> Start | None:
    """What the search starts from, kept in its folder; None for a cold start.

    Raises:
        ConfigError: a source is gone or has changed before the search began.
    """
    sources = plan.identity.get("warm_start") or ()
    if not sources:
        return None
    if (kept := start_of(plan.folder)) is not None:
        return kept
    folders = [plan.project.searches(source["attribute"]) / source["search"] for source in sources]
    for folder, source in zip(folders, sources, strict=True):
        if not folder.is_dir() or checksum(folder) != source["checksum"]:
            raise ConfigError(
                f"{plan.attribute} was to start from the search {folder}, which is gone or has changed; delete "
                f"{plan.folder} and call again to start from what is there now."
            )
    start = gather(folders, plan.settings.space, weights=plan.identity["warm_weights"])
    start.save(plan.folder, {"sources": list(sources)})
    return start


def about_start(plan: SearchPlan) -> dict[str, Any]:
    """The sources and a sentence for config.json and result.json; nothing where search.warm_start is off."""
    if plan.by_hand or not plan.project.config.search.warm_start:
        return {}
    sources = list(plan.identity.get("warm_start") or ())
    sentence = (
        f"Started warm, from the searches of {', '.join(source['attribute'] for source in sources)}."
        if sources
        else "Started cold, though search.warm_start is on: when it began, no other attribute had a finished search on "
        "this trunk in the same search space."
    )
    return {"warm_start": sources, "start": sentence}
