"""draft"""
from __future__ import annotations
from typing import Any, NamedTuple
import numba
import numpy as np
from lmzip.models.ensemble.numbers import LOGIT_MAX

_options: dict[str, Any] = {"nogil": True, "cache": False, "error_model": "numpy", "boundscheck": False}
kernel = numba.njit(**_options)
inline = numba.njit(**_options, inline="always")
u8,u16,u32,u64,i32,i64=np.uint8,np.uint16,np.uint32,np.uint64,np.int32,np.int64

CONTEXTS = 24
PER = 3           # inputs a context
FIRST = 6         # inputs before those of the contexts
INPUTS = 80
SETS = 6
SET_SIZES = (512, 1024, 1024, 256*1, 1024, 1024)
SET_OFFSETS = tuple(int(sum(SET_SIZES[:i])) for i in range(SETS+1))
MEMORY = 24

class Lanes(NamedTuple):
    history: np.ndarray  # (windows, capacity) u8
    size: np.ndarray     # (windows,) i64
    node: np.ndarray     # (windows,) i32; -1 done
    memory: np.ndarray   # (windows, MEMORY) i64
    hashes: np.ndarray   # (windows, CONTEXTS) u32
    line: np.ndarray     # (windows, CONTEXTS) i64: first slot of the line
    check: np.ndarray    # (windows, CONTEXTS) u32
    x: np.ndarray        # (windows, INPUTS) i32
    chosen: np.ndarray   # (windows, SETS) i64
    logits: np.ndarray   # (windows, SETS+?) i32
    match: np.ndarray    # (windows, MM, 4) i64: window, position, length, expected byte or -1
    mixed: np.ndarray    # (windows,) i32
    apm: np.ndarray      # (windows, 4) i64

class Tables(NamedTuple):
    slots: np.ndarray    # (CONTEXTS, slots) u32
    maps: np.ndarray     # (CONTEXTS, 2, 256) u32 p22 n10
    match_maps: np.ndarray
    match_index: np.ndarray # (MM, 2**k) i64
    weights: np.ndarray  # (sum sets, INPUTS) i32
    final: np.ndarray    # (512, SETS) i32
    apms: np.ndarray     # (.., 33) i32
    nexts: np.ndarray
    rates: np.ndarray    # (states,)
    conf: np.ndarray
    stretch: np.ndarray
    squash: np.ndarray
    log: np.ndarray
    counts: np.ndarray

@inline
def squash(t, x):
    return t.squash[min(max(x, -LOGIT_MAX), LOGIT_MAX) + LOGIT_MAX]

@inline
def mix(h):
    h = u32(h) * u32(0x9E3779B1)
    return u32(h ^ (h >> u32(15)))

@inline
def combine(h, v):
    h = u32(u32(h) + u32(v) + u32(1)) * u32(0x2C1B3C6D)
    h = u32(h ^ (h >> u32(13))) * u32(0x297A2D39)
    return u32(h ^ (h >> u32(15)))

# memory: 0 word hash, 1 previous word, 2 pp word, 3 line start, 4 prev line start, 5 field number, 6 class hash, 7 word length?, 8 indentation, 9 first char, 10 last nonspace..., 
@kernel
def append(lanes, w, c):
    m = lanes.memory[w]
    n = lanes.size[w]
    lanes.history[w, n] = c
    lanes.size[w] = n + 1
    cl = c
    if 65 <= c <= 90: cl = c + 32
    letter = (97 <= cl <= 122) or c >= 128
    if letter:
        m[0] = combine(m[0], cl)
        m[7] += 1
    elif m[0] != 0:
        m[2] = m[1]; m[1] = m[0]; m[0] = 0; m[7] = 0
    # classes
    if letter: k = 1
    elif 48 <= c <= 57: k = 2
    elif c == 32: k = 3
    else: k = c
    m[6] = ((m[6] << 8) | k) & 0xFFFFFFFFFFFF
    if not (k == 1 and (m[10] & 0xFF) == 1) and not (k==2 and (m[10] & 0xFF) == 2):
        m[10] = ((m[10] << 8) | k) & 0xFFFFFFFFFFFF
    if c == 10:
        m[4] = m[3]; m[3] = n + 1; m[5] = 0; m[8] = 0; m[9] = 0
    else:
        if c == 44 or c == 59 or c == 9 or c == 124 or c==60 or c==62 or c==58 or c==34: m[5] += 1
        if m[9] == 0:
            if c == 32 or c == 9: m[8] += 1
            else: m[9] = c
    if c == 60: # xml tag opening
        m[11] = 0; m[12] = 1
    elif m[12] == 1:
        if letter or c==47 or (48<=c<=57): m[11] = combine(m[11], c)
        else: m[12] = 0
    m[13] = m[13] if c!=46 else n

