"""graftnet doctor: what this machine has, and what is missing for which command."""

from graftnet.answer import answer
from graftnet.options import Json


def doctor(as_json: Json = False) -> None:
    """Show what this machine has, and what is missing.

    Versions, devices, memory, disk, and the optional packages with the commands
    that need them.

    \b
    Examples:
      graftnet doctor
      graftnet doctor --json
    """
    from graftnet.doctor import examination_lines, examine

    record = examine()
    answer(record, "\n".join(examination_lines(record)), as_json=as_json)
