"""What an answer in words means: one of the options, or why it is none. Nothing is silently right or wrong.

Texts of options are found first, a longer one before one within it, and each becomes one sign; what is left is no
part of an option. Then, on text in Unicode's compatibility form (a full-width letter is a letter):

1. nothing but an option's text, or nothing but a letter;
2. what is denied ("not B", "B is wrong", "no pneumonia") is none, wherever else it is named;
3. what the answer begins with, "the answer is B", "option (B)" and "B is right", together;
4. a refusal is none;
5. letters in brackets, bold, or at the end; and the texts of options that stand anywhere.

`A` before a word is an article, a letter with a hyphen or after a noun is part of a name. "Yes" and "no" count where
the answer begins or after "the answer is", an option of one character alone or there. What names two options, a letter
that does not exist, or a letter before the text of another option, is no answer; options of exactly equal text are one.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.language.questions import LETTERS

LONGEST = 4_000
"""Characters of an answer that is read."""
WAYS = {
    "answered": "names one option",
    "empty": "is empty",
    "too long": f"has over {LONGEST:,} characters",
    "several": "names several options",
    "contradiction": "has the letter of one option before the text of another",
    "no such letter": "names a letter that no option has",
    "other script": "is in another script than the options, and names none",
    "refused": "says that there is no image, or that it cannot be answered",
    "no option": "names no option",
    "tied": "gives two options the same score, the highest",
    "not a number": "gives a score that is no finite number, or another number of scores than options",
    "crashed": "was not given: the candidate failed",
    "silent": "was not given in time",
}
"""How an answer was read, with what is said of it."""

_FIRST, _TWO = 0xE000, "\ue020"
_SIGN = "[\ue000-\ue019]"
_WORD = "0-9A-Za-z_\\-\u00aa-\u024f\u0370-\u03ff"
_GOES_ON = (
    "(?:because|since|as|for|due|and|or|nor|but|which|is|isn|was|are|seems|looks|would|can|cannot|given|based|if|wrong"
    "|incorrect|false|no|best|fits|follows)\\b"
)
_LETTER = (
    rf"(?<![{_WORD}])[A-Z](?![{_WORD}'’]|[.,][{_WORD}]|/(?![A-Z](?![{_WORD}]))|[ ]+(?!{_GOES_ON})[^\W\ue000-\ue020])"
)
_OPEN = r"[(\[*\"'“$<>{\s]{0,8}"  # bounded, as below: the time to read an answer grows with its length alone
_NAMED = rf"{_OPEN}(?:(?i:option|choice)\s+)?(?:(?i:an?|the)\s+(?={_SIGN}))?(?:{_SIGN}|{_LETTER})[)\]*\"'”$.:]{{0,8}}"
_ANY_OF = rf"{_NAMED}(?:\s*(?:\b(?:and|or|nor)\b|[/&和或]){_NAMED}){{0,8}}"
_LIST = rf"{_NAMED}(?:\s*(?:,?\s*\b(?:and|or|nor)\b|[,/&和或、]){_NAMED}){{0,8}}"
_IS = r"(?:is|was|are|were|would\s+be|should\s+be|must\s+be|will\s+be|seems|looks|remains)"
_CUE = (
    rf"(?:\b(?i:(?:answer|option|choice)\b(?:\s+{_IS}\b)?(?:\s+(?:therefore|thus|clearly|probably|(?:most\s+)?likely|then"
    r"|definitely|indeed)\b)?\s*(?:\*\*|[:=>–-]){0,8}\s*(?:(?:the\s+)?(?:option|letter|answer|choice)\b\s*:?)?)"
    r"|\\boxed\W{0,8}(?:text\W{0,8})?|答案(?:是|为)?\W{0,8}|选择?)"
)
_CLEAR_CUE = (
    rf"(?:\b(?i:answer)(?:\s+{_IS}\b|\s*(?:\*\*)?[:=>])|答案(?:是|为|:)|\\boxed)[\s*:({{\[\"'“]{{0,8}}(?i:option\s+)?"
)
_LABEL = r"[A-Za-z]\s*[).:\]】、]\s*"
_SAID = re.compile(rf"{_CUE}({_LIST})")
_RIGHT = re.compile(
    rf"({_ANY_OF})\s*(?:{_IS}\s+(?:the\s+)?(?:\w+ly\s+)?(?:most\s+likely|correct|right|best|true|answer)\b|[(–-]*\s*yes\b)"
)
_BEGIN = re.compile(
    rf"[^\w{_SIGN[1:-1]}\ue020]{{0,40}}?({_LIST})(?=\s*(?:[^\w\s]|$|\n)|(?<=[).:\]])|\s+(?:because|since)\b)"
)
_LINE = re.compile(rf"^\W*?({_LETTER})[).:\]]", re.MULTILINE)
_DENIED = re.compile(
    r"(?:(?i:\b(?:not|never|isn['’]t|aren['’]t|neither|nor|rather\s+than|instead\s+of|except(?:ing)?|exclud\w+|without|no"
    r"|rul\w+\s+out|can(?:not|['’]t|\s+not)\s+be|(?:wrong|incorrect|false)\s+(?:answer|option|choice)(?:\s+is\b|\s*:))\b"
    rf"(?:\s*:)?(?:\s+(?:likely|for|the|an?|option|answer|choice|evidence\s+of|signs?\s+of)\b)*)|不是|并非|排除|除了?)(?:{_ANY_OF})"
    rf"|(?:{_ANY_OF})\s*(?i:{_IS}\s+(?:\w+ly\s+|also\s+)?(?:wrong|incorrect|false|excluded|ruled\s+out|unlikely|impossible)\b"
    rf"|(?:{_IS}\s+not|(?:is|are|was|ca|would|could)n['’]?t(?:\s+be)?|cannot(?:\s+be)?)\s*(?:(?:the|an?|correct|right|true|it"
    r"|likely|possible|appropriate|indicated|best)\b|[.,;!]|$)|(?:(?<=:)|[(–-])?\s*(?:wrong|incorrect|false)\b"
    r"|(?:(?<=:)|[(–-])\s*no(?=\s*[.,;!)]|$))"
)
_UNABLE = r"(?:cannot|can\s+not|can['’]t|could\s*n[o'’]t|unable\s+to|not\s+able\s+to|impossible\s+to)"
_REFUSED = re.compile(
    rf"\b(?:{_UNABLE}\s+(?:\w+ly\s+)?(?:be\s+)?(?:answer|see|sa[yi]|tell|told|determine|view|assess|provide|identif|help"
    r"|assist|access|interpret|analy|give|choose|decide|diagnos|comment|respond|judge|know|make|select)"
    r"|no\s+idea\b|do(?:\s+not|n['’]t)\s+know\b|no\s+(?:image|picture|photo|figure|scan|attachment)s?\s*(?:(?:is|was|were"
    r"|are|has|have|given|provided|attached|available|here)\b|[.,;!]|$))|(?:^|\W)(?:不知道|无法|抱歉)",
    re.IGNORECASE,
)
_BEFORE_LAST = (
    r"(?:^|[^\w\s.\-]\s*|[.]\s+|\n|[^\x00-\u024f\ue000-\ue020]\s*|\b(?i:is|be|so|hence|thus|therefore|but|it['’]s|say|think"
    r"|choose|chose|pick|select|guess|believe|answer|letter|option|choice|with|for|ist|es|est|era|são|sind|è|é)\s+)"
)
_LONE = re.compile(
    rf"(?<![{_WORD}])[(\[]({_LETTER})[)\]]|\*\*\W{{0,8}}({_LETTER})(?:[).:]|\W{{0,8}}\*\*)|({_LETTER}[)\]*.]{{0,8}}(?:\s*(?:,?\s*\b(?:and|or)\b"
    rf"|[,/&和或])[(\[*\s]{{0,8}}(?:option\s+)?{_LETTER}[)\]*.]{{0,8}}){{1,8}})|{_BEFORE_LAST}{_OPEN}({_LETTER})\W*$"
)
_SMALL_FIRST = re.compile(r"^([\W_]*)([a-z])(?=\s*[).:\]】、])")
_SMALL_IN_BRACKETS = re.compile(rf"((?<![{_WORD}])[(\[])([a-z])(?=[)\]])")
_SMALL_LAST = re.compile(rf"({_CUE}{_OPEN})([a-z])(?=[)\]*\"'”.,;]*(?:\s*$|\n))")
_SPECIES = re.compile(r"\b([A-Z])(?=\. ?[a-z])")
_PAIR = re.compile(rf"({_CUE}{_OPEN}|^[\W_]*?)?({_LETTER})([)\].:、,*\s（(]{{0,8}})({_SIGN})")
_WORDY = re.compile(f"[{_WORD}]")
_SIGNS = re.compile(_SIGN)
_SIGN_OR_CAPITAL = re.compile(rf"{_SIGN}|(?<![{_WORD}])[A-Z](?![{_WORD}'’])")
_ENDS = r"(?=[)\]*\"'”]*\s*(?:[.,;:!?\n/<}]|$|(?:and|or|because|since|but)\b))"


@dataclass(frozen=True)
class Read:
    """An answer as it was read: the position of an option, from 0, or None, and the way, a key of `WAYS`."""

    position: int | None
    way: str


def read_text(text: str | None, options: Sequence[str]) -> Read:
    """Read which of the options an answer in words names.

    Args:
        text: what the candidate said.
        options: the texts it could choose from, in the order in which it was shown them.
    """
    if text is None or not text.strip():
        return Read(None, "empty")
    if len(text) > LONGEST:
        return Read(None, "too long")
    for form in (str.strip, _bare, folded):
        if whole := [k for k, option in enumerate(options) if form(option) == form(text)]:
            return _one_of(whole, options)
    plain = re.sub("[\0\ue000-\ue020]", " ", _compatible(text).strip())
    if (alone := re.fullmatch(r"[\W_]*([A-Za-z])[\W_]*", plain)) is not None:
        return _one_of(_places(alone[1].upper(), options, lone=True), options)
    signed = _signed(plain, options)
    if _TWO in signed:
        return Read(None, "contradiction")
    denied = {place for found in _DENIED.findall(signed) for place in _places(found, options)}
    signed = _DENIED.sub(" \0 ", signed)

    def kept(found: Sequence[str], lone: bool = False) -> list[int]:
        return [place for own in found for place in _places(own, options, lone) if place not in denied]

    begin = _BEGIN.match(signed)
    said = [*_SAID.findall(signed), *_RIGHT.findall(signed), *([begin[1]] if begin else [])]
    if claimed := kept(said, lone=True):
        return _one_of(claimed + (kept(_LINE.findall(signed)) if begin else []), options)
    if _REFUSED.search(signed):
        return Read(None, "refused")
    letters = kept(["".join(own) for own in _LONE.findall(signed)], lone=True)
    named = kept(_SIGNS.findall(signed))
    if found := letters if _alike(letters, options) and not _alike(named, options) else letters + named:
        return _one_of(found, options)
    return Read(None, "other script" if _foreign(plain, options) else "no option")


def read_scores(scores: Sequence[float], options: Sequence[str]) -> Read:
    """Read which option has the highest of the scores, one for each; options of exactly equal text are one."""
    if len(scores) != len(options) or not all(math.isfinite(score) for score in scores):
        return Read(None, "not a number")
    best = max(scores)
    first = [k for k, score in enumerate(scores) if score == best]
    return Read(first[0], "answered") if _alike(first, options) else Read(None, "tied")


def folded(text: str) -> str:
    """Text for comparing: compatibility form, one case, single blanks, no marks at its ends; `10²` is not `102`."""
    return _bare(text).casefold()


def _compatible(text: str) -> str:
    """Compatibility form, but for raised and lowered signs and fractions, which mean another number without it."""
    if text.isascii():
        return text
    kept = ("<super>", "<sub>", "<fraction>")
    signs = (s if unicodedata.decomposition(s).startswith(kept) else unicodedata.normalize("NFKC", s) for s in text)
    return unicodedata.normalize("NFC", "".join(signs))


def _bare(text: str) -> str:
    plain = " ".join(_compatible(text).split())
    bare = re.sub(r"^(?:[\s\"'“”*,;:!?()\[\]]|\.(?!\d))+|[\s\"'“”*.,;:!?()\[\]]+$", "", plain)
    return bare or plain


def _signed(plain: str, options: Sequence[str]) -> str:
    """Put one sign in the place of each option's text, and a capital in that of a small letter that names an option."""
    bare = [_bare(option) for option in options]
    lower = [own.lower() for own in bare]
    plain = re.sub(r"[^\S\n]+", " ", re.sub(r"\s*\n\s*", "\n", plain))
    order = sorted(range(len(bare)), key=lambda k: len(bare[k]), reverse=True)
    for k in [*order, *(k for k in order if lower[k] in ("yes", "no"))]:  # "no, yes": the second after the first
        sign, whole = chr(_FIRST + k), lower[k] in ("yes", "no")
        cased = len({options[j].strip() for j, own in enumerate(lower) if own == lower[k]}) > 1
        if not whole and len(bare[k]) > 1:
            plain = _put(sign, bare[k], plain, cased)
        elif lower[k] in plain.lower():
            own = rf"(?<![{_WORD}.,]){re.escape(bare[k])}(?![{_WORD}]|[.,][0-9])"
            starts = rf"(?:{_CLEAR_CUE}(?:{_LABEL})?|^[\W_]*{_LABEL}{'|^' + _OPEN if whole else ''})"
            starts = rf"({starts}|{_SIGN}\s*(?:[,/]|and\b|or\b)\s*)"
            plain = re.sub(f"{starts}{own if cased else f'(?i:{own})'}{_ENDS}", rf"\1{sign}", plain)
    if not any(re.match(r"[A-Z]\. [a-z]", own) for own in bare):
        plain = _SMALL_FIRST.sub(_raised, plain)
    else:
        plain = _SPECIES.sub(r"\1-", plain)
    plain = _SMALL_LAST.sub(_raised, _SMALL_IN_BRACKETS.sub(_raised, plain))
    return _PAIR.sub(lambda found: _paired(found, options), plain)


