"""What every page keeps to: a section is its function and an entry in its page's list, and each table is shown once."""

import importlib
import inspect
import pkgutil
import re
from typing import get_args

import pytest
from matplotlib.figure import Figure

import reports.search
from reports import mining, study
from reports.fleet import page as fleet
from reports.label_graph import page as label_graph
from reports.layout.pages import Page, Section, Table, Verdict, picture
from reports.search import compare, page

LISTS = {
    "search": page,
    "compare": compare,
    "fleet": fleet,
    "label graph": label_graph,
    "mining": mining,
    "study": study,
}
PLACEMENTS = get_args(inspect.get_annotations(Section)["placement"])


@pytest.mark.parametrize("name", LISTS)
def test_every_section_function_is_in_the_list_of_its_page(name: str) -> None:
    listed = {build.__name__ for build in LISTS[name].SECTIONS}
    own = LISTS[name].__name__
    modules = {own}
    if name == "search":
        modules |= {f"reports.search.{module.name}" for module in pkgutil.iter_modules(reports.search.__path__)}
        modules.remove("reports.search.compare")
    written = {
        function
        for module in map(importlib.import_module, modules)
        for function, value in inspect.getmembers(module, inspect.isfunction)
        if function.endswith("_section") and not function.startswith("_") and value.__module__ in modules
    }
    assert written == listed


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_section_of_any_placement_shows_everything_once(placement: str, drawn: bool) -> None:
    pictures = (picture("drawing", "A drawing", Figure(figsize=(1, 1)), "what it shows"),) if drawn else ()
    tables = tuple(Table(f"caption {n}", ("", "value"), ((f"row {n}", str(n)),)) for n in range(3))
    section = Section("there", "There", "a lead", pictures, tables, placement=placement)  # type: ignore[arg-type]
    text = Page("t", "k", "h", ("a", None, "b"), ("there", "it"), Verdict("", "v", ""), [section, section]).html()
    places = [text.index(f"<caption>caption {n}") for n in range(3)]
    assert places == sorted(places)
    assert [text.count(f"<caption>caption {n}") for n in range(3)] == [2, 2, 2]
    assert '<p class="about">a · b</p>' in text
    if drawn:
        figure = text.index('<figure id="figure-drawing"')
        above = sum(place < figure for place in places)
        beside = re.search(r'<div class="beside">(.*?)\n</section>', text, re.DOTALL)
        assert above == (3 if placement == "above" else 0)
        assert (beside is not None) == (placement in ("beside", "first beside"))
