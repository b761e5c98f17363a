"""MAMMAL's prompts: text in which each span names the tokenizer that reads it (arXiv 2410.22367).

    <@TOKENIZER-TYPE=AA><BINDING_AFFINITY_CLASS><SENTINEL_ID_0><@TOKENIZER-TYPE=AA@MAX-LEN=300>
    <SEQUENCE_NATURAL_START>MKTV<SEQUENCE_NATURAL_END><@TOKENIZER-TYPE=SCALARS_LITERALS>0.3,1.2<@TOKENIZER-TYPE=AA><EOS>

(on one line). A prompt is read into spans and written again as it was; which ids the spans have is the business of a
`PromptVocabulary`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chiasm.readers.reading import ReadError

LITERALS, FROM_DICT, EMBEDDINGS = "SCALARS_LITERALS", "SCALARS_FROM_DICT", "EXTERNAL_EMBEDDINGS_FROM_DICT"
RIGHT, RANDOM = "RIGHT", "RAND"
PAIRS = (("<SEQUENCE_NATURAL_START>", "<SEQUENCE_NATURAL_END>"),)
LONGEST = 4_000_000  # characters of a prompt
LARGEST = 3.4028234e38  # that float32 holds
MOST_PLACES = 65_536  # of one span of embeddings
TAG = re.compile(r"<@TOKENIZER-TYPE=([^<>]*)>")
WHOLE = re.compile(r"[1-9][0-9]{0,8}")
NUMBER = re.compile(r"\s*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)\s*", re.I)


@dataclass(frozen=True)
class Span:
    """One span of a prompt: the kind that its tag names, and the text up to the next tag.

    Args:
        kind: name of a tokenizer (AA, SMILES ...), or `SCALARS_LITERALS`, `SCALARS_FROM_DICT`,
            `EXTERNAL_EMBEDDINGS_FROM_DICT`.
        text: what the tokenizer reads; numbers with commas; the key of the numbers; `encoder:key` or
            `encoder:key:length` of embeddings.
        longest: tokens of this span at most; None: all.
        cut: which are kept of a longer one: the first (`RIGHT`, the default), or a stretch that is drawn (`RAND`).

    Raises:
        ReadError: a length below 1, another way of cutting, or one without a length.
    """

    kind: str
    text: str
    longest: int | None = None
    cut: str | None = None

    def __post_init__(self) -> None:
        if self.longest is not None and self.longest < 1:
            raise ReadError("a span keeps fewer than one token", "set longest to 1 or more, or leave it out")
        if self.cut is not None and (self.cut not in (RIGHT, RANDOM) or self.longest is None):
            raise ReadError("a span is cut otherwise than RIGHT or RAND, or without a length", "set both, or neither")

    @property
    def is_scalars(self) -> bool:
        return self.kind in (LITERALS, FROM_DICT)

    @property
    def is_slot(self) -> bool:
        return self.kind == EMBEDDINGS


@dataclass(frozen=True)
class Slot:
    """Places of embeddings that another encoder gives.

    Args:
        encoder, key: whose, and of which entry of the patient.
        length: how many tokens, 1 or more.
    """

    encoder: str
    key: str
    length: int


def parse_prompt(prompt: str) -> tuple[Span, ...]:
    """Split a prompt into its spans.

    Raises:
        ReadError: no tag, text before the first one, a tag that does not close, an unknown or doubled setting, a way of
            cutting without a length, `<SEQUENCE_NATURAL_START>` without its end. Errors hold no text of the prompt.
    """
    if len(prompt) > LONGEST:
        raise ReadError(f"the prompt has more than {LONGEST:,} characters", "write a shorter one")
    parts = TAG.split(prompt)
    if len(parts) == 1:
        raise ReadError("the prompt names no tokenizer", "begin it with <@TOKENIZER-TYPE=...>")
    if parts[0]:
        raise ReadError("text stands before the first tag of the prompt", "begin it with <@TOKENIZER-TYPE=...>")
    spans = tuple(
        _span(tag, text, place) for place, (tag, text) in enumerate(zip(parts[1::2], parts[2::2], strict=True), start=1)
    )
    whole = "".join(span.text for span in spans)
    for start, end in PAIRS:
        _require_closed(whole, start, end)
    return spans


def render_prompt(spans: Sequence[Span]) -> str:
    """Write spans as a prompt: `parse_prompt` of it gives the same spans.

    Raises:
        ReadError: what is written would be read as other spans.
    """
    prompt = "".join(
        f"<@TOKENIZER-TYPE={span.kind}"
        + ("" if span.longest is None else f"@MAX-LEN={span.longest}")
        + ("" if span.cut is None else f"@TRUNC-MODE={span.cut}")
        + f">{span.text}"
        for span in spans
    )
    if parse_prompt(prompt) != tuple(spans):
        raise ReadError("a span holds what would be read as another tag", "take '<@TOKENIZER-TYPE' out of its text")
    return prompt


def scalars_of(span: Span, given: Mapping[str, Sequence[float]]) -> list[float]:
    """Return the numbers of a span of scalars.

    Args:
        given: the patient's numbers by their key, for `SCALARS_FROM_DICT`.

    Raises:
        ReadError: not a number, not finite as float32, or the key is not given.
    """
    if span.kind == FROM_DICT and span.text not in given:
        raise ReadError("the prompt asks for numbers that the patient does not have", "leave the span out")
    own = given[span.text] if span.kind == FROM_DICT else span.text.split(",")
    try:  # a text is a sequence too, whose digits would be numbers; and float reads "1_000" and digits of other scripts
        if isinstance(own, str) or any(isinstance(one, str) and not NUMBER.fullmatch(one) for one in own):
            raise ValueError
        values = [float(one) for one in own]
    except (TypeError, ValueError, OverflowError):
        raise ReadError("a span of scalars holds what is no number", "write numbers with commas: 0.3,1.2") from None
    if not all(abs(value) <= LARGEST for value in values):
        raise ReadError("a span of scalars holds a number that is not finite as float32", "leave the span out")
    return values


def slot_of(span: Span) -> Slot:
    """Return what a span of embeddings asks for.

    Raises:
        ReadError: it is not `encoder:key` or `encoder:key:length`, or has more than 65,536 places.
    """
    parts = span.text.split(":")
    if len(parts) not in (2, 3) or not all(parts) or (len(parts) == 3 and not WHOLE.fullmatch(parts[2])):
        raise ReadError("a span of embeddings is not 'encoder:key' or 'encoder:key:length'", "write it so")
    slot = Slot(parts[0], parts[1], int(parts[2]) if len(parts) == 3 else 1)
    if slot.length > MOST_PLACES:
        raise ReadError(f"a span of embeddings has more than {MOST_PLACES:,} places", "take fewer")
    return slot


def _span(tag: str, text: str, place: int) -> Span:
    kind, *settings = tag.split("@")
    where = f"tag {place:,} of the prompt"
    if not kind:
        raise ReadError(f"{where} names no tokenizer", "write <@TOKENIZER-TYPE=AA>")
    if "<@" in text:
        raise ReadError(f"after {where} stands a tag that does not close", "write <@TOKENIZER-TYPE=AA>")
    found: dict[str, str] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in ("MAX-LEN", "TRUNC-MODE") or name in found:
            raise ReadError(f"{where} has an unknown or a doubled setting", "MAX-LEN and TRUNC-MODE can be set, once")
        found[name] = value
    longest, cut = found.get("MAX-LEN"), found.get("TRUNC-MODE")
    if longest is not None and not WHOLE.fullmatch(longest):
        raise ReadError(f"MAX-LEN of {where} is no whole number above 0", "write MAX-LEN=300")
    if cut is not None and (cut not in (RIGHT, RANDOM) or longest is None):
        raise ReadError(f"TRUNC-MODE of {where} is not RIGHT or RAND, or has no MAX-LEN", "write both, or neither")
    span = Span(kind, text, None if longest is None else int(longest), cut)
    if longest is not None and (span.is_scalars or span.is_slot):
        raise ReadError(f"{where} cuts numbers or embeddings, whose length is known", "take MAX-LEN out")
    return span


def _require_closed(whole: str, start: str, end: str) -> None:
    depth = 0
    for found in re.finditer(f"{re.escape(start)}|{re.escape(end)}", whole):
        depth += 1 if found.group() == start else -1
        if depth not in (0, 1):
            break
    if depth:
        raise ReadError(f"{start} of the prompt does not close, or stands within another one", f"write {end} after it")
