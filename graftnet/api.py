"""Open a project from Python: search, report, graft, export and predict as methods, tables as pandas DataFrames."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftnet.project.folder import open_project

if TYPE_CHECKING:
    from pandas import DataFrame

    from foundation.history import Progress
    from graftnet.pages.notebook import Search


class Project:
    """A project folder, ``graftnet.toml`` included; each method does what the command of its name does.

    ``Project("people")`` opens that folder, ``Project()`` the project around the working directory. A user's mistake
    is raised as an error with one sentence (:class:`foundation.errors.UserError`); what is interrupted continues when
    called again.

    Raises:
        ConfigError: there is no project, or its graftnet.toml has mistakes.
    """

    def __init__(self, folder: str | PathLike[str] | None = None) -> None:
        self.opened = open_project(None if folder is None else Path(folder))

    def __repr__(self) -> str:
        return f"Project({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        from graftnet.pages.notebook import project_html

        return project_html(self.opened)

    @property
    def folder(self) -> Path:
        """Where the project lies."""
        return self.opened.folder

    def latest(self, attribute: str) -> Path:
        """The folder of the attribute's newest search, as :mod:`reports.tables` and :func:`reports.write_report` take.

        Raises:
            ConfigError: the attribute was never searched.
        """
        return self.opened.latest_search(attribute)

    def result(self, attribute: str) -> "Search":
        """The attribute's newest search: verdict, tables and figures; a notebook shows it.

        Raises:
            ConfigError: the attribute was never searched.
        """
        from graftnet.pages.notebook import Search

        return Search(self.latest(attribute), attribute)

    def search(
        self,
        attribute: str,
        *,
        seed: int | None = None,
        device: str = "auto",
        force: bool = False,
        progress: "Progress | None" = None,
    ) -> Path:
        """Search the attribute's branch and write the report; a current result is returned as it is unless ``force``.

        Args:
            seed: by default the project's.
            device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
            progress: hears how far it is; in a notebook, bars do by default.

        Returns:
            The search's folder, with ``result.json``, ``branch/`` and ``report.html``.
        """
        from graftnet.project.machine import choose_device
        from graftnet.project.settings import seed_or
        from graftnet.searches.run import search_attribute
        from graftnet.terminal.notebook import notebook_progress
        from reports import write_report

        self.opened.source(attribute)
        with notebook_progress(progress) as heard:
            folder = search_attribute(
                self.opened,
                attribute,
                seed=seed_or(seed, self.opened),
                device=choose_device(device),
                progress=heard,
                force=force,
            )
        write_report(folder)
        return folder

    def report(self, attribute: str | None = None, *, check: bool = True) -> Path:
        """Write the page and the model card of the attribute's newest search; without one of every attribute.

        Those that are as their records are stay as they are.

        Args:
            check: of all attributes, read the data to see which results are still current.

        Returns:
            The page: of the attribute, or the one over all of them.
        """
        from graftnet.pages.fresh import write_if_changed

        if attribute is not None:
            return write_if_changed(self.latest(attribute))
        from graftnet.pages.fleet_record import searched, write_fleet_record
        from reports import write_fleet_report

        for name in searched(self.opened):
            self.report(name)
        return write_fleet_report(write_fleet_record(self.opened, check=check))

    def probe(
        self,
        attributes: Sequence[str] = (),
        *,
        device: str = "auto",
        progress: "Progress | None" = None,
    ) -> "DataFrame":
        """What each depth of the trunk is worth to these attributes, by default all, before any search.

        A row per attribute and depth: name, channels, height and width of the map, ``val_auroc`` of logistic regression
        on its averages with the ends of its 95 % interval ``low`` and ``high``, ``milliseconds`` of the trunk up to
        there, and whether it is ``advised``. ``attrs["record"]`` of the table is what ``--json`` says.
        """
        from pandas import DataFrame

        from graftnet.project.machine import choose_device
        from graftnet.studies.probe import probe_attributes
        from graftnet.terminal.notebook import notebook_progress

        with notebook_progress(progress) as heard:
            record = probe_attributes(self.opened, attributes, device=choose_device(device), progress=heard)
        shown = ("depth", "name", "channels", "height", "width")
        rows = [
            {
                "attribute": name,
                **{key: row[key] for key in shown},
                "val_auroc": row["auroc"],
                **{key: row[key] for key in ("low", "high", "milliseconds")},
                "advised": row["depth"] == probe["advised"],
            }
            for name, probe in record["attributes"].items()
            for row in probe["depths"]
        ]
        table = DataFrame(rows)
        table.attrs["record"] = record
        return table

    def graft(self, attribute: str, *, choice: str | None = None) -> Path:
        """Put the newest result's branch into the project's tree; no other attribute changes by a single bit.

        Args:
            choice: searched, random, probe or tail, where another is wanted than the one that val chose.

        Returns:
            The branch's folder.
        """
        from graftnet.bundles.tree import graft_attribute

        return graft_attribute(self.opened, attribute, choice)

    def export(self, attribute: str | None = None, *, to: str | PathLike[str] | None = None) -> Path:
        """Write the attribute's grafted branch, or without one all of them, and the trunk as one verified bundle.

        Args:
            to: the bundle's folder, by default under ``runs/exports``.

        Raises:
            ConfigError: nothing, or not this attribute, is grafted.
        """
        from graftnet.bundles.tree import export_attributes
        from graftnet.errors import ConfigError
        from graftnet.trunks.served import grafted

        names = [attribute] if attribute else list(grafted(self.opened.tree))
        if not names:
            raise ConfigError("No branch is grafted yet; run `graftnet graft ATTR` first.")
        return export_attributes(self.opened, names, Path(to or self.opened.exports / (attribute or "bundle")))

    def predict(
        self,
        bundle: str | PathLike[str],
        images: Sequence[str | PathLike[str]],
        *,
        attributes: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """What an exported bundle says of image files: per image values, scores, thresholds and calibrated scores.

        Args:
            attributes: these alone; the other branches are not run.
        """
        from deployment.runtime import Runtime

        return Runtime(Path(bundle)).predict([Path(image) for image in images], attributes=attributes)

    def results(self) -> "DataFrame":
        """A row per attribute with a finished search, of its newest one (:func:`reports.tables.results`)."""
        from reports.tables import results

        names = sorted(path.name for path in self.opened.searches("").glob("*"))
        return results(finished[-1] for name in names if (finished := self.opened.results(name)))

    def attributes(self) -> "DataFrame":
        """A row per attribute: its values, images in train, val and test, finished searches, whether it is grafted.

        Raises:
            ConfigError, DataError: a sub-dataset that cannot be read.
        """
        from pandas import DataFrame

        from graftnet.trunks.served import grafted
        from subdatasets.splits import SPLITS

        grown, rows = grafted(self.opened.tree), []
        for name in self.opened.sources():
            subdataset = self.opened.read(name)
            images = {split: len(subdataset.split(split)) for split in SPLITS}
            searches = len(self.opened.results(name))
            row = {"attribute": name, "values": " / ".join(subdataset.attribute.values), **images}
            rows.append({**row, "searches": searches, "grafted": name in grown})
        return DataFrame(rows, columns=["attribute", "values", *SPLITS, "searches", "grafted"])
