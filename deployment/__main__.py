"""Verify or use an exported folder, with onnxruntime and numpy alone (Pillow to read images).

    python -m deployment verify DIR
    python -m deployment predict DIR IMAGE ...   files, folders or patterns; one JSON line each

In a bundle's `runtime.pyz` the folder is the bundle's own and may be left out.
"""

import json
import sys
from pathlib import Path

from deployment.errors import BundleError
from deployment.runtime import Runtime


def main() -> None:
    """Run the command; exit code 0 done, 1 something is not as it was exported, 2 the call was wrong."""
    try:
        code = run(sys.argv[1:])
    except BundleError as error:
        sys.stderr.write(f"{error}.\n")
        code = 2
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """The command's exit code. Raises: BundleError for a mistake of the caller."""
    home = _own_bundle()
    command, *rest = arguments or ["verify"]
    if command == "verify" and len(rest) == (1 if home is None else min(len(rest), 1)):
        return _verify(Path(rest[0]) if rest else Path(home or "."))
    if command == "predict" and len(rest) > (1 if home is None else 0):
        folder, images = (Path(rest[0]), rest[1:]) if home is None else (home, rest)
        return _predict(folder, images)
    sys.stderr.write((__doc__ or "").strip() + "\n")
    return 2


def _verify(folder: Path) -> int:
    checks = Runtime(folder).verify()
    for check in checks:
        said = check["problem"] or f"largest relative error {check['max_relative_error']:.2g}"
        sys.stdout.write(f"{'ok    ' if check['ok'] else 'FAILED'}  {check['branch']}: {said}\n")
    return int(not all(check["ok"] for check in checks))


def _predict(folder: Path, words: list[str]) -> int:
    """One line per image as it is done; 1 when one of them could not be read."""
    try:
        from deployment.runtime.named import named_images
    except ImportError as error:
        raise BundleError("reading image files needs Pillow: pip install pillow") from error
    code = 0
    for row in Runtime(folder).answers(named_images(words).files):
        code = max(code, int("error" in row))
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
    return code


def _own_bundle() -> Path | None:
    """The folder that holds the `.pyz` which this module is in; None where it is not in one."""
    archive = Path(__file__).parents[1]
    return archive.resolve().parent if archive.is_file() else None
