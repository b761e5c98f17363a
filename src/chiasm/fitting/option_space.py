"""The space in which a choice is learned: features of the options' texts, fitted on those of training patients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.linear.offered import CURVATURE, prior_of
from chiasm.targets import Options, Outcome

AXES = 16
SEVERAL = 5  # training patients who have an option, for it to have an axis of its own, or a word, for it to be kept
MOST_WORDS = 20_000
SPREAD = CURVATURE**0.5

Array = NDArray[np.float64]


@storable("option-space")
@dataclass(frozen=True)
class OptionSpace:
    """Features of an option, `(E,)`.

    Where training patients have few different options, as yes, no and maybe, each has an axis of its own. Else an
    option is the first principal axes of its TF-IDF (words and pairs of words, Salton and Buckley 1988) and its length.
    An option that shares no word with those of training has zeros and its length.

    Args:
        named: the options that have an axis of their own; empty for texts.
        words: words and pairs of words in the options of five training patients or more, sorted: those that fewer
            share may be names, which all options of one patient may have.
        idf: (W,) inverse document frequency of each.
        axes: (W, E - 1) principal axes, scaled.
        length: factor of log(1 + signs of the text); 0 where all options of each patient are as long.
        prior: (E,) what the options alone say: a conditional logit of their features, held by the ridge that cross
            validation prefers.
    """

    named: tuple[str, ...]
    words: tuple[str, ...]
    idf: np.ndarray
    axes: np.ndarray
    length: float
    prior: np.ndarray

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        if not self.named and not self.words:
            return ""
        own = count(len(self.named), "option") if self.named else count(len(self.words), "word")
        return f"{own} of {'' if self.named else 'the options of '}five training patients or more"

    @property
    def width(self) -> int:
        """Number of features of an option, E."""
        return len(self.named) or self.axes.shape[1] + 1

    @classmethod
    def fit(cls, options: Options, outcome: Outcome) -> Self:
        """Learn the space from the options of training patients, and from their outcomes what these alone say.

        Rows that are kept together count as one patient where it is asked how many have a word.
        """
        nothing = np.zeros(0)
        owner = list(range(len(options.texts))) if options.units is None else _numbered(options.units)
        pairs = {(text, one) for own, one in zip(options.texts.tolist(), owner, strict=True) for text in own}
        seen = Counter(text for text, _ in pairs)
        frequent = tuple(sorted(text for text, n in seen.items() if n >= SEVERAL))
        if len(seen) <= AXES and len(frequent) == len(seen):
            made = cls(frequent, (), nothing, np.zeros((0, 0)), 0.0, nothing)
        else:
            made = cls._of_texts(options, owner)
        return replace(made, prior=prior_of(replace(outcome, options=made.learned(options))))

    @classmethod
    def _of_texts(cls, options: Options, owner: list[int]) -> Self:
        words, idf, table = _tf_idf(options, owner)
        axes = _principal(table, AXES - 1)
        made = cls((), words, idf, axes, 1.0, np.zeros(0))
        within = made.features(options)
        inside = options.inside[..., None]
        mean = within.sum(axis=1, keepdims=True) / np.maximum(inside.sum(axis=1, keepdims=True), 1)
        spread = np.sqrt(
            ((np.where(inside, within - mean, 0.0) ** 2).sum(axis=(0, 1))) / max(int(inside.sum()), 1)
        )  # (E,)
        widest = float(spread[:-1].max(initial=0.0))
        scale = SPREAD / widest if widest > 0 else 0.0
        return replace(made, axes=axes * scale, length=SPREAD / float(spread[-1]) if spread[-1] > 0 else 0.0)

    def features(self, options: Options) -> Array:
        """Features `(n, K, E)` of the options of patients; zero where a patient has fewer."""
        texts = sorted({text for own in options.texts.tolist() for text in own})
        place = {text: k for k, text in enumerate(texts)}
        table = np.concatenate([self._of(texts), np.zeros((1, self.width))])
        index = np.full((len(options.texts), options.most), len(texts))
        for row, own in enumerate(options.texts.tolist()):
            index[row, : len(own)] = [place[text] for text in own]
        return np.asarray(table[index])

    def learned(self, options: Options) -> Options:
        """Return the options with their features and with what they alone say."""
        return replace(options, values=self.features(options), prior=self.prior if len(self.prior) else None)

    def _of(self, texts: list[str]) -> Array:
        if self.named:
            return np.array([[float(text == own) for own in self.named] for text in texts]).reshape(-1, self.width)
        if not texts:
            return np.zeros((0, self.width))
        size = np.array([np.log1p(len(text)) for text in texts])
        known = self._weighed(texts) @ self.axes if len(self.words) else np.zeros((len(texts), self.axes.shape[1]))
        return np.column_stack([known, self.length * size])

    def _weighed(self, texts: list[str]) -> Array:
        from sklearn.feature_extraction.text import CountVectorizer  # type: ignore[import-untyped]
        from sklearn.preprocessing import normalize  # type: ignore[import-untyped]

        counted = CountVectorizer(ngram_range=(1, 2), token_pattern=TOKEN, vocabulary=list(self.words))
        found = counted.transform(texts).astype(np.float64).multiply(self.idf).tocsr()
        return normalize(found)  # type: ignore[no-any-return]  # sparse, (n, W)


TOKEN = r"(?u)\b\w+\b"


def _numbered(units: NDArray[np.int_]) -> list[int]:
    """(B,) numbers of the units, from 0."""
    return [int(own) for own in np.unique(units, return_inverse=True)[1]]


def _tf_idf(options: Options, owner: list[int]) -> tuple[tuple[str, ...], Array, object]:
    """Words and pairs of words that the options of several people have, their idf, and the weighed table, sparse.

    A text that patients share has as many rows of the table as there are patients who have it.
    """
    from scipy.sparse import csr_array  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    seen = Counter(text for own in options.texts.tolist() for text in set(own))
    texts = sorted(seen)
    vectoriser = CountVectorizer(ngram_range=(1, 2), token_pattern=TOKEN)
    try:
        counts = vectoriser.fit_transform(texts)
    except ValueError:  # no text has a word
        return (), np.zeros(0), None
    place = {text: k for k, text in enumerate(texts)}
    pairs = [(one, place[text]) for own, one in zip(options.texts.tolist(), owner, strict=True) for text in own]
    has = csr_array((np.ones(len(pairs)), tuple(np.array(pairs).T)), shape=(max(owner) + 1, len(texts)))
    shared = np.asarray(((has @ counts) > 0).sum(axis=0)).ravel()  # (W,) people who have the word
    often = np.flatnonzero(shared >= SEVERAL)
    kept = np.sort(often[np.argsort(-shared[often], kind="stable")[:MOST_WORDS]])
    if not len(kept):
        return (), np.zeros(0), None
    weigher = TfidfTransformer()
    table = weigher.fit_transform(counts[np.repeat(np.arange(len(texts)), [seen[text] for text in texts])][:, kept])
    return tuple(map(str, vectoriser.get_feature_names_out()[kept])), np.asarray(weigher.idf_), table


def _principal(table: object, most: int) -> Array:
    """Principal axes `(W, k)` of a sparse table, k at most `most` and its rank; none of an empty one."""
    from sklearn.utils.extmath import randomized_svd  # type: ignore[import-untyped]

    if table is None:
        return np.zeros((0, 0))
    k = min(most, min(table.shape))  # type: ignore[attr-defined]
    _, size, right = randomized_svd(table, k, n_iter=7, random_state=0)
    return np.ascontiguousarray(right[size > 1e-9 * max(float(size.max(initial=0)), 1e-300)].T)
