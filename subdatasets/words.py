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
    без/с нет/есть não/tem no/hay nincs/van ikke/ja nada/algo
    -/+ ✗/✓ ✘/✔ ✕/✓ ☐/☑ ☐/☒ ❌/✅ 👎/👍 ×/○ ✗/○ 无/有り 無し/有り なし/あり ない/ある 没/有 假/真 偽/真
    否/有 关/开 關/開 off/ein
    없음/있음 거짓/참 ложно/истинно выкл/вкл zu/auf absent/présent ausente/presente assente/presente fehlend/vorhanden
    fehlt/vorhanden fehlt/da abwesend/anwesend afwezig/aanwezig отсутствует/присутствует negativ/positiv négatif/positif
    negativo/positivo negatief/positief отрицательный/положительный 阴性/阳性 陰性/陽性 음성/양성 inaktiv/aktiv
    inactif/actif inactivo/activo
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
    ganz/kaputt ganz/defekt gut/schlecht gut/defekt gut/ausschuss unbeschädigt/beschädigt unauffällig/auffällig
    normal/auffällig sauber/schmutzig sauber/verschmutzt gutartig/bösartig frei/belegt frei/besetzt leer/voll
    geschlossen/offen echt/gefälscht echt/falsch bestanden/durchgefallen scharf/unscharf frisch/verdorben
    bon/mauvais bon/défectueux sain/malade normal/anormal propre/sale bénin/malin libre/occupé vide/plein fermé/ouvert
    vrai/contrefait conforme/non_conforme intact/cassé intact/endommagé bueno/malo bueno/defectuoso sano/enfermo
    limpio/sucio benigno/maligno libre/ocupado vacío/lleno cerrado/abierto intacto/roto buono/difettoso sano/malato
    pulito/sporco libero/occupato vuoto/pieno chiuso/aperto integro/rotto bom/mau bom/ruim saudável/doente limpo/sujo
    fechado/aberto goed/slecht goed/kapot heel/kapot gezond/ziek schoon/vuil open/dicht frisk/syk frisk/sjuk hel/trasig
    dobry/zły zdrowy/chory здоров/болен здоровый/больной норма/патология норма/аномалия исправен/неисправен
    исправно/неисправно целый/сломан чистый/грязный закрыто/открыто 正常/异常 正常/異常 正常/不正常 良/不良
    良品/不良品 良好/损坏 合格/不合格 完好/损坏 完整/破损 健康/患病 良性/恶性 良性/悪性
    정상/비정상 정상/이상 양호/불량 합격/불합격
    rejected/accepted no_match/match mismatch/match unlocked/locked
    """
)


def folded(text: str) -> str:
    """Text as it is compared: one Unicode form (full-width letters are letters), no case, single spaces.

    >>> folded("Not_ Sure "), folded("Sí") == folded("si\\u0301")
    ('not sure', True)
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("_", " ").split())


# Negative -> positive words, of all pairs above.
_POSITIVE_OF: dict[str, set[str]] = {}
for _low, _high in (*PAIRS, *_LANGUAGES, *_FINDINGS):
    _POSITIVE_OF.setdefault(folded(_low), set()).add(folded(_high))

# Every word for no and yes, without those for findings.
YES_AND_NO = frozenset(folded(word) for pair in (*PAIRS, *_LANGUAGES) for word in pair)


# What is as it should be: who denies one of these words ("not clean") has found something.
SOUND = frozenset(folded(low) for low, _ in _FINDINGS)


def is_pair(low: str, high: str) -> bool:
    """Whether these words mean no and yes, in this order.

    >>> is_pair("Nein", "ja"), is_pair("ja", "nein"), is_pair("intact", "broken"), is_pair("cat", "dog")
    (True, False, True, False)
    """
    return folded(high) in _POSITIVE_OF.get(folded(low), ())


# What spreadsheets and pandas write where nothing is known. Compared without regard to case.
UNKNOWN: tuple[str, ...] = ("", "?", "nan", "na", "n/a", "<na>", "null")
UNKNOWN += ("#n/a", "#nv", "#value!", "#wert!", "#valor!", "#valeur!", "#ref!", "#bezug!", "#div/0!", "#name?", "#num!")

# What people write where nothing is known. Each may be a value of an attribute ("glasses: none, sun, reading"), so it
# is taken so only beside a pair of no and yes.
_UNKNOWN_TEXT = """
    unknown; not known; unk; not sure; unsure; uncertain; unclear; unspecified; undefined; undetermined;
    indeterminate; undecided; ambiguous; maybe; perhaps; possibly; none; nil; missing; no answer; no label;
    unlabeled; unlabelled; not labeled; not labelled; not visible; not available; not applicable; n.a.; n/k; nk;
    dk; d/k; don't know; dont know; do not know; can't tell; cannot tell; cant tell; hard to say; skip; skipped;
    ignore; tbd; todo; -; --; ---; –; —; ??; ???; #n/a; x; .; difficult; not given; no data; no info; noinfo;
    no information; not specified; not determined; not clear; cannot say; no response; not answered; n.d.; nd; n/d;
    ambigous; unbekannt; unklar; nicht bekannt; nicht erkennbar; nicht sichtbar; unbestimmt; ungewiss; keine info; weiß
    ich nicht; non spécifié; sans réponse; pas visible; no aplica; no se sabe; sin datos; s/d; non visibile;
    unsicher; weiß nicht; weiss nicht; keine angabe; k.a.; k. a.; vielleicht; inconnu; incertain; indéterminé; ne
    sait pas; peut-être; desconocido; no sé; no sabe; incierto; sconosciuto; incerto; non so; desconhecido; não
    sei; onbekend; onzeker; weet niet; okänd; ukjent; ukendt; tuntematon; nieznane; nieznany; nie wiem; neznámé;
    nevím; ismeretlen; necunoscut; неизвестно; не знаю; непонятно; невідомо; bilinmiyor; άγνωστο; 不明; 未知; 不确定;
    不知道; 不確定; わからない; 分からない; 모름; 알 수 없음; غير معروف; לא ידוע; अज्ञात; tidak tahu
"""
UNKNOWN_WORDS = frozenset(map(folded, _UNKNOWN_TEXT.split(";")))
_AROUND = " .,:;!?()[]{}<>'\"*_`"
_BARE = frozenset(word.strip(_AROUND) for word in (*UNKNOWN_WORDS, *UNKNOWN)) - {""}


def means_unknown(word: str) -> bool:
    """Whether people write this where nothing is known, whatever stands around it.

    >>> [means_unknown(word) for word in ("Unknown", "(unknown)", "can\u2019t tell", "unsure?", "N.A", "hat")]
    [True, True, True, True, True, False]
    """
    plain = folded(word).replace("\u2019", "'").replace("\u00b4", "'")
    return plain in UNKNOWN_WORDS or plain.strip(_AROUND) in _BARE