def _put(sign: str, own: str, plain: str, cased: bool) -> str:
    """Put a sign where a text stands as whole words, and as a whole number."""
    there = plain.replace("\n", " ")
    if not cased and len(there.lower()) == len(there):
        there, own = there.lower(), own.lower()
    parts, done, at = list[str](), 0, there.find(own)
    while at >= 0:
        end = at + len(own)
        before, after = there[max(at - 1, 0) : at], there[end : end + 2]
        begun = own[0] < "\u0400" and (_WORDY.match(before) or (own[0].isdigit() and before in (".", ",")))
        goes_on = own[-1] < "\u0400" and _WORDY.match(after)
        if begun or goes_on or (own[-1].isdigit() and re.match(r"[.,]\d", after)):
            at = there.find(own, at + 1)
            continue
        parts += [plain[done:at], sign]
        done, at = end, there.find(own, end)
    return "".join([*parts, plain[done:]])


def _raised(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2].upper()}"


def _paired(found: re.Match[str], options: Sequence[str]) -> str:
    """Keep of a letter before an option's text the letter, if it is its own; `A` may be an article."""
    own, place = LETTERS.index(found[2]), ord(found[4]) - _FIRST
    if own < len(options) and _alike([own, place], options):
        return f"{found[1] or ''}{found[2]})"
    if found[1] is None or "\n" in found[3] or (found[2] == "A" and found[3] == " " and options[place].isascii()):
        return found[0] if found[3] != " " else f"{found[1] or ''}{found[4]}"
    return _TWO if own < len(options) else found[0]