@kernel
def contexts(lanes, w, depth, record):
    """hash all contexts"""
    hist = lanes.history[w]
    n = lanes.size[w]
    m = lanes.memory[w]
    o = lanes.hashes[w]
    c1 = i64(hist[n-1]) if n > 0 else 0
    c2 = i64(hist[n-2]) if n > 1 else 0
    c3 = i64(hist[n-3]) if n > 2 else 0
    c4 = i64(hist[n-4]) if n > 3 else 0
    c5 = i64(hist[n-5]) if n > 4 else 0
    c6 = i64(hist[n-6]) if n > 5 else 0
    c7 = i64(hist[n-7]) if n > 6 else 0
    c8 = i64(hist[n-8]) if n > 7 else 0
    col = n - m[3]
    if record > 0:
        above = i64(hist[n-record]) if n >= record else 0
        above2 = i64(hist[n-2*record]) if n >= 2*record else 0
        aboven = i64(hist[n-record+1]) if n >= record and record > 1 else 0
        col = n % record
    else:
        a = m[4] + col
        above = i64(hist[a]) if a < m[3] else 0
        aboven = i64(hist[a+1]) if a+1 < m[3] else 0
        above2 = 0
    start = 1 if depth == 0 else 0
    h = combine(0, start)
    o[0] = combine(start, 0) 
    h = combine(h, c1); o[1] = h
    h = combine(h, c2); o[2] = h
    h = combine(h, c3); o[3] = h
    h = combine(h, c4); o[4] = h
    h = combine(h, c5); o[5] = h
    h = combine(h, c6); o[6] = h
    h = combine(combine(h, c7), c8); o[7] = h
    h = combine(h, hist[n-9] if n > 8 else 0); h = combine(h, hist[n-10] if n > 9 else 0); h = combine(h, hist[n-11] if n > 10 else 0)
    o[8] = combine(h, hist[n-12] if n > 11 else 0)
    o[9] = combine(combine(m[0], c1), 901)
    o[10] = combine(combine(m[0], m[1]), c1)
    o[11] = combine(combine(combine(m[0], m[2]), c1), 1102)
    o[12] = combine(combine(combine(m[0], m[1]), m[2]), c1)
    o[13] = combine(combine(c2, c3), 1300)
    o[14] = combine(combine(combine(c2, c3), c4), 1400)
    o[15] = combine(combine(c3, c4), 1500)
    o[16] = combine(combine(combine(above, c1), 1600), aboven)
    o[17] = combine(combine(combine(col, above), 1700), above2)
    o[18] = combine(combine(combine(m[5], m[9]), m[0]), 1800 + c1)
    o[19] = combine(combine(m[6] & 0xFFFFFFFF, c1), 1900)
    o[20] = combine(combine(m[10] & 0xFFFFFFFF, m[10] >> 32), 2000+c1)
    o[21] = combine(combine(combine(m[8], m[9]), m[0]), 2100)
    o[22] = combine(combine(combine(m[11], m[0]), 2200), c1)
    o[23] = combine(combine(col, c1), 2300)

@inline
def find_lines(lanes, w, key, mask):
    for i in range(CONTEXTS):
        h = combine(lanes.hashes[w, i] + u32(i) * u32(0x3D4D51CB), key)
        lanes.line[w, i] = i64((h & mask) << u32(4))
        lanes.check[w, i] = (h >> u32(24))

