"""Relations of a project's labels: images that break those of graftnet.toml, and what the labels suggest."""

from foundation.history import Progress
from graftnet.data.imports import project_table
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project
from graftnet.project.toml_edit import toml
from graftnet.terminal.output import Answer
from subdatasets.errors import DataError
from subdatasets.labels.relations import Relation, checked_relations, suggest_relations
from subdatasets.labels.table import LabelTable
from subdatasets.reading.problems import Problem


def relations_of(project: Project) -> list[Relation]:
    """The relations that graftnet.toml says."""
    return [Relation(*each.relation) for each in project.config.relations]


def relation_problems(project: Project, *, progress: Progress | None = None) -> list[Problem]:
    """A warning for every image that breaks a relation; nothing where there are none, or a sub-dataset is damaged.

    Raises:
        ConfigError: a relation names a label that the project lacks.
    """
    relations = relations_of(project)
    if not relations:
        return []
    try:
        table = project_table(project, progress=progress)
    except DataError:
        return []  # the check of that sub-dataset says what is wrong
    require_known(project, relations, table)
    return [
        Problem(
            "warning", table.images[row], None, f"shows {relation.shown(table, row)}, but {relation} ({CONFIG_NAME})"
        )
        for relation in relations
        for row in relation.broken_by(table).nonzero()[0].tolist()
    ]


def require_known(project: Project, relations: list[Relation], table: LabelTable) -> None:
    """Refuse relations of labels that the project lacks.

    Raises:
        ConfigError: one does.
    """
    try:
        checked_relations(relations, table.labels)
    except DataError as error:
        raise ConfigError(f"{project.folder / CONFIG_NAME}: {error}") from error


def relations_call(project: Project, *, progress: Progress | None = None) -> Answer:
    """The relations that are said, with how many images break each; those that the labels suggest, as TOML to paste.

    Raises:
        ConfigError: a relation names a label that the project lacks, or there are no attributes.
        DataError: a sub-dataset that cannot be read.
    """
    table, relations = project_table(project, progress=progress), relations_of(project)
    require_known(project, relations, table)
    said = [{relation.kind: relation.labels, "broken": int(relation.broken_by(table).sum())} for relation in relations]
    new = [each for each in suggest_relations(table) if not covered(each.relation, relations)]
    record = {
        "images": len(table),
        "relations": said,
        "suggested": [
            {each.relation.kind: each.relation.labels, "images": each.images, "broken": each.broken}
            | {"expected": round(each.expected, 1)}
            for each in new
        ],
    }
    lines = [f"{relation}: broken by {each['broken']} images" for relation, each in zip(relations, said, strict=True)]
    if not new:
        lines.append("The labels suggest no other relation." if said else "The labels suggest no relation.")
    for each in new:
        lines += [
            "",
            f"# of {each.images:,} images {each.broken} break it, where chance would have {each.expected:.0f}",
            "[[relations]]",
            f"{each.relation.kind} = {toml(each.relation.labels)}",
        ]
    if new:
        lines[:0] = [f"Suggested by the labels of {len(table):,} images; what is true may be put into {CONFIG_NAME}:"]
    return Answer(record, "\n".join(lines))


def covered(relation: Relation, said: list[Relation]) -> bool:
    """Whether a relation that was said holds it already."""
    wanted = set(relation.labels)
    return any(
        each.kind == relation.kind
        and wanted <= set(each.labels)
        and (each.kind == "exclude" or each.labels[0] == relation.labels[0])
        for each in said
    )
