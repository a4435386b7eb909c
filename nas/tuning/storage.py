"""Storage of studies: Optuna's, by its URL; SQLite unless another one is named.

A running trial tells the storage every few seconds that it is alive; one that has been silent for `GRACE` seconds was
killed, on whichever machine.
"""

import time
import warnings
from pathlib import Path

from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from nas.errors import SearchError

HEARTBEAT, GRACE = 10, 60  # seconds
PATIENCE = 60  # seconds to wait for a locked SQLite file, or for another process that makes the tables
POSTGRES = ("postgres", "postgresql")  # without a driver's name: psycopg 3 is what the extra brings


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path.resolve()}"


def shown_url(url: str) -> str:
    """A storage's URL without the password, for records and messages."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def remedy(reason: str, local: URL | None) -> str:
    """What to do about a storage that fails for `reason`; `local`: the URL of SQLite, which has no server."""
    if "disk is full" in reason or "No space left" in reason:
        return "free some space on its disk and call again"
    if local is None:
        return "start its server, or correct --storage"
    if local.database and "not a database" in reason:
        return f"move {local.database} away, or name another --storage"
    return f"make {Path(local.database or '.').parent} a folder with room that you may write to, or correct --storage"


def open_storage(url: str) -> RDBStorage:
    """The storage behind a URL; its tables are made where there are none.

    Raises:
        SearchError: it is no URL, nothing answers there, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SearchError(
            f"The storage {url!r} is no URL; give one such as sqlite:///studies.db or postgresql://user@host/name."
        ) from error
    if parsed.drivername in POSTGRES:
        parsed = parsed.set(drivername="postgresql+psycopg")
    local = parsed.get_backend_name() == "sqlite"
    if local and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    options = {"connect_args": {"timeout": PATIENCE}} if local else {"pool_pre_ping": True}
    last = time.monotonic() + PATIENCE
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    parsed.render_as_string(hide_password=False),
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                )
        except DBAPIError as error:
            # Two that come first at once both make the tables and note their version, and one finds them there.
            others_made_it = isinstance(error, IntegrityError) or "already exists" in str(error)
            if others_made_it and time.monotonic() < last:
                time.sleep(0.2)
                continue
            reason = " ".join(str(error.orig or error).split())
            raise SearchError(
                f"The storage {shown_url(url)} cannot be used ({reason}); {remedy(reason, parsed if local else None)}."
            ) from error
        except ImportError as error:
            extra = "'graftnet[postgres]'" if parsed.get_backend_name() == "postgresql" else "its driver"
            raise SearchError(
                f"The storage {shown_url(url)} needs a driver that is missing; install it with: pip install {extra}."
            ) from error
        except NoSuchModuleError as error:
            raise SearchError(
                f"The storage {shown_url(url)} is of a kind that SQLAlchemy does not know; use sqlite, postgresql or "
                "mysql."
            ) from error
