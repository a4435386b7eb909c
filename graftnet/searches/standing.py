"""Standing of an attribute: whether its newest result answers what is asked now, and what has changed since."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from foundation.files import jsonable, read_json
from graftnet.project.folder import by_age
from graftnet.searches.plan import SearchPlan

State = Literal["current", "missing", "unfinished", "stale"]

# A job's settings have other names than the keys of graftnet.toml that they come from.
KEYS = {
    "candidates": "search.candidates",
    "retrain_top": "search.retrain_top",
    "apart": "search.apart",
    **{key: f"search.{key}" for key in ("minutes", "finalists", "near_trainings", "least_val")},
    **{key: f"controls.{key}" for key in ("tail_share", "learning_curve")},
    "tail.max_steps": "retrain.max_steps",
    "repeats": "retrain.repeats",
    "threshold_by": "retrain.threshold_by",
    "random": "controls.random",
    "probe": "controls.linear_probe",
    "tail": "controls.tail",
    "tail.epochs": "controls.tail_epochs",
    "tail.learning_rate": "controls.tail_learning_rate",
    "tail.weight_decay": "controls.tail_weight_decay",
    "tail.batch_size": "retrain.batch_size",
    "tail.balance": "retrain.balance",
    "tail.metric": "search.reward",
    "retrain.metric": "search.reward",
    "space.name": "search.space",
    "space.settings.blocks": "branch.blocks",
    "space.settings.freeze_depth": "trunk.freeze_depth",
    "space.settings.backbone": "trunk.backbone",
}
# A branch by hand is trained as the control of that name is, and described by [branch].
TAIL_KEYS = {
    "retrain.epochs": "controls.tail_epochs",
    "retrain.learning_rate": "controls.tail_learning_rate",
    "retrain.weight_decay": "controls.tail_weight_decay",
    "space.settings.poolings": "branch.pooling",
    "space.settings.widths": "branch.width",
}
HEX_SHOWN = 8


class Standing(NamedTuple):
    """``current``: the result is there. ``missing``: never searched. ``unfinished``: begun; it will be continued.

    ``stale``: the newest result answers something else, for these reasons.
    """

    state: State
    reasons: tuple[str, ...] = ()

    def sentence(self, attribute: str) -> str:
        """What will be done about it; empty where there is nothing to say."""
        why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        match self.state:
            case "stale":
                return f"{attribute} is searched anew{why}."
            case "unfinished":
                return f"{attribute} continues where it stopped{why}."
            case _:
                return ""


def standing_of(plan: SearchPlan) -> Standing:
    """Compare what is planned with what is there."""
    if plan.finished:
        return Standing("current")
    older = plan.project.results(plan.attribute)
    reasons = changes_since(older[-1], plan.identity) if older else ()
    if plan.folder.is_dir():
        return Standing("unfinished", reasons)
    return Standing("stale", reasons) if older else Standing("missing")


def taken_sentence(plan: SearchPlan) -> str:
    """What a search that is about to begin takes over from earlier ones; empty where there is nothing to take."""
    if plan.folder.is_dir():
        return ""
    from nas.job.reuse.donors import Donors
    from nas.job.reuse.keys import features_key

    identity = jsonable(plan.identity)
    config = {**identity, "stages": {"features": features_key(identity, {})}}
    named = Donors(others_of(plan.project.searches(plan.attribute)), config).named()
    if not named:
        return ""
    words = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
    return f"{plan.attribute}: taken over from its earlier searches, as far as they are the same: {words}."


def others_of(root: Path) -> list[Path]:
    """The searches in a folder that have begun, the newest first: what they finished may be taken over."""
    return by_age(root.glob("*/config.json"))[::-1]


def changes_since(result: Path, identity: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between an earlier search's ``config.json`` and what is asked now, in the user's words."""
    try:
        config = read_json(result / "config.json")
        return tuple(dict.fromkeys(differences(config, jsonable(identity))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return (f"the settings of its earlier result {result} cannot be read",)


def differences(config: Mapping[str, Any], identity: Mapping[str, Any]) -> Iterator[str]:
    """One phrase per part that differs, as ``search.epochs 20 -> 30``."""
    if config["values"] != identity["values"]:
        yield f"its values were {', '.join(config['values'])} and are {', '.join(identity['values'])}"
    if config["data"]["digest"] != identity["data"]:
        yield "its data changed"
    elif config["order"] != identity["order"]:
        yield "its images are in another order"
    if config["fingerprint"] != identity["fingerprint"]:
        yield f"trunk {config['fingerprint'][:HEX_SHOWN]} -> {identity['fingerprint'][:HEX_SHOWN]}"
    for part, name in (
        ("freeze_depth", "trunk.freeze_depth"),
        ("feature_precision", "trunk.feature_precision"),
        ("views", "features.views"),
        ("storage", "features.storage"),
        ("seed", "seed"),
        ("device", "device"),
    ):
        if config.get(part) != identity.get(part):
            yield f"{name} {shown(config.get(part))} -> {shown(identity.get(part))}"
    kinds = [kind_of(record["settings"]) for record in (config, identity)]
    if kinds[0] != kinds[1]:
        yield f"branch.kind {shown(kinds[0])} -> {shown(kinds[1])}"
        return
    before, now = flat(config["settings"]), flat(identity["settings"])
    # A control that was switched on or off is one change, not one per setting of it.
    whole = {part for part in {*before, *now} if before.get(part, 0) is None or now.get(part, 0) is None}
    for part in [*now, *(part for part in before if part not in now)]:
        if before.get(part) == now.get(part) and (part in before) == (part in now):
            continue
        if part in whole:
            yield f"{key_of(part, kinds[1])} is now {'off' if now.get(part, 0) is None else 'on'}"
        elif not any(part.startswith(f"{prefix}.") for prefix in whole):
            yield f"{key_of(part, kinds[1])} {shown(before.get(part))} -> {shown(now.get(part))}"


def kind_of(settings: Mapping[str, Any]) -> str:
    """The setting branch.kind of a job."""
    return "tail" if settings["space"]["name"] == "tail" else "searched"


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    named: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        named.update(flat(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return named


def key_of(part: str, kind: str) -> str:
    """The key of graftnet.toml that a setting comes from, of a job of this kind of branch."""
    keys = KEYS | TAIL_KEYS if kind == "tail" else KEYS
    return keys.get(part, part.replace("space.settings.", "search."))


def shown(value: Any) -> str:
    """A value as graftnet.toml writes it; ``unset`` where there was no such setting."""
    return "unset" if value is None else json.dumps(value, ensure_ascii=False)
