"""Reference page of the Python interface: names that users import, with signatures and docstrings out of the code."""

import importlib
import inspect
import re
from dataclasses import is_dataclass
from typing import Any

from documentation.markdown import prose

LONGEST = 100  # characters of a call on one line

# What is offered, by what somebody wants; each name is importable from its module as it stands here.
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "A project": {"graftnet": ("Project",)},
    "Images and labels": {
        "subdatasets": ("SubDataset", "read_subdataset", "import_table", "import_labels", "import_arrays"),
    },
    "Features, and a search without a project": {
        "trunk.features": ("ArrayFeatures", "LabelledFeatures"),
        "search_spaces": ("macro_space", "micro_space", "tail_space", "Architecture"),
        "nas.settings": ("JobData", "JobSettings", "SearchSettings"),
        "branches.settings": ("FitSettings",),
        "nas.job": ("run_job",),
        "nas.enas": ("Search",),
    },
    "Reports and tables": {
        "reports": ("write_report", "write_card", "write_comparison", "write_fleet_report"),
        "reports.tables": ("history", "candidates", "methods", "predictions", "results"),
    },
    "Branches and bundles at work": {
        "branches.export": ("export_branch",),
        "deployment.runtime": ("Runtime",),
        "deployment.rules": ("Rules",),
    },
    "Label graphs": {"label_graph.training": ("train_label_graph",), "label_graph.settings": ("GraphSettings",)},
}


def python_page() -> str:
    """The page."""
    parts = [
        "# Python",
        "These names are what programs import. A user's mistake is raised as a `foundation.errors.UserError` of one "
        "sentence. Long functions take `progress`, which hears the stage, how much of it is done, of how much, and "
        "figures.",
    ]
    for title, modules in PARTS.items():
        parts.append(f"## {title}")
        for module, names in modules.items():
            parts += [entry(module, name) for name in names]
    return "\n\n".join(parts) + "\n"


def entry(module: str, name: str) -> str:
    """One name: how it is imported, its signature, its docstring; of a class its public methods too."""
    thing = getattr(importlib.import_module(module), name)
    call = signature(name, thing)
    parts = [
        f"### {name}",
        f"```python\nfrom {module} import {name}\n\n{call}\n```",
        prose(inspect.getdoc(thing) or ""),
    ]
    if inspect.isclass(thing):
        for method, value in vars(thing).items():
            if method.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property | classmethod)):
                continue
            function = value.fget if isinstance(value, property) else getattr(thing, method)
            shown = f"{name}.{method}" if isinstance(value, property) else signature(f"{name}.{method}", function)
            parts += [f"#### {name}.{method}", f"```python\n{shown}\n```", prose(inspect.getdoc(value) or "")]
    return "\n\n".join(part for part in parts if part)


def signature(name: str, thing: Any) -> str:
    """The call with types as they are written, a parameter a line where the line would be long."""
    if inspect.isclass(thing) and not is_dataclass(thing) and "__init__" not in vars(thing):
        return name
    try:
        whole = inspect.signature(thing)
    except ValueError:
        return name
    parameters = [part for key, part in whole.parameters.items() if key != "self"]
    returned = inspect.Signature.empty if inspect.isclass(thing) else whole.return_annotation
    shown = whole.replace(parameters=parameters, return_annotation=returned)
    text = clean(f"{name}{shown}")
    return text if len(text) <= LONGEST else clean(broken(name, shown))


def broken(name: str, whole: inspect.Signature) -> str:
    """The call with a parameter a line."""
    lines: list[str] = []
    for part in whole.parameters.values():
        if part.kind is part.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        lines.append(str(part))
    end = whole.return_annotation
    behind = "" if end is inspect.Signature.empty else f" -> {inspect.formatannotation(end)}"
    return f"{name}(\n" + "".join(f"    {line},\n" for line in lines) + f"){behind}"


def clean(text: str) -> str:
    """Types by their names alone, not by the modules that they were found in."""
    text = re.sub(r"'((?:[A-Z]\w*)(?: \| \w+)*)'", r"\1", text)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)
