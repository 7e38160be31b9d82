# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""Whole pixels that repeat, in direct mode: a neighbour, or what stood elsewhere beside the same pixels (a match).

Before the samples of a pixel `code_repeat` asks, for one candidate after the other, whether the pixel is the same.
Only where none is, its samples are coded.
"""

from __future__ import annotations

from lmzip.models.image.decisions import REPEAT, decide
from lmzip.models.image.state import (
    BY_DIFFERENCES,
    BY_LEVEL,
    BY_PARITY,
    BY_RESIDUALS,
    COUNTERS,
    EXPERTS,
    PAD,
    ROWS,
)
from lmzip.models.mixing.jit import combine, i64, inline, kernel, once, u32

LONGEST = 1 << 16  # length of a match that is told apart from longer ones
_REPEAT = 100  # what the hashes of contexts begin with


@inline
def _length_class(length):
    """Return 0 .. 15 for the length of a match."""
    if length < 8:
        return length
    return min(8 + (length - 8) // 8, 15) if length < 64 else i64(15)


@inline
def _colour(image, y, x):
    """Return the hash of a pixel."""
    h = u32(0)
    for c in range(image.shape[2]):
        h = combine(h, image[y, x, c])
    return h


@kernel
def _copy(image, y, x, from_y, from_x):
    """Let a pixel be like another."""
    for c in range(image.shape[2]):
        image[y, x, c] = image[from_y, from_x, c]


@inline
def _same(image, y, x, from_y, from_x):
    """Say whether two pixels are equal."""
    same = True
    for c in range(image.shape[2]):
        same &= image[y, x, c] == image[from_y, from_x, c]
    return same


@inline
def _hash_surroundings(colours, y, at):
    """Return the hash of six pixels around the one at column `at`: where they were seen last, a match may begin."""
    here, north, north2 = colours[y % ROWS], colours[(y - 1) % ROWS], colours[(y - 2) % ROWS]
    near = combine(combine(combine(here[at - 1], north[at]), north[at - 1]), north[at + 1])
    return combine(combine(near, here[at - 2]), north2[at])


@once
def _set_repeat_contexts(model, image, y, x):
    """Hash what is known around a pixel; find a match where there is none. Return the colour of the match, a hash."""
    sample, seen, colours = model.sample, model.seen, model.history.colours
    here, north = colours[y % ROWS], colours[(y - 1) % ROWS]
    north2, north3 = colours[(y - 2) % ROWS], colours[(y - 3) % ROWS]
    at = PAD + x
    w, ww, www, wwww = here[at - 1], here[at - 2], here[at - 3], here[at - 4]
    n, nw, ne, nee, nww = north[at], north[at - 1], north[at + 1], north[at + 2], north[at - 2]
    nn, nne, nnw, nnn = north2[at], north2[at + 1], north2[at - 1], north3[at]
    near = combine(combine(combine(w, n), nw), ne)
    wide = _hash_surroundings(colours, y, at)
    widest = combine(combine(combine(wide, nne), nnw), combine(www, nee))
    if sample.match < 0:
        sample.match = seen[i64(wide & u32(len(seen) - 1))]
        sample.match_length = 0
    pattern = i64(0)
    for same in (
        w == n,
        w == nw,
        w == ww,
        n == ne,
        n == nw,
        n == nn,
        ne == nee,
        nw == nww,
        ww == www,
        n == nne,
        nn == nnn,
    ):
        pattern = pattern * 2 + same
    sample.pattern = pattern
    matched = sample.match >= 0
    match = u32(0)
    if matched:
        width = image.shape[1]
        match = _colour(image, sample.match // width, sample.match % width)
    run = sample.run
    h = sample.contexts
    h[0] = near  # four pixels around
    h[1] = wide  # six
    h[2] = combine(w, n)
    h[3] = combine(pattern, min(run, 15))  # which are equal, and for how long the left one was repeated
    h[4] = combine(combine(w, ww), www)  # this row
    h[5] = combine(combine(combine(n, ne), nee), nw)  # the row above
    h[6] = widest  # ten pixels around
    h[7] = combine(combine(w, n), min(run, 40))
    h[8] = combine(match, _length_class(sample.match_length)) if matched else combine(w, nn)  # the match
    h[9] = combine(combine(combine(n, nn), nnn), w)  # this column
    h[10] = combine(combine(x, n), w)  # where in the row
    h[11] = combine(pattern, combine(w, min(run, 3)))
    h[12] = combine(combine(combine(w, n), combine(ne, nee)), ww)
    h[13] = combine(combine(n, ne), nn)
    h[14] = combine(combine(w, nw), ww)
    h[15] = combine(combine(widest, nww), combine(nnn, wwww))  # thirteen pixels around
    h[16] = combine(combine(w, ne), nn)
    h[17] = combine(combine(n, nn), min(run, 7))
    h[18] = combine(combine(nw, n), combine(ne, nee))
    h[19] = combine(combine(w, match), pattern & 7)
    for i in range(COUNTERS):
        h[i] = combine(h[i], _REPEAT + i)
    return match


@once
def code_repeat(model, image, y, x):
    """Say whether a pixel is like another one: 1 and the pixel is written, 0, or -1 where the code is impossible."""
    match = _set_repeat_contexts(model, image, y, x)
    sample, width = model.sample, image.shape[1]
    at = PAD + x
    here, north = model.history.colours[y % ROWS], model.history.colours[(y - 1) % ROWS]
    w, n, ne, nw = here[at - 1], north[at], north[at + 1], north[at - 1]
    for e in range(EXPERTS):
        sample.mixed[e] = 0
    sample.channel = 7
    matched, pattern, run = sample.match >= 0, sample.pattern, sample.run
    length, rows = _length_class(sample.match_length), sample.weight_rows
    for candidate in range(5):
        if candidate == 0:
            exists, from_y, from_x = x > 0, y, x - 1
            same = matched and match == w
        elif candidate == 1:
            exists, from_y, from_x = y > 0 and (x == 0 or n != w), y - 1, x
            same = matched and match == n
        elif candidate == 2:
            exists, from_y, from_x = y > 0 and x > 0 and x + 1 < width and ne != n and ne != w, y - 1, x + 1
            same = matched and match == ne
        elif candidate == 3:
            exists, from_y, from_x = y > 0 and x > 0 and nw != n and nw != w and nw != ne, y - 1, x - 1
            same = matched and match == nw
        else:
            exists = matched and match != w and match != n and match != ne and match != nw
            from_y, from_x, same = sample.match // width, sample.match % width, True
        if not exists:
            continue
        agrees = i64(2 if same else 1 if matched else 0)  # 2: the candidate is as the match, 1: not so, 0: no match
        rows[BY_LEVEL] = 896 + candidate * 24 + agrees * 8 + length // 2
        rows[BY_RESIDUALS] = candidate * 512 + (pattern >> 2)
        rows[BY_PARITY] = 512 + candidate * 64 + agrees * 16 + min(run, 15)
        rows[BY_DIFFERENCES] = 3584 + candidate * 64 + (pattern & 7) * 8 + min(run, 7)
        node = REPEAT + candidate
        bit = decide(model.decider, node, node | agrees << 7 | length << 9, i64(_same(image, y, x, from_y, from_x)))
        if bit < 0:
            return i64(-1)
        if bit:
            _copy(image, y, x, from_y, from_x)
            return i64(1)
    return i64(0)


@once
def learn_repeat(model, image, y, x):
    """Remember a whole pixel, and follow the match."""
    sample, seen, width = model.sample, model.seen, image.shape[1]
    at = PAD + x
    here = model.history.colours[y % ROWS]
    seen[i64(_hash_surroundings(model.history.colours, y, at) & u32(len(seen) - 1))] = y * width + x
    here[at] = _colour(image, y, x)
    sample.run = sample.run + 1 if here[at] == here[at - 1] else 0
    if sample.match >= 0:
        if _same(image, y, x, sample.match // width, sample.match % width):
            sample.match_length = min(sample.match_length + 1, LONGEST)
            sample.match += 1
            if sample.match >= y * width + x + 1:
                sample.match = -1
        else:
            sample.match = -1
