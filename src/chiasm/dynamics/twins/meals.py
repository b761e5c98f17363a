"""A day's meals, and the error of a glucose sensor, both drawn."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline  # type: ignore[import-untyped]
from scipy.stats import truncnorm  # type: ignore[import-untyped]

DAY = 24 * 60
EATEN = 5.0  # g of carbohydrate a minute
CHANCES = (0.95, 0.3, 0.95, 0.3, 0.95, 0.3)
EARLIEST = (5.0, 9.0, 10.0, 14.0, 16.0, 20.0)  # hours
MIDDLE = (7.0, 9.5, 12.0, 15.0, 18.0, 21.5)
LATEST = (9.0, 10.0, 14.0, 16.0, 20.0, 23.0)
HOURS = (1.0, 0.5, 1.0, 0.5, 1.0, 0.5)  # standard deviation of the time
GRAMS = (45.0, 10.0, 70.0, 10.0, 80.0, 10.0)
GRAMS_APART = (10.0, 5.0, 10.0, 5.0, 10.0, 5.0)


def carbohydrate(minutes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw grams of carbohydrate eaten in each minute from midnight on, `(minutes,)`.

    Three meals and three snacks a day, each with its chance, a time of day (truncated normal) and an amount (normal, at
    least 0), eaten at 5 g a minute, one after another. The numbers are those of simglucose's random scenario.
    """
    planned = np.zeros(minutes + DAY)
    for day in range(-(-minutes // DAY)):
        for chance, low, middle, high, apart, grams, more in zip(
            CHANCES, EARLIEST, MIDDLE, LATEST, HOURS, GRAMS, GRAMS_APART, strict=True
        ):
            if rng.random() < chance:
                ends = (low - middle) / apart, (high - middle) / apart
                hour = truncnorm.rvs(*ends, loc=middle, scale=apart, random_state=rng)
                planned[day * DAY + int(hour * 60)] += max(round(rng.normal(grams, more)), 0)
    eaten, waiting = np.zeros(minutes), 0.0
    for minute in range(minutes):
        waiting += planned[minute]
        eaten[minute] = min(EATEN, waiting)
        waiting -= eaten[minute]
    return eaten


def sensor_error(times: int, minutes: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the error of a continuous glucose sensor in mg/dL at `times` moments, `(times,)`.

    `e' = 0.7 (e + z)` every 15 minutes, z standard normal; the error is `-5.47 + 15.9574 sinh((e + 0.5444) / 1.6898)`,
    with a cubic spline between. The numbers are those of simglucose, after Breton and Kovatchev (2008).
    """
    knots = int(np.ceil(times * minutes / 15)) + 2
    own = np.empty(knots)
    own[0] = rng.standard_normal()
    for k in range(1, knots):
        own[k] = 0.7 * (own[k - 1] + rng.standard_normal())
    error = -5.47 + 15.9574 * np.sinh((own + 0.5444) / 1.6898)
    found: np.ndarray = CubicSpline(np.arange(knots) * 15.0, error)(np.arange(times) * minutes)
    return found
