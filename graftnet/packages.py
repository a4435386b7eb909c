"""The optional packages: which extra brings each, and what it is for."""

from typing import NamedTuple


class Extra(NamedTuple):
    """One extra of setup.cfg: the modules it brings and the command or option that needs them."""

    name: str
    modules: tuple[str, ...]
    purpose: str


EXTRAS = (
    Extra("nni", ("pytorch_lightning",), "NNI's own strategies as a comparison"),
    Extra("serve", ("fastapi", "uvicorn", "prometheus_client", "python_multipart"), "a bundle behind HTTP"),
    Extra("ray", ("ray",), "many searches on many machines"),
    Extra("postgres", ("psycopg",), "Optuna studies shared through PostgreSQL"),
    Extra("dashboard", ("optuna_dashboard",), "Optuna's studies in a browser"),
    Extra("tensorboard", ("tensorboard",), "a search's curves in TensorBoard"),
    Extra("dev", ("pytest", "ruff", "mypy", "importlinter"), "make test"),
)

CORE = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pandas",
    "networkx",
    "matplotlib",
    "optuna",
    "nni",
    "scipy",
    "scikit-learn",
    "POT",
    "torchmetrics",
    "safetensors",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "pydantic",
    "annotated-types",
    "typer",
    "rich",
    "jinja2",
    "Pillow",
)


def find_extra(module: str) -> str | None:
    """The extra that brings a module, or None when no extra does."""
    top = module.partition(".")[0]
    return next((extra.name for extra in EXTRAS if top in extra.modules), None)
