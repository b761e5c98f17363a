"""The normal quantile, which ONNX lacks, as rational functions: Wichura's PPND16.

    ndtri(p) = q r_1(.180625 - q^2)                     q = p - 1/2, where |q| <= .425
             = sign(q) r_2(sqrt(-log min(p, 1 - p)) - 1.6)               beyond, down to exp(-25)

Source: Wichura 1988, Algorithm AS 241, Applied Statistics 37, 477-484; about one part in 10^16. The third function of
the source serves p below 1.4e-11, which no rank among fewer than 10^10 patients reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

from chiasm.models.export.graph import Value

SPLIT, CONSTANT, BEYOND = 0.425, 0.180625, 1.6
CENTRAL = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ),
)  # fmt: skip
TAIL = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip


def normal_quantile(p: Value) -> Value:
    """Return `ndtri(p)` of probabilities between 1.4e-11 and 1 less that."""
    q = p - 0.5
    squared = q * q
    inner = q * _ratio(-squared + CONSTANT, CENTRAL)
    smaller = p.op("Min", -p + 1.0).op("Max", 1e-12)
    outer = q.op("Sign") * _ratio((-smaller.op("Log")).op("Sqrt") - BEYOND, TAIL)
    return squared.op("LessOrEqual", SPLIT**2).where(inner, outer)


def _ratio(x: Value, coefficients: tuple[Sequence[float], Sequence[float]]) -> Value:
    above, below = (_polynomial(x, own) for own in coefficients)
    return above / below


def _polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """`sum_k coefficients[k] x^k`, by Horner's scheme."""
    *rest, total = coefficients
    value = x * total
    for k, own in enumerate(reversed(rest)):
        value = value + own if k == len(rest) - 1 else (value + own) * x
    return value
