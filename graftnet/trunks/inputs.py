"""Input of a project's trunk: that which its weights were trained with, in the shape that graftnet.toml asks for."""

from dataclasses import replace
from typing import Any

from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing, shown_size


def chosen_input(project: Project, own: Preprocessing | None = None) -> Preprocessing:
    """The input of a new trunk: the shape, fit and decoding of [trunk], and what else is set there and in [data].

    own: of the weights; None: a trunk that is trained here from random ones.
    """
    table = project.config.trunk
    start = own or Preprocessing(table.image_size)
    shaped = replace(start, size=table.image_size, fit=table.fit, decoding=table.decoding)
    return replace(shaped, **set_by_hand(project))


def set_by_hand(project: Project) -> dict[str, Any]:
    """The parts of an input that graftnet.toml sets whatever the weights were trained with."""
    table = project.config.trunk
    given = {
        "mean": table.mean,
        "std": table.std,
        "interpolation": table.interpolation,
        "white": project.config.data.white,
    }
    return {key: value for key, value in given.items() if value}


def require_input(project: Project, own: Preprocessing) -> None:
    """Refuse a trunk whose input is not what graftnet.toml asks for.

    Raises:
        TrunkError: which setting differs, and what to do.
    """
    table, where = project.config.trunk, project.folder / CONFIG_NAME
    wanted = {"image_size": table.image_size, "fit": table.fit, "decoding": table.decoding}
    wanted |= {key: value for key, value in set_by_hand(project).items() if key != "white"}
    for key, value in wanted.items():
        has = own.size if key == "image_size" else getattr(own, key)
        if has != value:
            said, told = f"has {key} {has!r}", repr(value)
            if key == "image_size":
                said, told = f"reads images of {shown_size(own.size)} pixels", shown_size(table.image_size)
            raise TrunkError(
                f"The trunk in use {said}, but trunk.{key} in {where} is {told}; change the setting, or train or "
                f"choose another trunk."
            )
    white = project.config.data.white
    if white and own.white != white:
        raise TrunkError(
            f"The trunk in use takes {own.white or 'what the file can hold'} for white, but data.white in {where} is "
            f"{white}; change the setting, or train or choose another trunk."
        )
