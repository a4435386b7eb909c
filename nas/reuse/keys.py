"""Names of a job's stages: a hash of what defines each, so that a finished one is known again in another job's folder.

A job's folder is named after all its settings, a stage after those alone that it depends on: the features, and of the
settings its own. So a control more or less, other repeats or another rule of choice leave every other stage its name.
"""

from collections.abc import Mapping
from typing import Any

from foundation.files import jsonable
from foundation.provenance import identity_of
from nas.strategies.searches import STRATEGIES

# What defines a job beside its data: the rest of an identity says which features are learnt from.
NOT_FEATURES = ("settings", "warm_start", "warm_weights")
# What told of the features before jobs wrote down their stages.
EARLIER = (
    *("attribute", "values", "data", "order", "feature_precision", "fingerprint", "freeze_depth"),
    *("seed", "device", "views", "storage"),
)


def features_key(identity: Mapping[str, Any], codec: Mapping[str, Any]) -> str:
    """The name of features, their order and the seed: all of a job's identity but its settings.

    codec: what was fitted to store them (`branches.compression.codec_key`).
    """
    return identity_of({**{key: identity[key] for key in identity if key not in NOT_FEATURES}, **codec})


def stage_keys(features: str, settings: Mapping[str, Any], warm: Mapping[str, Any]) -> dict[str, str]:
    """The name of each stage of a job.

    Args:
        features: `features_key`. settings: a job's, as ``config.json`` has them.
        warm: a record with the ``warm_start`` and ``warm_weights`` that the search began from, where it did, and with
            ``probe_start`` and ``context`` where its branches begin at the probe or read other depths.
    """
    search = dict(settings["search"])
    if not search["max_latency"]:
        del search["latency_batch"]  # only measures, and chooses nothing
    retrain, tail = settings["retrain"], settings["tail"]
    began = {key: warm[key] for key in ("warm_start", "warm_weights") if warm.get(key)}
    # Said beside the settings, which leave out what is usual now: where branches begin, and what else they read.
    branch = {key: warm[key] for key in ("probe_start", "context") if warm.get(key)}
    trial = {"retrain": retrain, "epochs": settings["trial_epochs"], "penalty": search["parameter_penalty"], **branch}
    parts: dict[str, Any] = {
        "search": {"strategy": settings["strategy"], "space": settings["space"], "search": search, **began, **branch},
        "trial": trial,
        "training": {**retrain, **branch},
        "probe": search["reward"],
        "tail": tail,
    }
    if settings["strategy"] in STRATEGIES:
        # Trials are taken one by one, whichever strategy asked for them.
        parts["search"] |= {"trial": trial, "trials": settings["trials"]}
    parts["candidates"] = {"search": parts["search"], "count": settings["candidates"]}
    return {"features": features} | {
        stage: identity_of(jsonable({"features": features, "stage": stage, "of": part}))
        for stage, part in parts.items()
    }


def keys_of(config: Mapping[str, Any], strategy: str | None = None) -> dict[str, str]:
    """The names of the stages of a job whose ``config.json`` this is, or of the search of a rival ``strategy`` in it.

    Those of a job from before they were written down are made from what its configuration says of the features.
    """
    settings = config.get("budgeted") or config["settings"]  # as a budget in minutes made them
    if strategy is not None:
        settings = {**settings, "strategy": strategy}
    features = config.get("stages", {}).get("features")
    if features is None:
        known = {**config, "data": config["data"]["digest"]}
        codec = {"codec": config["codec"]} if config.get("codec") else {}
        features = features_key({key: known[key] for key in EARLIER if key in known}, codec)
    return stage_keys(features, settings, config)