MM = 2
MIN = (5, 9)
@kernel
def find_match(lanes, tables, w):
    n = lanes.size[w]
    hist = lanes.history[w]
    for k in range(MM):
        mt = lanes.match[w, k]
        need = 5 if k == 0 else 10
        if mt[2] > 0:
            # expected byte right?
            if mt[3] == hist[n-1]:
                mt[2] += 1; mt[1] += 1
            else: 
                mt[2] = 0
        if n >= need:
            h = u32(0)
            for j in range(need): h = combine(h, hist[n-1-j])
            bits = u32(tables.match_index.shape[1] - 1)
            slot = h & bits
            if mt[2] == 0:
                e = tables.match_index[k, slot]
                if e >= 0:
                    v = e >> 40; p = e & 0xFFFFFFFFFF
                    l = 0
                    other = lanes.history[v]
                    while l < 400 and p - 1 - l >= 0 and n - 1 - l >= 0 and other[p-1-l] == hist[n-1-l]: l += 1
                    if l >= need:
                        mt[0] = v; mt[1] = p; mt[2] = l
            tables.match_index[k, slot] = (w << 40) | n
        mt[3] = -1
        if mt[2] > 0:
            if mt[1] < lanes.size[mt[0]]: mt[3] = lanes.history[mt[0], mt[1]]
            else: mt[2] = 0

@kernel
def enter(lanes, tables, tree, w, depth, mask, record):
    """A byte boundary: histories are complete."""
    contexts(lanes, w, depth, record)
    find_match(lanes, tables, w)

@kernel
def move(lanes, tables, tree, w, bit, mask, record):
    node = lanes.node[w]
    depth = tree.depth[node]
    nxt = tree.child[node, bit]
    if nxt < 0:
        s = ~nxt
        for j in range(depth, tree.length[s]):
            append(lanes, w, tree.spelling[s, j])
            if j + 1 < tree.length[s]: find_match(lanes, tables, w)
        lanes.node[w] = -1
        return
    nd = tree.depth[nxt]
    if nd > depth:
        for j in range(depth, nd):
            append(lanes, w, tree.spelling[tree.first[nxt], j])
            if j + 1 < nd: find_match(lanes, tables, w)
        enter(lanes, tables, tree, w, nd, mask, record)
        find_lines(lanes, w, i64(0), mask) if tree.partial[nxt] < 16 else find_lines(lanes, w, i64(tree.partial[nxt] >> (tree_shift(tree.partial[nxt]))), mask)
    elif tree.partial[node] < 16 and tree.partial[nxt] >= 16:
        find_lines(lanes, w, i64(tree.partial[nxt] >> (tree_shift(tree.partial[nxt]))), mask)
    lanes.node[w] = nxt

@inline
def tree_shift(p):
    s = 0
    while (p >> s) >= 32: s += 1
    return s

@inline
def slot_of(p):
    if p < 16: return p
    s = tree_shift(p)
    return (1 << s) | (p & ((1 << s) - 1))

@kernel
def begin(lanes, tables, tree, active, mask, record):
    for w in active:
        lanes.node[w] = 0
        enter(lanes, tables, tree, w, 0, mask, record)
        find_lines(lanes, w, i64(0), mask)

@inline
def ln(t, v):
    b = 0
    while (v >> b) >= 2048: b += 1
    if v < 1024:
        s = 0
        while (v << s) < 1024: s += 1
        return t.log[(v << s) - 1024] - s * t.log[1024]
    return t.log[(v >> b) - 1024] + b * t.log[1024]

