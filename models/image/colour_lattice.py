# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""Colour lattices: the RGB values that a YCC picture can reach. Pixels on one are converted back to YCC.

A Photo CD or a JPEG file holds luma and two chromas (YCC) in 8 bits each. Where it was converted to RGB, only one of
nine or of four colours can occur. The integers of such a conversion are known, so the picture is coded as luma and
chroma. What the conversion does not give exactly is coded as a correction of each channel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmzip.models.mixing.jit import i64, inline, kernel

NONE, PHOTO_CD, JPEG = 0, 1, 2
KINDS = 3


@inline
def _to_rgb(kind, y, c1, c2):
    """Return the colour of luma and chromas before it is cut to 0 .. 255.

    PHOTO_CD: the matrix of Kodak's Photo CD in units of 1/10000, green from the rounded differences of blue and red.
    JPEG: the constants of JFIF in units of 1/65536, rounded as the IJG's decoder does.
    """
    if kind == PHOTO_CD:
        luma, blue, red = 13584 * y, 22179 * (c1 - 156), 18215 * (c2 - 137)
        green = luma - 1940 * (blue // 10000) - 5090 * (red // 10000)
        return (luma + red) // 10000, green // 10000, (luma + blue) // 10000
    b, r = c1 - 128, c2 - 128
    return (
        y + ((91881 * r + 32768) >> 16),
        y + ((-22554 * b - 46802 * r + 32768) >> 16),
        y + ((116130 * b + 32768) >> 16),
    )


@inline
def _cut(value):
    return min(max(value, 0), 255)


@inline
def _misfit(kind, y, c1, c2, r, g, b):
    """Return how far the colour of luma and chromas is from one given, a sum of squares."""
    tr, tg, tb = _to_rgb(kind, y, c1, c2)
    dr, dg, db = _cut(tr) - r, _cut(tg) - g, _cut(tb) - b
    return dr * dr + dg * dg + db * db


@kernel
def _from_rgb(kind, inverse, pixels, out):
    """Write luma, chromas and corrections mod 256 of every pixel to out (n, 6); return how many are exact."""
    exact = 0
    for i in range(len(pixels)):
        r, g, b = i64(pixels[i, 0]), i64(pixels[i, 1]), i64(pixels[i, 2])
        y0 = (inverse[0, 0] * r + inverse[0, 1] * g + inverse[0, 2] * b + inverse[0, 3]) >> 16
        u0 = (inverse[1, 0] * r + inverse[1, 1] * g + inverse[1, 2] * b + inverse[1, 3]) >> 16
        v0 = (inverse[2, 0] * r + inverse[2, 1] * g + inverse[2, 2] * b + inverse[2, 3]) >> 16
        by, bu, bv = _cut(y0), _cut(u0), _cut(v0)
        best = _misfit(kind, by, bu, bv, r, g, b) * 8
        for dy in range(-1, 2 if best else -1):  # where it is not exact at once
            for du in range(-1, 2):
                for dv in range(-1, 2):
                    y, u, v = _cut(y0 + dy), _cut(u0 + du), _cut(v0 + dv)
                    misfit = _misfit(kind, y, u, v, r, g, b) * 8 + dy * dy + du * du + dv * dv
                    if misfit < best:
                        best, by, bu, bv = misfit, y, u, v
        tr, tg, tb = _to_rgb(kind, by, bu, bv)
        out[i, 0], out[i, 1], out[i, 2] = by, bu, bv
        out[i, 3], out[i, 4], out[i, 5] = (r - _cut(tr)) & 255, (g - _cut(tg)) & 255, (b - _cut(tb)) & 255
        exact += best < 8
    return exact


@kernel
def _back(kind, planes, out):
    """Write the pixels of luma, chromas and, where there are six planes, corrections to out (n, 3)."""
    for i in range(len(planes)):
        r, g, b = _to_rgb(kind, i64(planes[i, 0]), i64(planes[i, 1]), i64(planes[i, 2]))
        r, g, b = _cut(r), _cut(g), _cut(b)
        if planes.shape[1] == 6:
            r, g, b = (r + planes[i, 3]) & 255, (g + planes[i, 4]) & 255, (b + planes[i, 5]) & 255
        out[i, 0], out[i, 1], out[i, 2] = r, g, b


# The inverses of the conversions, with a constant term, in units of 1/65536: near enough, as the neighbours are tried.
_INVERSES = {
    PHOTO_CD: ((14420, 28329, 5496, 46975), (-8832, -17351, 26183, 10262457), (25226, -21127, -4099, 9018594)),
    JPEG: ((19595, 38470, 7471, 32768), (-11058, -21710, 32768, 8421376), (32768, -27439, -5329, 8421376)),
}


def to_planes(pixels: NDArray[np.uint8], kind: int) -> tuple[NDArray[np.uint8], int]:
    """Return luma, chromas and corrections (height, width, 6) of RGB pixels, and how many pixels are exact."""
    flat = np.ascontiguousarray(pixels).reshape(-1, 3)
    out = np.empty((len(flat), 6), np.uint8)
    exact = _from_rgb(kind, np.array(_INVERSES[kind], np.int64), flat, out)
    return out.reshape(*pixels.shape[:2], 6), int(exact)


def to_pixels(planes: NDArray[np.uint8], kind: int) -> NDArray[np.uint8]:
    """Return RGB pixels of (height, width, 3 or 6) planes. Twin: to_planes."""
    flat = np.ascontiguousarray(planes).reshape(-1, planes.shape[2])
    out = np.empty((len(flat), 3), np.uint8)
    _back(kind, flat, out)
    return out.reshape(*planes.shape[:2], 3)
