"""A labelling keeps every answer, takes answers back exactly, and leaves what others wrote as it is."""

import json
from pathlib import Path

import pytest

from graftnet.data.labelling.journal import Journal, Said
from graftnet.data.labelling.pool import Pool
from graftnet.data.labelling.table import AnswerTable
from graftnet.errors import ConfigError
from subdatasets.attribute import Attribute
from subdatasets.subdataset import read_subdataset
from tests.graftnet.data.labelling.made import answer_page, labelling, paint, pool_of, truth


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return pool_of(paint(tmp_path_factory.mktemp("pool"), 120))


def csv_lines(folder: Path) -> list[str]:
    return (folder / "data" / "bright.csv").read_text().splitlines()


def test_an_answer_is_kept_at_once_and_a_killed_process_loses_none(pool: Pool, tmp_path: Path) -> None:
    work = labelling(tmp_path, pool)
    asked = answer_page(work)
    # No `close`: what is on disk now is what a kill leaves.
    lines = [json.loads(line) for line in (tmp_path / "data" / "bright.answers.jsonl").read_text().splitlines()]
    assert [line["content"] for line in lines] == asked
    assert all(line["who"] == "somebody" and line["when"] and line["split"] for line in lines)
    assert len(csv_lines(tmp_path)) == 1 + len(asked)
    with open(tmp_path / "data" / "bright.answers.jsonl", "a") as file:
        file.write('{"kind": "answer", "content": "torn')
    again = labelling(tmp_path, pool)
    assert again.counts()["answers"] == len(asked)
    assert not {picture["id"] for picture in again.page("b")["pictures"]} & set(asked)


def test_a_table_that_is_gone_comes_back_from_the_answers(pool: Pool, tmp_path: Path) -> None:
    answer_page(labelling(tmp_path, pool))
    before = csv_lines(tmp_path)
    (tmp_path / "data" / "bright.csv").unlink()
    labelling(tmp_path, pool).close()
    assert csv_lines(tmp_path) == before


def test_it_becomes_a_sub_dataset_that_can_be_read(pool: Pool, tmp_path: Path) -> None:
    work = labelling(tmp_path, pool)
    while answer_page(work):
        pass
    work.close()
    subdataset = read_subdataset(tmp_path / "data" / "bright.csv")
    assert subdataset.attribute == Attribute("bright", ("no", "yes"))
    assert len(subdataset.examples) == 120
    assert subdataset.drawn == ""
    assert all(truth(work, work.table.hashes[e.path]) == ("no", "yes")[e.value] for e in subdataset.examples)


def test_what_is_val_and_test_is_drawn_before_anything_is_labelled(pool: Pool, tmp_path: Path) -> None:
    splits = []
    for order in (0, 1):
        work = labelling(tmp_path / str(order), pool)
        for page in range(4):
            for content in [picture["id"] for picture in work.page("a")["pictures"]]:
                work.answer("a", content, "yes" if (page + order) % 2 else truth(work, content))
        splits.append({content: said.split for content, said in work.table.journal.current().items()})
    both = splits[0].keys() & splits[1].keys()
    assert len(both) > 20
    assert all(splits[0][content] == splits[1][content] for content in both)
    for drawn in splits:
        held_out = sum(split != "train" for split in drawn.values())
        assert held_out == int(0.3 * len(drawn))


def test_undo_takes_back_the_windows_own_last_answer(pool: Pool, tmp_path: Path) -> None:
    work = labelling(tmp_path, pool)
    first, second = answer_page(work, "a", 3), answer_page(work, "b", 2)
    assert not set(first) & set(second)
    assert work.undo("a")["picture"]["id"] == first[2]
    assert work.undo("a")["picture"]["id"] == first[1]
    assert work.undo("b")["picture"]["id"] == second[1]
    assert set(work.table.journal.current()) == {first[0], second[0]}
    assert len(csv_lines(tmp_path)) == 3
    work.answer("a", first[1], None)
    assert work.counts()["unsure"] == 1
    assert len(csv_lines(tmp_path)) == 3
    again = labelling(tmp_path, pool)
    assert again.counts() == work.counts()
    assert again.undo("c")["picture"]["id"] == first[1]
    assert again.undo("c")["picture"]["id"] == second[0]
    assert work.undo("a")["picture"] is not None


