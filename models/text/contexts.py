# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The contexts by which counters are chosen: the one place to add a context.

`remember` keeps running facts of a window up to date, byte by byte. `hash_contexts` turns these facts and the last
bytes into one hash for each context. To add a context: write its hash to `out` in `hash_contexts`, raise CONTEXTS in
context_subset.py, and describe it in MODELS.md. A running fact that it needs is a new slot of a window's memory.
"""

from __future__ import annotations

from lmzip.models.mixing.jit import combine, i64, inline, kernel, u32
from lmzip.models.text.context_subset import CONTEXTS
from lmzip.models.text.matches import EXPECTED, LENGTH, length_class

# Slots of a window's memory, int64: the running facts.
WORD, PREVIOUS_WORD, WORD_BEFORE = 0, 1, 2  # hashes of runs of letters in lower case; WORD is 0 between words
LINE, LINE_ABOVE = 3, 4  # where the line and the one above begin
FIELD = 5  # separators since the line began
KINDS = 6  # the kinds of the last six bytes, 8 bits each
OUTLINE = 7  # the same, but runs of letters and of digits count once
INDENTATION, FIRST_BYTE = 8, 9  # of the line
TAG, IN_TAG = 10, 11  # hash of the last markup tag's name; whether the name goes on
SYMBOL, SYMBOL_BEFORE = 12, 13  # the last two symbols
FIELDS = 32  # of a line; the last one is the rest
FIELDS_HERE = 14  # FIELDS_HERE + n: where field n of the line begins
FIELDS_ABOVE = FIELDS_HERE + FIELDS  # and that of the line above; 0: none
AFTER_BYTE = FIELDS_ABOVE + FIELDS  # AFTER_BYTE + b: the last two bytes that followed a byte b
PAIRS = 4096  # hashes of two bytes
AFTER_PAIR = AFTER_BYTE + 256  # AFTER_PAIR + h: the same for two bytes with a hash h
MEMORY_SIZE = AFTER_PAIR + PAIRS
# Slots of what the network expects: its two likeliest symbols, of equals the first, or -1 without a network; the
# frequency of the likeliest in sixteenths.
LIKELIEST, RUNNER_UP, CONFIDENCE = 0, 1, 2

LETTER, DIGIT, BLANK, OTHER = 1, 2, 3, 4  # kinds; OTHER: bytes from 4 on that are none of these
_LAST_SIX = (1 << 48) - 1


@inline
def _is_separator(byte):
    """Say whether a byte is a tab, a double quote, or one of , : ; < > |."""
    return byte in (0x09, 0x22, 0x2C, 0x3A, 0x3B, 0x3C, 0x3E, 0x7C)


@inline
def _back(history, size, distance):
    """Return the byte at a distance behind the end, 0 before the beginning."""
    return i64(history[size - distance]) if distance <= size else i64(0)


@inline
def _pair(second, last):
    """Return which fact says what followed two bytes."""
    return AFTER_PAIR + i64(combine(second, last) % u32(PAIRS))


@kernel
def remember(history, size, memory):
    """Update the facts of a window with the byte at the end of history[:size]."""
    byte = i64(history[size - 1])
    before = _back(history, size, 2)
    memory[AFTER_BYTE + before] = (memory[AFTER_BYTE + before] & 0xFF) << 8 | byte
    pair = _pair(_back(history, size, 3), before)
    memory[pair] = (memory[pair] & 0xFF) << 8 | byte
    lower = byte + 32 if 65 <= byte <= 90 else byte
    is_letter = 97 <= lower <= 122 or byte >= 128
    is_digit = 48 <= byte <= 57
    if is_letter:
        memory[WORD] = combine(memory[WORD], lower)
    elif memory[WORD] != 0:
        memory[WORD_BEFORE] = memory[PREVIOUS_WORD]
        memory[PREVIOUS_WORD] = memory[WORD]
        memory[WORD] = 0

    kind = LETTER if is_letter else DIGIT if is_digit else BLANK if byte == 32 else byte
    memory[KINDS] = ((memory[KINDS] << 8) | kind) & _LAST_SIX
    if not ((is_letter or is_digit) and memory[OUTLINE] & 0xFF == kind):
        memory[OUTLINE] = ((memory[OUTLINE] << 8) | kind) & _LAST_SIX

    if byte == 10:
        memory[LINE_ABOVE] = memory[LINE]
        memory[LINE] = size
        memory[FIELD] = memory[INDENTATION] = memory[FIRST_BYTE] = 0
        for field in range(FIELDS):
            memory[FIELDS_ABOVE + field] = memory[FIELDS_HERE + field]
            memory[FIELDS_HERE + field] = 0
        memory[FIELDS_HERE] = size
    else:
        if _is_separator(byte):
            memory[FIELD] += 1
            memory[FIELDS_HERE + min(memory[FIELD], FIELDS - 1)] = size
        if memory[FIRST_BYTE] == 0:
            if byte == 32 or byte == 9:
                memory[INDENTATION] += 1
            else:
                memory[FIRST_BYTE] = byte

    if byte == 0x3C:  # <
        memory[TAG], memory[IN_TAG] = 0, 1
    elif memory[IN_TAG]:
        if is_letter or is_digit or byte == 0x2F:
            memory[TAG] = combine(memory[TAG], byte)
        else:
            memory[IN_TAG] = 0


@inline
def _above(history, memory, at):
    """Return the byte at a place of the line above, 0 behind its end."""
    return i64(history[at]) if at < memory[LINE] else i64(0)


@inline
def best_match(matches):
    """Return the byte that the longest match expects, and its length; -1, 0: there is none."""
    expected, length = i64(-1), i64(0)
    for k in range(len(matches)):
        if matches[k, EXPECTED] >= 0 and matches[k, LENGTH] >= length:
            expected, length = matches[k, EXPECTED], matches[k, LENGTH]
    return expected, length


@inline
def hash_contexts(block, w, node):
    """Write the hashes (CONTEXTS,) uint32 of the contexts of the next byte of window w.

    node: where in the tree the byte begins, and so what of its symbol is known.
    """
    windows, row_length = block.windows, block.row_length
    history, size, memory, matches = windows.history[w], windows.size[w], windows.memory[w], windows.match[w]
    expects, out = block.decision.expects, block.decision.hashes
    c1, c2 = _back(history, size, 1), _back(history, size, 2)
    c3, c4 = _back(history, size, 3), _back(history, size, 4)
    # The last 0 to 4, 6, 8 and 12 bytes.
    out[0] = combine(node, 0)
    h = combine(combine(0, node), c1)
    out[1] = h
    h = combine(h, c2)
    out[2] = h
    h = combine(h, c3)
    out[3] = h
    h = combine(h, c4)
    out[4] = h
    for distance in range(5, 13):
        h = combine(h, _back(history, size, distance))
        if distance == 6:
            out[6] = h
        elif distance == 8:
            out[7] = h
    out[8] = h
    # What the matches expect.
    expected, length = best_match(matches)
    out[9] = combine(expected, length_class(length))
    out[10] = combine(combine(expected, c1), min(length, 15) >> 2)
    # Symbols.
    out[12] = combine(combine(node, memory[SYMBOL]), memory[SYMBOL_BEFORE])
    # Sparse.
    out[11] = combine(c2, c3)
    out[13] = combine(combine(c2, c3), c4)
    out[14] = combine(c3, c4)
    # Kinds of bytes.
    out[15] = combine(memory[KINDS] & 0xFFFFFFFF, c1)
    out[16] = combine(combine(memory[OUTLINE] & 0xFFFFFFFF, memory[OUTLINE] >> 32), c1)
    # Words.
    word, previous, before = i64(combine(memory[WORD], node)), memory[PREVIOUS_WORD], memory[WORD_BEFORE]
    out[5] = combine(combine(combine(word, previous), before), c1)
    out[17] = combine(combine(word, previous), c1)
    # Fields.
    field = min(memory[FIELD], FIELDS - 1)
    at = memory[FIELDS_ABOVE + field] + size - memory[FIELDS_HERE + field]
    has_above = memory[FIELDS_ABOVE + field] > 0
    field_above = _above(history, memory, at) if has_above else i64(0)
    out[18] = combine(combine(field_above, memory[FIELD]), memory[FIRST_BYTE])
    if row_length > 0:
        # Rows: the bytes above, two above, and above on the left and right.
        column = size % row_length
        above, second = _back(history, size, row_length), _back(history, size, 2 * row_length)
        left, right = _back(history, size, row_length + 1), _back(history, size, row_length - 1)
        trend = above + c1 - left
        out[19] = combine(combine(above, right), c1)
        out[20] = combine(combine(column, above), second)
        out[21] = combine(column, c1)
        out[22] = combine(combine(column, c1), c2)
        out[23] = combine(combine(column, above), c1)
        out[24] = combine(above, c1)
        out[25] = combine(combine(combine(left, above), right), c1)
        out[26] = combine(combine(above, second), c1 - left)
        out[27] = combine(column, trend)
    else:
        # Lines: the byte above, more of fields, words and tags.
        column = size - memory[LINE]
        place = memory[LINE_ABOVE] + column
        above, right = _above(history, memory, place), _above(history, memory, place + 1)
        field_right = _above(history, memory, at + 1) if has_above else i64(0)
        out[19] = combine(combine(above, right), c1)
        out[20] = combine(column, above)
        out[21] = combine(column, c1)
        out[22] = combine(combine(field_above, field_right), c1)
        out[23] = combine(combine(combine(memory[FIELD], memory[FIRST_BYTE]), word), c1)
        out[24] = combine(combine(memory[INDENTATION], memory[FIRST_BYTE]), word)
        out[25] = combine(combine(memory[TAG], word), c1)
        out[26] = combine(word, c1)
        out[27] = combine(combine(word, before), c1)
    # What followed the last byte, and the last two, the times before.
    out[28] = combine(combine(memory[AFTER_BYTE + c1], c1), node)
    out[29] = combine(combine(memory[_pair(c2, c1)], c1), node)
    if expects[LIKELIEST] >= 0:  # instead of contexts that tell nothing more where there is a network
        likeliest = i64(combine(node, expects[LIKELIEST]))
        out[0] = combine(likeliest, expects[CONFIDENCE])
        out[13] = combine(likeliest, memory[SYMBOL])
        out[21] = combine(likeliest, expects[RUNNER_UP])
    for i in range(CONTEXTS):  # contexts with the same facts stay apart
        out[i] = combine(out[i], i)
