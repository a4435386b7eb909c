"""Files in object stores, named by URL (`s3://bucket/a.jpg`), through fsspec and whatever knows the store.

In a path a URL stands with one slash, `s3:/bucket/a.jpg`, for that is how pathlib writes it. What is known of an object
is its size, time and ETag; those of a folder are asked for at once, so that looking costs one call for many.
"""

import hashlib
import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from subdatasets.errors import DataError
from subdatasets.files.stamps import ABSENT, Stamp

# What is asked for files; a table from somebody else makes no call to other places of the net.
SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "abfss", "file", "memory")
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}
_URL = re.compile(rf"({'|'.join(SCHEMES)}):/+(.*)", re.DOTALL)


def url_of(path: str) -> str | None:
    """The URL that a path stands for; None where it stands for a file of this machine.

    >>> url_of("s3:/bucket/a.jpg"), url_of("file:/photos/a.jpg"), url_of("/photos/a.jpg")
    ('s3://bucket/a.jpg', 'file:///photos/a.jpg', None)
    """
    found = _URL.fullmatch(path)
    if found is None:
        return None
    return f"{found[1]}://{'/' if found[1] == 'file' else ''}{found[2]}"


def read_url(url: str) -> bytes:
    """The bytes of an object.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    store, key = _store(url.partition("://")[0], url)
    try:
        data: bytes = store.cat_file(key)
    except FileNotFoundError as error:
        raise DataError(f"there is no image {url}: correct the path, or leave it out") from error
    except Exception as error:  # each store has its own
        raise DataError(f"{url} cannot be read ({error}): check the address and the credentials") from error
    return data


class Lists:
    """What the stores say of objects, a folder at a time; made anew for each question, for stores change."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Stamp]] = {}

    def stamp(self, url: str) -> Stamp:
        """The stamp of an object; `ABSENT` where there is none.

        Raises:
            DataError: the store cannot be reached.
        """
        folder, _, name = url.rpartition("/")
        if folder not in self.folders:
            store, key = _store(url.partition("://")[0], f"{folder}/")
            try:
                store.invalidate_cache()
                found = store.ls(key.rstrip("/"), detail=True)
            except FileNotFoundError:
                found = []
            except Exception as error:  # each store has its own
                raise DataError(
                    f"{folder} cannot be listed ({error}): check the address and the credentials"
                ) from error
            self.folders[folder] = {
                str(each["name"]).rpartition("/")[2]: _stamp(each) for each in found if each.get("type") == "file"
            }
        return self.folders[folder].get(name, ABSENT)


def _stamp(about: dict[str, Any]) -> Stamp:
    keys = ("LastModified", "mtime", "updated", "last_modified", "created")
    time = next((about[key] for key in keys if key in about), 0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    seconds = time.timestamp() if isinstance(time, datetime) else float(time or 0)
    tag = next((str(about[key]) for key in ("ETag", "etag", "md5Hash", "ino") if about.get(key) is not None), "")
    number = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:7], "big")
    return Stamp(int(about.get("size") or 0), int(seconds * 1e9), int(seconds * 1e9), number)


@lru_cache(maxsize=64)
def _of_scheme(scheme: str) -> Any:
    import fsspec

    try:
        return fsspec.filesystem(scheme)
    except ImportError as error:
        package = PACKAGES.get(scheme, "fsspec")
        what = "'graftnet[s3]'" if package == "s3fs" else package
        raise DataError(f"{scheme}:// is read with the package {package}: pip install {what}") from error
    except Exception as error:
        raise DataError(f"{scheme}:// cannot be opened ({error}): check the credentials") from error


def _store(scheme: str, url: str) -> tuple[Any, str]:
    store = _of_scheme(scheme)
    return store, str(store._strip_protocol(url))
