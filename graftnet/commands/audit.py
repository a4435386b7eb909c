"""graftnet audit: is the search worth it on your data?"""

from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json


def audit(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="An attribute with a finished search.")],
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, metavar="N", help="Whole searches compared with random search. Default: 3."),
    ] = None,
    architectures: Annotated[
        int | None,
        typer.Option("--architectures", min=3, metavar="M", help="Retrained twice for the ranking. Default: 24."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="2 seeds and 10 architectures: a first look.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Measure the chosen ones on test too.")] = False,
    project: Folder = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say whether the search is worth it on your data.

    Do the shared weights rank as retraining does (Kendall's tau, beside its
    ceiling)? What does the search gain over random search at equal budget and
    at equal cost? Has the controller collapsed? What did it cost? The answer
    is a sentence, audit.json in the search's folder, and a section of the
    report.

    \b
    Examples:
      graftnet audit bald --quick
      graftnet audit bald --seeds 5 --architectures 48

    It costs some dozen trainings and further searches. After Ctrl-C or kill
    call it again: it continues; with more seeds it adds what is missing.
    """
    from graftnet.auditing import QUICK_ARCHITECTURES, QUICK_SEEDS, audit_one

    found = audit_one(
        project,
        attribute,
        seeds=seeds or (QUICK_SEEDS if quick else 3),
        architectures=architectures or (QUICK_ARCHITECTURES if quick else 24),
        test=test,
        device=device,
    )
    answer(*found, as_json=as_json)