@kernel
def predict(lanes, tables, tree, active, nn, nnc, out):
    """nn (windows,) logit of the network; nnc (windows,) its confidence class."""
    for a in range(len(active)):
        w = active[a]
        node = lanes.node[w]
        partial = tree.partial[node]
        depth = tree.depth[node]
        slot = slot_of(partial)
        x = lanes.x[w]
        z = nn[a]
        x[0] = z
        x[1] = (squash(tables, z) - 32768) >> 5
        x[2] = 256
        seen = 0
        high = 0
        for i in range(CONTEXTS):
            s = tables.slots[i, lanes.line[w, i] + slot]
            k = FIRST + PER * i
            if (s & u32(0xFF)) != lanes.check[w, i] or (s >> u32(8)) & u32(0xFF) == 0:
                x[k] = 0; x[k+1] = 0; x[k+2] = 0
            else:
                st = (s >> u32(8)) & u32(0xFF)
                p = i64(s >> u32(16))
                q = tables.maps[i, st] >> u32(10)
                x[k] = tables.stretch[q >> u32(10)]
                lg = i32(tables.stretch[p >> 4])
                x[k+1] = (lg * tables.conf[st]) >> 8
                x[k+2] = ((i32(q >> u32(6)) - 32768) * tables.conf[st]) >> 13
                seen += 1
                if i>=3 and i <= 8: high = i
        ml = 0
        for k in range(MM):
            mt = lanes.match[w, k]
            exp = mt[3]
            x[3+k] = 0
            if exp >= 0 and mt[2] > 0:
                if partial == 0:
                    pass
                else:
                    nb = 0
                    while (partial >> nb) > 1: nb += 1
                    if ((exp | 256) >> (8 - nb)) == partial:
                        l = min(mt[2], 15) if mt[2] < 16 else min(15 + (mt[2] >> 4), 31)
                        q = tables.match_maps[k, l] >> u32(10)
                        st = i32(tables.stretch[q >> u32(10)])
                        eb = (exp >> (7 - nb)) & 1
                        x[3+k] = st if eb else -st
                        if l > ml: ml = l
                    else:
                        mt[2] = 0
        n = lanes.size[w]
        c1 = i64(lanes.history[w, n-1]) if n > 0 else 0
        # choose sets
        ch = lanes.chosen[w]
        az = abs(z)
        zb = 0
        while zb < 7 and az > (64 << zb): zb += 1
        nbit = 0
        while (partial >> nbit) > 1: nbit += 1
        pos = 0 if partial == 0 else 1 + nbit
        ch[0] = partial + (256 if depth > 0 else 0)
        ch[1] = 512 + ml * 16 + pos
        ch[2] = 512 + 1024 + (nnc[w] * 4 + min(depth, 3)) * 16 + pos
        ch[3] = 512 + 2048 + c1
        ch[4] = 512 + 2048 + 256 + high * 16 + pos
        ch[5] = 512 + 2048 + 256 + 1024 + zb * 32 + min(seen, 31)
        total = i64(0)
        for j in range(SETS):
            wt = tables.weights[ch[j]]
            dot = i32(0)
            for i in range(INPUTS):
                dot = i32(dot + ((i32(x[i]) * i32(wt[i])) >> i32(10)))
            lg = min(max(dot >> 6, -LOGIT_MAX), LOGIT_MAX)
            lanes.logits[w, j] = lg
            total += i64(lg) * i64(tables.final[ch[0], j])
        lg = i32(min(max(total >> 16, -LOGIT_MAX), LOGIT_MAX))
        lanes.mixed[w] = lg
        p = i64(squash(tables, lg))
        # adaptive maps
        q = (lg + LOGIT_MAX) * 32
        j = q // (2 * LOGIT_MAX)
        f = (q - j * 2 * LOGIT_MAX)
        a0 = partial + 256 * c1
        c2 = i64(lanes.history[w, n-2]) if n > 1 else 0
        a1 = 65536 + i64(combine(combine(c1, c2), partial) & u32(0xFFFF))
        a2 = 131072 + ((ml * 512 + partial + (256 if depth > 0 else 0)))
        lanes.apm[w, 0] = a0 * 33 + j; lanes.apm[w, 1] = a1 * 33 + j; lanes.apm[w, 2] = a2*33 + j
        lanes.apm[w, 3] = f
        r = i64(0)
        for k in range(3):
            b = lanes.apm[w, k]
            v = (i64(tables.apms[b]) * (2 * LOGIT_MAX - f) + i64(tables.apms[b + 1]) * f) // (2 * LOGIT_MAX)
            r += v
        pf = (p + r) >> 2
        out[a] = min(max(pf, 1), 65535)

