"""Probabilities of a classification model for patients among whom the classes are otherwise frequent than in training.

Where only the frequencies differ and not what patients of a class are like, Bayes' rule gives the new probabilities:

    p'_k  =  p_k w_k / f_k  /  sum over j of p_j w_j / f_j

with f_k the share of class k in training and w_k that among the new patients. For two classes it is a shift of the
logit by logit(w) - logit(f); labels are shifted one by one in this way.

Source: Saerens, Latinne and Decaestecker 2002, doi:10.1162/089976602753284446, equation 2.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from chiasm.errors import Unsupported, nearest
from chiasm.fitting.model import FittedModel
from chiasm.metrics.weighted import Floats
from chiasm.models.same_target import FittedFor, listed
from chiasm.targets import kind_of

OFF = 1e-6
"""How far stated shares of all classes may be from a sum of one."""


def at_shares(probability: Floats, learned: Floats, stated: Floats) -> Floats:
    """Convert probabilities (n, K) learned at shares (K,) of the classes to the stated ones, (K,)."""
    weighed = probability * (stated / learned)
    return np.asarray(weighed / weighed.sum(axis=-1, keepdims=True), dtype=np.float64)


def at_prevalence(model: object, predictions: pd.DataFrame, stated: Mapping[str, float]) -> pd.DataFrame:
    """Return predictions with probabilities as they are where classes, or labels, have the stated prevalence.

    Args:
        model: a fitted model of classes or labels, which knows the shares among its training patients.
        predictions: what it predicts.
        stated: class to share: of two classes one is enough, of more all have to be named; of labels those that differ.

    Raises:
        Unsupported: the model predicts no classes or labels, or does not know their shares in training.
        ValueError: an unknown class, a share that is not between 0 and 1, shares that do not sum to one, too few named.
    """
    if not isinstance(model, FittedFor):
        raise Unsupported("the model does not say what it was fitted for: its prevalence in training is not known")
    own, names = kind_of(model.response.kind), model.response.classes
    if not (own.has_classes or own.has_labels):
        raise Unsupported(
            f"the model predicts a target of kind '{own.kind}', and a prevalence is of classes or labels: leave it out"
        )
    learned = model.prevalence if isinstance(model, FittedModel) else {}
    if set(learned) != set(names):
        raise Unsupported(
            "the model does not know how frequent its classes were in training, as one that was merged or that an "
            "earlier release stored: fit it again to state a prevalence"
        )
    wanted = stated_shares(names, stated, each=own.has_labels)
    rare = [name for name in wanted if not 0 < learned[name] < 1]
    if rare:
        raise Unsupported(f"in training nobody, or everybody, was of '{rare[0]}': no prevalence can be stated for it")
    frame = predictions.copy()
    if own.has_labels:
        for name, share in wanted.items():
            p = predictions[f"p_{name}"].to_numpy(np.float64)
            both = np.array([1 - learned[name], learned[name]]), np.array([1 - share, share])
            frame[f"p_{name}"] = at_shares(np.c_[1 - p, p], *both)[:, 1]
        return frame
    columns = own.answers(names)
    shares = (np.array([of[name] for name in names], dtype=np.float64) for of in (learned, wanted))
    frame[columns] = at_shares(predictions[columns].to_numpy(np.float64), *shares)
    return frame


def stated_shares(names: Sequence[str], stated: Mapping[str, float], *, each: bool) -> dict[str, float]:
    """Complete the stated shares, once they are possible; with `each`, every name has a share of its own.

    Raises:
        ValueError: see `at_prevalence`.
    """
    noun = "label" if each else "class"
    for name, share in stated.items():
        if name not in names:
            like = nearest(name, names)
            hint = f"did you mean '{like}'?" if like else f"there are {listed(names)}"
            raise ValueError(f"the model knows no {noun} '{name}' to state a prevalence of: {hint}")
        if not (math.isfinite(share) and 0 < share < 1):
            raise ValueError(
                f"the prevalence of '{name}' is {share:g}: state a share between 0 and 1, as in {name}=.12"
            )
    if not stated:
        raise ValueError(f"no prevalence is stated: name a {noun} and its share, as in {names[0]}=.12")
    if each:
        return dict(stated)
    if len(names) == 2 and len(stated) == 1:
        ((name, share),) = stated.items()
        (other,) = [own for own in names if own != name]
        return {name: share, other: 1 - share}
    lacking = [name for name in names if name not in stated]
    if lacking:
        raise ValueError(f"the prevalence of {listed(lacking)} is not stated: of {len(names)} classes name every one")
    if abs(sum(stated.values()) - 1) > OFF:
        raise ValueError(f"the stated prevalences sum to {sum(stated.values()):g}, and must sum to 1: correct them")
    return dict(stated)
