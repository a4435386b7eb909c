"""Words that labels are written in: pairs of no and yes in many languages, and ways to say that nothing is known."""

import unicodedata

# Pairs with a fixed meaning, negative first. Compared without regard to case.
PAIRS = (
    ("no", "yes"),
    ("0", "1"),
    ("false", "true"),
    ("absent", "present"),
    ("negative", "positive"),
    ("off", "on"),
    ("n", "y"),
    ("f", "t"),
    ("-1", "1"),
)

# How programs write no and yes: an import gives them names, for "child = 1" tells a reader little.
PROGRAMS_PAIRS = (("0", "1"), ("-1", "1"), ("false", "true"), ("f", "t"), ("n", "y"))


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Written as "negative/positive", with _ for a space within a word."""
    pairs = (pair.replace("_", " ").split("/") for pair in text.split())
    return tuple((low, high) for low, high in pairs)


# No and yes, false and true in other languages, negative first.
_LANGUAGES = _pairs(
    """
    nein/ja nee/ja nej/ja nei/ja nei/já non/oui no/si no/sí no/sì não/sim nao/sim nie/tak ne/ano ne/da nie/áno
    nu/da не/да нет/да net/da ні/так ei/kyllä ei/jah nem/igen nē/jā ne/taip hayır/evet hayir/evet όχι/ναι ohi/nai
    jo/po ez/bai tidak/ya không/có hapana/ndiyo 否/是 不/是 不是/是 无/有 無/有 没有/有 いいえ/はい 아니오/예 아니요/예
    아니요/네 ไม่/ใช่ नहीं/हाँ לא/כן لا/نعم falsch/wahr falsch/richtig faux/vrai falso/verdadero
    falso/vero falso/verdadeiro onwaar/waar ложь/истина fałsz/prawda nicht_vorhanden/vorhanden
    aus/an ohne/mit sans/avec sin/con senza/con
    без/с
    """
)

# The finding comes last: what one looks for is positive, whichever word is the longer or the later in the alphabet.
_FINDINGS = _pairs(
    """
    normal/abnormal normal/anomaly normal/anomalous normal/defect intact/broken intact/damaged undamaged/damaged
    whole/broken heil/kaputt unbroken/broken sound/damaged intakt/defekt in_ordnung/defekt i.o./n.i.o. io/nio
    ok/defect ok/defective ok/broken ok/damaged ok/nok ok/not_ok ok/nio ok/ng ok/bad ok/fail ok/faulty ok/anomaly
    ok/scratch ok/error ok/defekt good/bad good/defect good/defective good/broken good/damaged good/faulty
    good/anomaly good/ng pass/fail passed/failed healthy/diseased healthy/sick healthy/ill healthy/infected
    healthy/unhealthy healthy/disease healthy/patient gesund/krank uninfected/infected benign/malignant
    control/case clean/dirty clean/contaminated clear/blurred sharp/blurred sharp/blurry genuine/fake real/fake
    genuine/forged genuine/counterfeit live/spoof ham/spam safe/unsafe sfw/nsfw fresh/rotten ripe/rotten
    free/occupied empty/occupied vacant/occupied empty/full closed/open inactive/active disabled/enabled low/high
    background/foreground background/object none/some without/with wrong/right incorrect/correct invalid/valid
    rejected/accepted no_match/match mismatch/match unlocked/locked
    """
)


def folded(text: str) -> str:
    """Text as it is compared: one Unicode form, no case, single spaces.

    >>> folded("Not_ Sure "), folded("Sí") == folded("si\\u0301")
    ('not sure', True)
    """
    return " ".join(unicodedata.normalize("NFC", text).casefold().replace("_", " ").split())


# Negative -> positive words, of all pairs above.
_POSITIVE_OF: dict[str, set[str]] = {}
for _low, _high in (*PAIRS, *_LANGUAGES, *_FINDINGS):
    _POSITIVE_OF.setdefault(folded(_low), set()).add(folded(_high))

# Every word for no and yes, without those for findings.
YES_AND_NO = frozenset(folded(word) for pair in (*PAIRS, *_LANGUAGES) for word in pair)


def is_pair(low: str, high: str) -> bool:
    """Whether these words mean no and yes, in this order.

    >>> is_pair("Nein", "ja"), is_pair("ja", "nein"), is_pair("intact", "broken"), is_pair("cat", "dog")
    (True, False, True, False)
    """
    return folded(high) in _POSITIVE_OF.get(folded(low), ())


# What spreadsheets and pandas write where nothing is known. Compared without regard to case.
UNKNOWN = ("", "?", "nan", "na", "n/a", "<na>", "null")

# What people write where nothing is known. Each may be a value of an attribute ("glasses: none, sun, reading"), so it
# is taken so only beside a pair of no and yes.
_UNKNOWN_TEXT = """
    unknown; not known; unk; not sure; unsure; uncertain; unclear; unspecified; undefined; undetermined;
    indeterminate; undecided; ambiguous; maybe; perhaps; possibly; none; nil; missing; no answer; no label;
    unlabeled; unlabelled; not labeled; not labelled; not visible; not available; not applicable; n.a.; n/k; nk;
    dk; d/k; don't know; dont know; do not know; can't tell; cannot tell; cant tell; hard to say; skip; skipped;
    ignore; tbd; todo; -; --; ---; ??; ???; #n/a; x; .; difficult; not given; no data; unbekannt; unklar;
    unsicher; weiß nicht; weiss nicht; keine angabe; k.a.; k. a.; vielleicht; inconnu; incertain; indéterminé; ne
    sait pas; peut-être; desconocido; no sé; no sabe; incierto; sconosciuto; incerto; non so; desconhecido; não
    sei; onbekend; onzeker; weet niet; okänd; ukjent; ukendt; tuntematon; nieznane; nieznany; nie wiem; neznámé;
    nevím; ismeretlen; necunoscut; неизвестно; не знаю; непонятно; невідомо; bilinmiyor; άγνωστο; 不明; 未知; 不确定;
    不知道; 不確定; わからない; 分からない; 모름; 알 수 없음; غير معروف; לא ידוע; अज्ञात; tidak tahu
"""
UNKNOWN_WORDS = frozenset(map(folded, _UNKNOWN_TEXT.split(";")))
