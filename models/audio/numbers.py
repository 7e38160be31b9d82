"""Constants and tables of the sound model. Tables are made by integer arithmetic.

Changing any number here changes the bits: it makes another profile and needs another name in FORMAT.md.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from lmzip.models.mixing.logistic import EXP_ONE, exp_minus

# Samples are scaled by a power of two, the unit, so that the largest of a block lies within 2**15.
SCALED_BITS = 15
# Least squares with discount d add RIDGE * (1 - d) units squared to the diagonal, at least RIDGE_MIN.
RIDGE, RIDGE_MIN = 50.0, 0.001
WEIGHT_LIMIT = 1024.0
PRODUCT_UNIT = 1048576.0  # parts of 1 to which the products of a prediction are cut
# The final predictions: discounts of their least squares, and what RIDGE is multiplied by.
FINAL_DISCOUNTS = (0.997, 0.99)
FINAL_RIDGE = 0.1
# Mean absolute errors: rates of their running means, first value as a share of the range, least value in samples.
FAST, SLOW = 1 / 14, 1 / 128
FIRST_SCALE, SCALE_MIN = 100.0, 0.02
POWER_RATE = 0.005
MIXER_RATE, FINAL_MIXER_RATE = 600, 16
FIRST_WEIGHT, COUNTER_WEIGHT = 65536, 3277  # of all distributions together; of a counter
COUNTER_LIMIT = 200
# Borders of the leaves, in mean absolute errors: quantiles of the Laplace distribution at 1/4, 1/2, 3/4.
NEAR, MIDDLE, FAR = 0.288, 0.693, 1.386

CDF_REACH = 24  # mean absolute errors that the distribution functions reach, on either side
CDF_STEPS = 32  # entries of a table for each of them
LAPLACE, LOGISTIC = 0, 1


@functools.cache
def distribution_functions() -> NDArray[np.float64]:
    """Return the Laplace and logistic distribution functions (2, 2 * CDF_REACH * CDF_STEPS + 2).

    They are given at multiples of 1 / CDF_STEPS of the mean absolute value. The last entry is there twice, so that
    one may interpolate at the end.
    """
    rows = []
    for shape in (LAPLACE, LOGISTIC):
        tail = []
        for i in range(CDF_REACH * CDF_STEPS + 1):
            if shape == LAPLACE:
                tail.append(exp_minus(i, CDF_STEPS) // 2)
            else:  # its mean absolute value is 2 ln 2
                e = exp_minus(i * 1386294, CDF_STEPS * 1000000)
                tail.append(e * EXP_ONE // (EXP_ONE + e))
        upper = [(EXP_ONE - v) / EXP_ONE for v in tail]
        rows.append([v / EXP_ONE for v in tail[:0:-1]] + upper + [upper[-1]])
    return np.array(rows, np.float64)
