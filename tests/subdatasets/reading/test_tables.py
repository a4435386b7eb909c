from pathlib import Path

import pytest

from subdatasets.errors import DataError
from subdatasets.reading.tables import read_table


def table_of(folder: Path, data: bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_reads_alike_in_every_dialect(tmp_path: Path, delimiter: str, ending: str, encoding: str) -> None:
    lines = [["Path", "label"], ["é.jpg", ' "no, not | that; one\tno"'.strip()], [" b.jpg ", "yes"]]
    text = ending.join(delimiter.join(line) for line in lines) + ending
    table = read_table(table_of(tmp_path, text.encode(encoding)))
    assert table.header == ("Path", "label")
    assert [row.cells for row in table.rows] == [("é.jpg", "no, not | that; one\tno"), ("b.jpg", "yes")]
    assert [row.line for row in table.rows] == [2, 3]


def test_lines_are_counted_through_blank_lines_and_quoted_line_ends(tmp_path: Path) -> None:
    data = b'\n path , note\r\na,"one\r\ntwo\r\nthree"\r\n\r\n,\r\nb,x\r\n'
    table = read_table(table_of(tmp_path, data))
    assert (table.header, table.header_line) == (("path", "note"), 2)
    assert [(row.line, row.cells[0]) for row in table.rows] == [(3, "a"), (8, "b")]


def test_an_open_quote_is_told_with_the_line_it_begins_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv, line 3: .*correct its quotes"):
        read_table(table_of(tmp_path, b'path,label\na,1\nb,"1\nc,0\nd,1\n'))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n \r\n", "is empty"),
        (b"path,label\nd\xe9.jpg,1\n", r"line 2: the text is not UTF-8"),
        (b"PK\x03\x04\x00\x00", "not a text table"),
        (b"path,label,Path\na,b,c\n", "column 'path' occurs twice"),
        (b",,\n,,\n", "names no column"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(table_of(tmp_path, data))


def test_a_named_encoding_is_used(tmp_path: Path) -> None:
    path = table_of(tmp_path, "path,label\n猫.jpg,1\n".encode("gb18030"))
    assert read_table(path, encoding="gb18030").rows[0].cells[0] == "猫.jpg"
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        read_table(path, encoding="klingon")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)
