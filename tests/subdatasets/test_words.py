"""Which of two words is the positive one, in many languages, and which words mean that nothing is known."""

import pytest

from subdatasets.attribute import named_values, ordered_values, positive_and_why, spellings, stray_words
from subdatasets.words import is_pair


@pytest.mark.parametrize(
    ("low", "high"),
    [
        *(("nein", "ja"), ("Nej", "Ja"), ("non", "oui"), ("no", "sí"), ("não", "sim"), ("nie", "tak"), ("нет", "да")),
        *(("hayır", "evet"), ("いいえ", "はい"), ("否", "是"), ("아니요", "예"), ("όχι", "ναι"), ("faux", "vrai")),
        *(("intact", "broken"), ("normal", "abnormal"), ("OK", "Defect"), ("ok", "not ok"), ("good", "bad")),
        *(("healthy", "unhealthy"), ("benign", "malignant"), ("pass", "fail"), ("safe", "unsafe"), ("ok", "nok")),
        *(("unmasked", "masked"), ("inactive", "active"), ("undamaged", "damaged"), ("off", "on")),
        *(("not bald", "bald"), ("without hat", "with hat"), ("-1", "1")),
    ],
)
def test_the_positive_value_does_not_follow_the_alphabet(low: str, high: str) -> None:
    assert ordered_values([high, low]) == ordered_values([low, high]) == (low, high)
    value, why = positive_and_why([low, high])
    assert value == high
    assert "nothing" not in why


def test_a_value_called_like_the_attribute_wins_over_a_pair_of_findings() -> None:
    assert ordered_values(["good", "bad"], "good") == ("bad", "good")
    assert ordered_values(["good", "bad"], "quality") == ("good", "bad")
    assert positive_and_why(["zebra", "ant"], "ant") == ("ant", "'ant' is called like the attribute")


@pytest.mark.parametrize("values", [("cat", "dog"), ("female", "male"), ("1", "2")])
def test_where_nothing_tells_it_is_said(values: tuple[str, str]) -> None:
    value, why = positive_and_why(values)
    assert value == values[1]
    assert why.startswith(("the later", "the larger"))
    assert not is_pair(*values)


def test_one_word_in_two_unicode_forms_or_cases_is_one_word() -> None:
    assert is_pair("no", "si\N{COMBINING ACUTE ACCENT}")
    assert spellings(["Ja", "ja", "NEIN"]) == {"Ja": "ja", "ja": "ja", "NEIN": "nein"}
    assert spellings(["Ja", "Nein"]) == {"Ja": "Ja", "Nein": "Nein"}  # as before there were these pairs


def test_what_programs_write_gets_names() -> None:
    assert named_values(["0", "1"]) == {"0": "no", "1": "yes"}
    assert named_values(["true", "false"]) == {"false": "no", "true": "yes"}
    assert named_values(["-1", "1"]) == {"-1": "no", "1": "yes"}
    assert named_values(["1", "2"]) == {"1": "1", "2": "2"}
    assert named_values(["absent", "present"]) == {"absent": "absent", "present": "present"}


@pytest.mark.parametrize(
    ("counts", "strays"),
    [
        ({"yes": 9, "no": 9, "unknown": 9, "Not_Sure": 4, "None": 3, "n/a": 1}, {"unknown", "Not_Sure", "None", "n/a"}),
        ({"ja": 50, "nein": 50, "weiß nicht": 20}, {"weiß nicht"}),
        ({"0": 5, "1": 5, "unknown": 5}, {"unknown"}),
        ({"ok": 50, "defect": 50, "unclear": 7}, {"unclear"}),
        ({"yes": 60, "no": 60, "yse": 2, "nno": 1}, {"yse", "nno"}),
        ({"yes": 60, "no": 60, "partly": 40}, set()),
        ({"low": 60, "high": 60, "medium": 2}, set()),
        ({"0": 60, "1": 60, "2": 2}, set()),
        ({"yes": 60, "no": 60, "1": 2}, set()),
        ({"male": 5, "female": 5, "unknown": 5}, set()),
        ({"none": 5, "sun": 5, "reading": 5}, set()),
        ({"yes": 5, "no": 5}, set()),
    ],
)
def test_words_beside_no_and_yes(counts: dict[str, int], strays: set[str]) -> None:
    assert stray_words(counts) == strays


@pytest.mark.parametrize(
    ("low", "high"),
    [
        *(("-", "+"), ("✗", "✓"), ("☐", "☑"), ("❌", "✅"), ("нет", "есть"), ("なし", "あり"), ("Ｎｏ", "Ｙｅｓ")),
        *(("ohne Hut", "mit Hut"), ("sans chapeau", "avec chapeau"), ("sin gafas", "con gafas"), ("无帽子", "有帽子")),
        *(
            ("zonder bril", "met bril"),
            ("без шапки", "с шапки"),
            ("keine Brille", "Brille"),
            ("pas de chapeau", "chapeau"),
        ),
        *(("sain", "malade"), ("SANO", "ENFERMO"), ("ganz", "kaputt"), ("gut", "schlecht"), ("正常", "异常")),
        *(("良品", "不良品"), ("NÉGATIF", "POSITIF"), ("Nicht_Bald", "Bald"), ("has no hat", "has hat")),
        # Who denies what is as it should be has found something.
        *(("normal", "not normal"), ("clean", "not_clean"), ("intakt", "nicht intakt"), ("ok", "not ok")),
    ],
)
def test_whatever_the_language_what_is_looked_for_is_positive(low: str, high: str) -> None:
    for name in ("thing", ""):
        assert positive_and_why([high, low], name)[0] == high
        assert ordered_values([high, low], name) == (low, high)
        assert ordered_values([low, high], name) == (low, high)


@pytest.mark.parametrize(
    "word",
    [
        *(
            "(unknown)",
            "[Unknown]",
            "'unknown'",
            "unsure?",
            "can’t tell",
            "don’t know",
            "N.A",
            "unk.",
            "—",
            "–",
            "No info",
        ),
        *("not specified", "nicht bekannt", "Nicht erkennbar", "sans réponse", "s/d", "#N/A", "ambigous"),
    ],
)
def test_unknown_however_it_is_dressed(word: str) -> None:
    assert stray_words({"yes": 40, "no": 40, word: 30}) == {word}
    assert stray_words({"cat": 40, "dog": 40, word: 30}) == set()


def test_one_word_in_two_unicode_forms_is_one_value() -> None:
    assert spellings(["caf\u00e9", "cafe\u0301", "bar"]) == {
        "caf\u00e9": "caf\u00e9",
        "cafe\u0301": "caf\u00e9",
        "bar": "bar",
    }
    assert spellings(["cafe\u0301", "bar"]) == {"cafe\u0301": "cafe\u0301", "bar": "bar"}  # as it always was