def test_a_changed_answer_counts_and_undo_brings_the_one_before(pool: Pool, tmp_path: Path) -> None:
    work = labelling(tmp_path, pool)
    (content,) = answer_page(work, "a", 1)
    work.answer("a", content, "yes")
    work.answer("a", content, "no")
    assert work.undo("a")["picture"]["label"] == "yes"
    assert csv_lines(tmp_path)[1].split(",")[1] == "yes"


def test_a_page_stays_until_it_is_answered_and_windows_get_different_pictures(pool: Pool, tmp_path: Path) -> None:
    work = labelling(tmp_path, pool)
    asked = [picture["id"] for picture in work.page("a")["pictures"]]
    other = [picture["id"] for picture in work.page("b")["pictures"]]
    assert len({*asked, *other}) == 24
    work.answer("a", asked[0], "no")
    reloaded = work.page("a")["pictures"]
    assert [picture["id"] for picture in reloaded] == asked
    assert [picture["answered"] for picture in reloaded] == [True] + [False] * 11
    assert reloaded[0]["label"] == "no"
    assert not {picture["id"] for picture in work.page("a", more=True)["pictures"]} & {*asked, *other}


def test_rows_of_others_stay_and_a_table_that_changes_meanwhile_is_taken_in(pool: Pool, tmp_path: Path) -> None:
    one, two, three = list(pool.paths.values())[:3]
    path = tmp_path / "data" / "bright.csv"
    path.parent.mkdir()
    path.write_text(f"path,label,split,group\n{one},no,test,street\n{two},yes,train,\n")
    work = labelling(tmp_path, pool)
    assert not {picture["id"] for picture in work.page("a")["pictures"]} & {
        work.table.hashes[one],
        work.table.hashes[two],
    }
    path.write_text(path.read_text() + f"{three},no,val,\n")
    answer_page(work, "a", 1)
    rows = {line.split(",")[0]: line.split(",")[1:] for line in csv_lines(tmp_path)[1:]}
    assert [rows[str(each)] for each in (one, two, three)] == [
        ["no", "test", "street"],
        ["yes", "train", ""],
        ["no", "val", ""],
    ]
    assert len(rows) == 4
    work.answer("a", work.table.hashes[one], "yes")
    assert f"{one},yes,test,street" in csv_lines(tmp_path)
    again = labelling(tmp_path, pool)
    assert again.undo("z")["picture"]["id"] == work.table.hashes[one]
    assert f"{one},no,test,street" in csv_lines(tmp_path)


def test_a_label_that_is_no_value_is_refused(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bright.csv").write_text(f"path,label,split\n{next(iter(pool.paths.values()))},maybe,train\n")
    with pytest.raises(ConfigError, match="'maybe', which is no value of bright"):
        labelling(tmp_path, pool)


def test_a_value_that_alone_is_spelled_otherwise_is_still_that_value(pool: Pool, tmp_path: Path) -> None:
    """Of one value alone the reader makes "yes" of "Yes", for it may be a part of a known pair."""
    work = labelling(tmp_path, pool, values=("Maybe", "Yes"))
    for picture in work.page("a")["pictures"]:
        work.answer("a", picture["id"], "Yes")
    again = labelling(tmp_path, pool, values=("Maybe", "Yes"))
    assert again.counts() == work.counts()
    assert {line.split(",")[1] for line in csv_lines(tmp_path)[1:]} == {"Yes"}


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bright.answers.jsonl"
    path.write_text('{"kind": "begin", "values": ["no", "yes"]}\n{"kind": "answer", "content": 3}\n')
    with pytest.raises(ConfigError, match="line 2 is no answer"):
        Journal(path)
    said = Said("0" * 64, "a.png", "yes", "train", "chosen", "me", was={"a.png": ("no", "train", "")})
    path.write_text("")
    Journal(path).add(said)
    assert Journal(path).before == {"0" * 64: {"a.png": ["no", "train", ""]}}


def test_an_unknown_picture_or_value_is_refused(pool: Pool, tmp_path: Path) -> None:
    work = labelling(tmp_path, pool)
    for content, value in (("../../etc/passwd", "yes"), (pool.contents[0], "perhaps")):
        with pytest.raises(ConfigError, match="has not"):
            work.answer("a", content, value)
    assert isinstance(work.table, AnswerTable)
    assert not (tmp_path / "data" / "bright.answers.jsonl").exists()