def _places(found: str, options: Sequence[str], lone: bool = False) -> list[int]:
    """List the places that signs and letters name; a letter that is an option's whole text, alone, is that option."""
    texts = [option.strip() for option in options]
    places = []
    for own in _SIGN_OR_CAPITAL.findall(found):
        place = ord(own) - _FIRST if own >= "\ue000" else LETTERS.index(own)
        if own != "I" or place < len(options):
            places.append(texts.index(own) if lone and own in texts and len(own) == 1 else place)
    return places


def _one_of(places: Sequence[int], options: Sequence[str]) -> Read:
    if not places:
        return Read(None, "no option")
    if len(set(places)) == 1 and places[0] >= len(options):
        return Read(None, "no such letter")
    return Read(min(places), "answered") if _alike(places, options) else Read(None, "several")


def _alike(places: Sequence[int], options: Sequence[str]) -> bool:
    """Return whether places name one option; options of exactly equal text are one."""
    return bool(places) and max(places) < len(options) and len({options[place].strip() for place in places}) == 1


def _foreign(text: str, options: Sequence[str]) -> bool:
    """Return whether most letters are of another script than those of the options."""

    def latin(letters: str) -> float:
        own = [sign for sign in letters if sign.isalpha()]
        return sum(unicodedata.name(sign, "").startswith("LATIN") for sign in own) / len(own) if own else 1.0

    return latin(text) < 0.5 <= latin("".join(options)) or latin("".join(options)) < 0.5 <= latin(text)
