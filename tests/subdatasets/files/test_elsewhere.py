"""Pictures inside archives and in object stores are read as files of the disk are."""

import io
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from subdatasets.checks import check_subdataset
from subdatasets.errors import DataError
from subdatasets.files import stamps
from subdatasets.files.memory import FileMemory
from subdatasets.image_files import content_hash, content_hashes, inspect_images, read_image
from subdatasets.importing.folder import import_folder
from subdatasets.importing.tables import import_table
from subdatasets.subdataset import read_subdataset, write_subdataset
from tests.subdatasets.conftest import Paint

COUNT = 12


@pytest.fixture
def photos(paint: Paint) -> list[Path]:
    return [paint(f"photos/{'yes' if number % 2 else 'no'}/{number}.png") for number in range(COUNT)]


def tarred(target: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(target, mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return target


def zipped(target: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


@pytest.mark.parametrize("how", ["tar", "deflated", "stored", "bzip2"])
def test_a_member_is_a_file_like_others(how: str, photos: list[Path], tmp_path: Path) -> None:
    files = {f"deep/ä {path.name}": path.read_bytes() for path in photos}
    methods = {"deflated": zipfile.ZIP_DEFLATED, "stored": zipfile.ZIP_STORED, "bzip2": zipfile.ZIP_BZIP2}
    place = tmp_path / "all.tar"
    archive = tarred(place, files) if how == "tar" else zipped(tmp_path / "all.ZIP", files, methods[how])
    inside = [archive / "deep" / f"ä {path.name}" for path in photos]
    assert list(content_hashes(inside).values()) == [content_hash(path) for path in photos]
    np.testing.assert_array_equal(np.asarray(read_image(inside[3])), np.asarray(read_image(photos[3])))
    assert all(wrong is None for _, wrong in inspect_images(inside).values())
    with pytest.raises(DataError, match=r"there is no image .*none\.png"):
        content_hash(archive / "none.png")


def test_what_is_known_of_members_lasts_until_the_archive_is_written(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "RACY", 0)
    memory = FileMemory(tmp_path / "files.sqlite")
    archive = tarred(tmp_path / "all.tar", {path.name: path.read_bytes() for path in photos})
    inside = [archive / path.name for path in photos]
    before = content_hashes(inside, memory=memory)
    with monkeypatch.context() as patch:
        patch.setattr("subdatasets.image_files.read", lambda path: pytest.fail(f"{path} is read"))
        assert content_hashes(inside, memory=memory) == before
    time.sleep(0.02)
    tarred(archive, {path.name: path.read_bytes() for path in [*photos[1:], photos[0]]})
    assert content_hashes(inside, memory=memory) == before
    turned = {path.name: other.read_bytes() for path, other in zip(photos, reversed(photos), strict=True)}
    tarred(archive, turned)
    assert list(content_hashes(inside, memory=memory).values()) == list(reversed(before.values()))


def test_a_table_may_name_members(photos: list[Path], tmp_path: Path) -> None:
    zipped(tmp_path / "photos.zip", {path.name: path.read_bytes() for path in photos})
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,hat", *(f"photos.zip/{path.name},{path.parent.name}" for path in photos)]))
    (found,) = import_table(table, None, tmp_path / "data").subdatasets
    assert read_subdataset(tmp_path / "data" / "hat.csv").examples == found.examples
    assert found.examples[0].path == tmp_path / "photos.zip" / photos[0].name
    assert [each for each in check_subdataset(tmp_path / "data" / "hat.csv") if each.severity == "error"] == []
    table.write_text(table.read_text().replace("photos.zip/3.png", "photos.zip/33.png"))
    with pytest.raises(DataError, match=r"line 5: there is no image 'photos\.zip/33\.png'"):
        import_table(table, None, tmp_path / "other")


WEBDATASET, FOLDERS, WRAPPED = "webdataset", "folders", "wrapped"


@pytest.mark.parametrize("layout", [WEBDATASET, FOLDERS, WRAPPED])
def test_archives_are_sub_datasets(layout: str, photos: list[Path], tmp_path: Path) -> None:
    shards = tmp_path / "hat"
    shards.mkdir()
    splits = ("train", "train", "val", "test")
    for split in ("train", "val", "test"):
        chosen = [path for number, path in enumerate(photos) if splits[number // 2 % 4] == split]
        files = {"._1.png": b"macOS's notes"}
        for path in chosen:
            if layout == WEBDATASET:
                files |= {f"{path.stem}.png": path.read_bytes(), f"{path.stem}.cls": path.parent.name.encode()}
                files[f"{path.stem}.json"] = b"{}"
            elif layout == FOLDERS:
                files[f"{split}/{path.parent.name}/{path.name}"] = path.read_bytes()
            else:
                files[f"photos/{path.parent.name}/{path.name}"] = path.read_bytes()
        tarred(shards / f"{split}-000.tar", files)
    summary = import_folder(shards, "hat", tmp_path / "data")
    read = read_subdataset(tmp_path / "data" / "hat.csv")
    assert read.examples == summary.subdatasets[0].examples
    assert {example.path.name: read.attribute.values[example.value] for example in read.examples} == {
        path.name: path.parent.name for path in photos
    }
    if layout != WRAPPED:
        assert read_subdataset(shards).counts() == read.counts()
        assert {example.path.parts[-2 if layout == WEBDATASET else -4] for example in read.split("val")} == {
            "val-000.tar"
        }


def test_archives_that_cannot_be_read_are_a_sentence(photos: list[Path], tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in photos}
    cut = tarred(tmp_path / "cut.tar", files)
    cut.write_bytes(cut.read_bytes()[:700])
    with pytest.raises(DataError, match=r"cut\.tar"):
        content_hash(cut / photos[0].name)
    squeezed = tarred(tmp_path / "all.tar.gz", files, "w:gz")
    with pytest.raises(DataError, match="compressed as a whole"):
        read_subdataset(squeezed)
    shutil.copy(squeezed, tmp_path / "named.tar")
    with pytest.raises(DataError, match="tar that is not compressed"):
        read_subdataset(tmp_path / "named.tar")
    broken = zipped(tmp_path / "broken.zip", files)
    data = bytearray(broken.read_bytes())
    data[60:90] = bytes(30)
    broken.write_bytes(data)
    with pytest.raises(DataError, match=r"broken\.zip"):
        content_hash(broken / photos[0].name)


@pytest.fixture
def memory_store() -> Iterator[str]:
    """A store of fsspec in this process."""
    yield "memory://photos"
    fsspec.filesystem("memory").rm("/photos", recursive=True)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket on a real S3 server, of moto."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    given = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    given["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("shelf")
        yield "s3://shelf/photos"
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        started.stop()


@pytest.mark.parametrize("store", ["memory_store", "s3", "file"])
def test_a_table_may_name_objects_of_a_store(
    store: str,
    photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(stamps, "RACY", -(10**18) if store == "s3" else 0)  # S3 counts whole seconds
    if store == "file":
        urls = [f"file://{path}" for path in photos]
    else:
        shelf = request.getfixturevalue(store)
        urls = [f"{shelf}/{path.name}" for path in photos]
        system, _ = fsspec.core.url_to_fs(shelf)
        for url, path in zip(urls, photos, strict=True):
            system.pipe_file(url, path.read_bytes())
    table = tmp_path / "labels.csv"
    table.write_text(
        "\n".join(["path,hat", *(f"{url},{path.parent.name}" for url, path in zip(urls, photos, strict=True))])
    )
    (found,) = import_table(table, None, tmp_path / "data").subdatasets
    written = tmp_path / "data" / "hat.csv"
    assert urls[0] in written.read_text()
    read = read_subdataset(written)
    assert read.examples == found.examples
    write_subdataset(read, written)
    assert urls[0] in written.read_text()
    memory = FileMemory(tmp_path / "files.sqlite")
    paths = [example.path for example in read.examples]
    hashes = content_hashes(paths, memory=memory)
    assert list(hashes.values()) == [content_hash(path) for path in photos]
    np.testing.assert_array_equal(np.asarray(read_image(paths[0])), np.asarray(read_image(photos[0])))
    with monkeypatch.context() as patch:
        patch.setattr("subdatasets.image_files.read", lambda path: pytest.fail(f"{path} is read"))
        assert content_hashes(paths, memory=memory) == hashes
    if store != "file":
        system.pipe_file(urls[1], photos[2].read_bytes())
        changed = content_hashes(paths, memory=memory)
        assert [row for row, path in enumerate(paths) if changed[path] != hashes[path]] == [1]
        system.rm_file(urls[1])
        with pytest.raises(DataError, match=f"there is no image {urls[1].partition('://')[0]}"):
            content_hashes(paths, memory=memory)


def test_a_store_that_nothing_knows_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(scheme: str) -> Callable[[], None]:
        raise ImportError(scheme)

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(DataError, match="pip install gcsfs"):
        content_hash(Path("gs://shelf/a.png"))
