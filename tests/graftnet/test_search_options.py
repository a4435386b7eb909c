"""Every option of `graftnet search` reaches the setting that it names."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from graftnet.cli import app, run
from graftnet.project.config import Config, config_of, parse_config
from graftnet.project.overrides import PRESETS, Overrides, PlaceOptions, choices
from graftnet.searches import calls as searching
from graftnet.searches import search_all as fleet

OWN = {"attribute", "everything", "features", "out", "force", "tensorboard", "project", "seed", "device", "as_json"}
OWN |= {"quick", "thorough", "rehash"}
GIVEN: dict[str, tuple[str, Any]] = {  # of an option: what is typed, and what its key becomes
    "strategy": ("random", "random"),
    "minutes": ("2.5", 2.5),
    "max_parameters": ("5e4", 50000),
    "max_macs": ("1e6", 1e6),
    "max_latency": ("0.5", 0.5),
    "branch": ("tail", "tail"),
    "blocks": ("8", 8),
    "pooling": ("bilinear", "bilinear"),
    "width": ("7", 7),
    "freeze_depth": ("3", 3),
    "warm_start": ("", True),
}
PLACE: dict[str, tuple[str, Any]] = {
    "workers": ("3", 3),
    "on": ("ray", "ray"),
    "address": ("head:6379", "head:6379"),
    "cpus": ("2", 2.0),
    "gpus": ("1", 1.0),
}


def options() -> dict[str, str]:
    """Parameter -> its first name on the command line, of `graftnet search`."""
    command = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
    return {parameter.name: parameter.opts[0] for parameter in command.params}


def test_there_is_no_other_option() -> None:
    assert set(options()) - {"help"} == OWN | set(GIVEN) | set(PLACE)
    assert [field.name for field in fields(Overrides)] == list(GIVEN)
    assert [field.name for field in fields(PlaceOptions)] == list(PLACE)


@pytest.mark.parametrize("name", GIVEN)
def test_an_option_sets_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    typed, value = GIVEN[name]
    caught: list[Overrides] = []

    def search_one(folder: Path | None, attribute: str, **how: Any) -> None:
        caught.append(how["overrides"])
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "search_one", search_one)
    assert run(["search", "bald", *([options()[name], typed] if typed else [options()[name]])]) == 130
    [(option, (table, key), found)] = caught[0].given()
    assert (option, found) == (options()[name], value)
    assert name in (key, f"{table}_{key}") or (name, key) == ("branch", "kind")  # it is called after what it sets
    kind = {"branch": Config().branch.model_copy(update={"kind": "tail"})} if table == "branch" else {}
    before = Config().model_copy(update=kind)
    after = caught[0].applied(before)
    assert getattr(getattr(after, table), key) == value
    untouched = getattr(after, table).model_copy(update={key: getattr(getattr(before, table), key)})
    assert after.model_copy(update={table: untouched}) == before


@pytest.mark.parametrize("name", GIVEN)
def test_the_help_of_an_option_names_all_its_choices_or_none(name: str) -> None:
    command = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
    (parameter,) = (parameter for parameter in command.params if parameter.name == name)
    ((_, (table, key), _),) = Overrides(**{name: GIVEN[name][1]}).given()
    for names in choices(table, key):
        assert [word for word in names if re.search(rf"(?<![\w-]){word}(?![\w-])", parameter.help)] in ([], [*names])


@pytest.mark.parametrize("name", PLACE)
def test_an_option_of_the_place_arrives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    typed, value = PLACE[name]
    caught: list[PlaceOptions] = []

    def choose_place(place: PlaceOptions, device: str) -> None:
        caught.append(place)
        raise KeyboardInterrupt

    monkeypatch.setattr(fleet, "choose_place", choose_place)
    assert run(["search", "--all", options()[name], typed]) == 130
    assert caught == [PlaceOptions(**{name: value})]
    assert caught[0].given == [options()[name]]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_its_keys_and_an_option_stands_beside_it(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Overrides] = []

    def search_one(folder: Path | None, attribute: str, **how: Any) -> None:
        caught.append(how["overrides"])
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "search_one", search_one)
    assert run(["search", "bald", f"--{preset}", "--strategy", "random"]) == 130
    own = parse_config("[attributes.bald.search]\nepochs = 3\n[attributes.bald.retrain]\nlearning_rate = 0.1\n")
    after = config_of(caught[0].applied(own), "bald")
    for (table, key), value in PRESETS[preset].items():
        assert getattr(getattr(after, table), key) == value != getattr(getattr(Config(), table), key)
    assert after.search.strategy == "random"
    assert after.retrain.learning_rate == 0.1
    tail = caught[0].__class__(preset=preset, branch="tail").applied(Config())  # type: ignore[call-arg]
    assert tail.search == Config().search
    assert tail.retrain.repeats == PRESETS[preset]["retrain", "repeats"]


def test_two_presets_are_one_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "bald", "--quick", "--thorough"]) == 2
    assert "opposites" in capsys.readouterr().err