@kernel
def update(lanes, tables, tree, active, bits, rate, frate):
    for a in range(len(active)):
        w = active[a]
        y = i32(bits[a])
        node = lanes.node[w]
        partial = tree.partial[node]
        slot = slot_of(partial)
        x = lanes.x[w]
        ch = lanes.chosen[w]
        # final mixer first with its frozen logits
        e = (y << 16) - squash(tables, lanes.mixed[w])
        fw = tables.final[ch[0]]
        for j in range(SETS):
            fw[j] += i32((i64(lanes.logits[w, j]) * e * frate) >> 22)
        for j in range(SETS):
            wt = tables.weights[ch[j]]
            dot = i32(0)
            for i in range(INPUTS):
                dot = i32(dot + ((i32(x[i]) * i32(wt[i])) >> i32(10)))
            e = i32((y << 16) - squash(tables, dot >> 6))
            e = i32((e * rate) >> 10)
            for i in range(INPUTS):
                d = i32((i32(x[i]) * e + i32(1 << 13)) >> i32(14))
                wt[i] = min(max(i32(wt[i] + d), i32(-524287)), i32(524287))
        for i in range(CONTEXTS):
            at = lanes.line[w, i] + slot
            s = tables.slots[i, at]
            st = (s >> u32(8)) & u32(0xFF)
            p = i32(s >> u32(16))
            if (s & u32(0xFF)) != lanes.check[w, i]:
                st = u32(0); p = i32(32768)
            if st != 0:
                m = tables.maps[i, st]
                n = m & u32(1023)
                q = i64(m >> u32(10))
                q += (((i64(y) << 22) - q) // (i64(n)+2)) #1.5
                q = min(max(q, 256), (1 << 22) - 256)
                if n < 254: n += u32(1)
                tables.maps[i, st] = (u32(q) << u32(10)) | n
            p += (((y << 16) - p) * tables.rates[st]) >> 16
            p = min(max(p, 16), 65535 - 16)
            tables.slots[i, at] = (u32(p) << u32(16)) | (u32(tables.nexts[st, y]) << u32(8)) | lanes.check[w, i]
        for k in range(MM):
            mt = lanes.match[w, k]
            if x[3+k] != 0 or (mt[3] >= 0 and mt[2] > 0 and partial > 0):
                l = min(mt[2], 15) if mt[2] < 16 else min(15 + (mt[2] >> 4), 31)
                nb = 0
                while (partial >> nb) > 1: nb += 1
                eb = (mt[3] >> (7 - nb)) & 1
                q = i64(tables.match_maps[k, l] >> u32(10)); 
                hit = i64(1 if eb == y else 0)
                q += ((hit << 22) - q) >> 7
                q = min(max(q, 1024), (1 << 22) - 1024)
                tables.match_maps[k, l] = u32(q) << u32(10)
                if hit == 0: mt[2] = 0
        f = lanes.apm[w, 3]
        for k in range(3):
            b = lanes.apm[w, k] + (1 if f > LOGIT_MAX else 0)
            tables.apms[b] += (((y << 16) - y) - tables.apms[b]) >> 6

@kernel
def run(lanes, tables, tree, symbols, nn, nnc, mask, record, rate0, rate1, half, frate, cost):
    """symbols (windows, steps), -1 beyond; nn (windows, steps, longest path) int16"""
    W, T = symbols.shape
    active = np.empty(W, i64); bits = np.empty(W, i32); probs = np.empty(W, i32); z = np.empty(W, i32)
    nc = np.empty(W, i64)
    j = np.zeros(W, i64)
    total = 0.0
    for t in range(T):
        n = 0
        for w in range(W):
            if symbols[w, t] >= 0:
                active[n] = w; n += 1; j[w] = 0
                nc[w] = nnc[w, t]
        begin(lanes, tables, tree, active[:n], mask, record)
        rate = i32(rate1 + (rate0 - rate1) * half // (half + t * W))
        while n:
            for a in range(n):
                w = active[a]
                z[a] = nn[w, t, j[w]]
                j[w] += 1
                bits[a] = 1 if symbols[w, t] >= tree.middle[lanes.node[w]] else 0
            predict(lanes, tables, tree, active[:n], z, nc, probs)
            update(lanes, tables, tree, active[:n], bits[:n], rate, frate)
            m = 0
            for a in range(n):
                w = active[a]
                p = probs[a] / 65536
                c = -np.log2(p if bits[a] else 1 - p)
                total += c
                cost[w, t] += c
                move(lanes, tables, tree, w, bits[a], mask, record)
                if lanes.node[w] >= 0:
                    active[m] = w; m += 1
            n = m
    return total
