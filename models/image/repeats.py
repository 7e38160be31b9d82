# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""Whole pixels that repeat: a neighbour, or what stood elsewhere beside the same pixels."""

from __future__ import annotations

from lmzip.models.image.decisions import (
    CHANNEL,
    LENGTH,
    MATCH,
    PATTERN,
    PLACE_A,
    PLACE_B,
    PLACE_C,
    PLACE_D,
    RUN,
    decide,
)
from lmzip.models.image.state import COUNTERS, EXPERTS, PAD, ROWS
from lmzip.models.mixing.jit import combine, i64, inline, kernel, once, u32

REPEAT = 88  # nodes: like the pixel on the left, above, above right, above left, the matched one
LONGEST = 1 << 16


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


@once
def _repeat_contexts(plane, learnt, cursor, image, y, x):
    """Hash what is known around a pixel; find a match where there is none."""
    here, north = plane.colours[y % ROWS], plane.colours[(y - 1) % ROWS]
    north2, north3 = plane.colours[(y - 2) % ROWS], plane.colours[(y - 3) % ROWS]
    at = PAD + x
    w, ww, www = here[at - 1], here[at - 2], here[at - 3]
    n, nw, ne, nee, nww = north[at], north[at - 1], north[at + 1], north[at + 2], north[at - 2]
    nn, nne, nnw, nnn = north2[at], north2[at + 1], north2[at - 1], north3[at]
    h, facts = cursor.contexts, cursor.facts
    near = combine(combine(combine(w, n), nw), ne)
    wide = combine(combine(near, ww), nn)
    widest = combine(combine(combine(wide, nne), nnw), combine(www, nee))
    if facts[MATCH] < 0:
        facts[MATCH] = learnt.seen[i64(wide & u32(len(learnt.seen) - 1))]
        facts[LENGTH] = 0
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
    facts[PATTERN] = pattern
    match = u32(0)
    if facts[MATCH] >= 0:
        width = image.shape[1]
        match = _colour(image, facts[MATCH] // width, facts[MATCH] % width)
    h[0] = near
    h[1] = wide
    h[2] = combine(w, n)
    h[3] = combine(pattern, min(facts[RUN], 15))
    h[4] = combine(combine(w, ww), www)
    h[5] = combine(combine(combine(n, ne), nee), nw)
    h[6] = widest
    h[7] = combine(combine(w, n), min(facts[RUN], 40))
    h[8] = combine(match, _length_class(facts[LENGTH])) if facts[MATCH] >= 0 else combine(w, nn)
    h[9] = combine(combine(combine(n, nn), nnn), w)
    h[10] = combine(combine(x, n), w)
    h[11] = combine(pattern, combine(w, min(facts[RUN], 3)))
    h[12] = combine(combine(combine(w, n), combine(ne, nee)), ww)
    h[13] = combine(combine(n, ne), nn)
    h[14] = combine(combine(w, nw), ww)
    h[15] = combine(combine(widest, nww), combine(nnn, here[at - 4]))
    h[16] = combine(combine(w, ne), nn)
    h[17] = combine(combine(n, nn), min(facts[RUN], 7))
    h[18] = combine(combine(nw, n), combine(ne, nee))
    h[19] = combine(combine(w, match), pattern & 7)
    return match


@once
def code_repeat(plane, learnt, cursor, fixed, image, y, x, coding):
    """Say whether a pixel is like another one: 1 and the pixel is written, 0, or -1 where the code is impossible."""
    match = _repeat_contexts(plane, learnt, cursor, image, y, x)
    facts, width = cursor.facts, image.shape[1]
    at = PAD + x
    here, north = plane.colours[y % ROWS], plane.colours[(y - 1) % ROWS]
    w, n, ne, nw = here[at - 1], north[at], north[at + 1], north[at - 1]
    for i in range(COUNTERS):
        cursor.contexts[i] = combine(cursor.contexts[i], 100 + i)
    for e in range(EXPERTS):
        cursor.mixed[e] = 0
    facts[CHANNEL] = 7
    pattern, length = facts[PATTERN], _length_class(facts[LENGTH])
    for candidate in range(5):
        if candidate == 0:
            exists, from_y, from_x = x > 0, y, x - 1
            same = facts[MATCH] >= 0 and match == w
        elif candidate == 1:
            exists, from_y, from_x = y > 0 and (x == 0 or n != w), y - 1, x
            same = facts[MATCH] >= 0 and match == n
        elif candidate == 2:
            exists, from_y, from_x = y > 0 and x > 0 and x + 1 < width and ne != n and ne != w, y - 1, x + 1
            same = facts[MATCH] >= 0 and match == ne
        elif candidate == 3:
            exists, from_y, from_x = y > 0 and x > 0 and nw != n and nw != w and nw != ne, y - 1, x - 1
            same = facts[MATCH] >= 0 and match == nw
        else:
            exists = facts[MATCH] >= 0 and match != w and match != n and match != ne and match != nw
            from_y, from_x, same = facts[MATCH] // width, facts[MATCH] % width, True
        if not exists:
            continue
        agrees = i64(2 if same else 1 if facts[MATCH] >= 0 else 0)
        facts[PLACE_A] = 896 + candidate * 24 + agrees * 8 + length // 2
        facts[PLACE_B] = candidate * 512 + (pattern >> 2)
        facts[PLACE_C] = 512 + candidate * 64 + agrees * 16 + min(facts[RUN], 15)
        facts[PLACE_D] = 3584 + candidate * 64 + (pattern & 7) * 8 + min(facts[RUN], 7)
        bit = decide(
            cursor, learnt, fixed, REPEAT + candidate, (REPEAT + candidate) | agrees << 7 | length << 9,
            i64(_same(image, y, x, from_y, from_x)), coding,
        )  # fmt: skip
        if bit < 0:
            return i64(-1)
        if bit:
            _copy(image, y, x, from_y, from_x)
            return i64(1)
    return i64(0)


@once
def learn_repeat(plane, learnt, cursor, image, y, x):
    """Remember a whole pixel, and follow the match."""
    facts, width = cursor.facts, image.shape[1]
    at = PAD + x
    h = _colour(image, y, x)
    here, north, north2 = plane.colours[y % ROWS], plane.colours[(y - 1) % ROWS], plane.colours[(y - 2) % ROWS]
    near = combine(combine(combine(here[at - 1], north[at]), north[at - 1]), north[at + 1])
    wide = combine(combine(near, here[at - 2]), north2[at])
    learnt.seen[i64(wide & u32(len(learnt.seen) - 1))] = y * width + x
    here[at] = h
    facts[RUN] = facts[RUN] + 1 if h == here[at - 1] else 0
    if facts[MATCH] >= 0:
        if _same(image, y, x, facts[MATCH] // width, facts[MATCH] % width):
            facts[LENGTH] = min(facts[LENGTH] + 1, LONGEST)
            facts[MATCH] += 1
            if facts[MATCH] >= y * width + x + 1:
                facts[MATCH] = -1
        else:
            facts[MATCH] = -1


@once
def set_direct_contexts(plane, cursor, y, x, c, level, centre):
    """Hash the contexts of a sample that is spelled directly."""
    here, north = plane.rows[y % ROWS], plane.rows[(y - 1) % ROWS]
    at = PAD + x
    w, n, nw = i64(here[c, at - 1]), i64(north[c, at]), i64(north[c, at - 1])
    colours, above = plane.colours[y % ROWS], plane.colours[(y - 1) % ROWS]
    known, same_w, same_n = u32(0), i64(1), i64(1)
    for i in range(c):
        known = combine(known, here[i, at])
        same_w &= i64(here[i, at] == here[i, at - 1])
        same_n &= i64(here[i, at] == north[i, at])
    same = 1 + same_w + 2 * same_n
    h, facts = cursor.contexts, cursor.facts
    h[0] = combine(combine(w, n), known)
    h[1] = combine(combine(combine(colours[at - 1], above[at]), combine(above[at - 1], above[at + 1])), known)
    h[2] = known
    h[3] = combine(colours[at - 1], known)
    h[4] = combine(above[at], known)
    h[5] = combine(combine(facts[PATTERN], known), w)
    h[6] = combine(w + n - nw, same)
    h[7] = combine(centre, combine(level >> 2, same))
    h[8] = combine(combine(colours[at - 1], colours[at - 2]), known)
    h[9] = combine(combine(above[at], above[at + 1]), known)
    before = i64(here[c - 1, at]) - i64(here[c - 1, at - 1]) if c > 0 else i64(0)
    h[10] = combine(combine(w + before, same), n - w)
    h[11] = combine(same, c)
    h[12] = combine(combine(colours[at - 1], above[at]), known)
    h[13] = combine(combine(w, centre), combine(level >> 3, same))
    h[14] = combine(combine(colours[at - 1], above[at - 1]), known)
    h[15] = combine(combine(facts[PATTERN], same), n)
    h[16] = combine(above[at + 1], known)
    h[17] = combine(combine(colours[at - 1], above[at + 1]), known)
    h[18] = combine(plane.colours[(y - 2) % ROWS, at], known)
    h[19] = combine(combine(w, n), combine(nw, i64(here[c, at - 2])))
    for i in range(COUNTERS):
        h[i] = combine(combine(h[i], c), 200 + i)
    channel = min(c, 7)
    facts[CHANNEL] = c
    facts[PLACE_A] = channel * 64 + min(level, 63)
    facts[PLACE_B] = 2560 + channel * 64 + same * 16 + min(facts[LENGTH], 3)
    facts[PLACE_C] = channel * 64 + same * 16 + min(level >> 2, 15)
    facts[PLACE_D] = channel * 512 + (facts[PATTERN] >> 5) * 4 + same - 1
