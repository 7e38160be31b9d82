"""Lossless compressors of pictures and sound, to compare with. They give back the pixels or samples, not the file."""

from __future__ import annotations

import functools
import io
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lmzip import formats
from lmzip.measure.baselines import Compressor


def pixels_of(data: bytes) -> bytes:
    """Return size and pixels of a picture, the same for every format; ValueError where Pillow would lose bits."""
    from PIL import Image

    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[24] == 16 and data[25]:
        raise ValueError("16 bits a channel")
    with Image.open(io.BytesIO(data)) as image:
        pixels = image if image.mode.startswith("I") else image.convert("RGBA")
        return repr(image.size).encode() + pixels.tobytes()


def samples_of(data: bytes) -> bytes:
    """Return shape and samples of a WAV or AIFF file of integers."""
    layout = formats.detect(data[: formats.HEAD_SIZE])
    deconstructed = layout.deconstruct(data, 0) if layout else None
    if deconstructed is None or deconstructed.kind != "audio":
        raise ValueError("not a sound of integer samples")
    return repr((deconstructed.samples.shape, deconstructed.depth)).encode() + deconstructed.samples.tobytes()


def kind_of(data: bytes) -> str | None:
    """Return "image", "audio" or "flac" (compressed already) for a file that lmzip takes for one, else None."""
    layout = formats.detect(data[: formats.HEAD_SIZE])
    if layout is None:
        return None
    return "flac" if data[:4] == b"fLaC" else layout.kind


def peers_for(paths: Sequence[Path]) -> tuple[Compressor, ...]:
    """Return the compressors that take all these files; none where they are of several kinds or of none."""
    found = set()
    for path in paths:
        try:
            with path.open("rb") as file:
                found.add(kind_of(file.read(formats.HEAD_SIZE)))
        except OSError:
            continue  # whoever measures it says so
    return PEERS.get(found.pop() or "", ()) if len(found) == 1 else ()


def _run(command: Sequence[str], suffixes: tuple[str, str], data: bytes) -> bytes:
    """Run a program on a file with data; IN and OUT in the command stand for the names of files."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = (str(Path(folder, name + suffix)) for name, suffix in zip("ab", suffixes, strict=True))
        Path(source).write_bytes(data)
        words = [{"IN": source, "OUT": target}.get(word, word) for word in command]
        subprocess.run(words, check=True, capture_output=True)
        return Path(target).read_bytes()


def _program(
    name: str, encode: str, decode: str, suffixes: tuple[str, str], content: Callable[[bytes], bytes]
) -> Compressor:
    """Return a compressor that is two programs; their output must have the content of the input."""
    to, back = encode.split(), decode.split()
    return Compressor(
        name,
        functools.partial(_run, to, suffixes),
        lambda code: content(_run(back, suffixes[::-1], code)),
        programs=(to[0], back[0]),
        content=content,
    )


def _encode_webp(data: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I"):
            raise ValueError("WebP has 8 bits a channel")
        image.save(buffer, "WEBP", lossless=True, quality=100, method=6, exact=True)
    return buffer.getvalue()


AS_IT_IS = Compressor("as it is", bytes, bytes)
IMAGE_PEERS = (
    AS_IT_IS,
    Compressor(
        "optipng -o2 (pixels)",
        functools.partial(_run, ("optipng", "-quiet", "-o2", "-out", "OUT", "IN"), (".png", ".png")),
        pixels_of,
        programs=("optipng",),
        content=pixels_of,
    ),
    Compressor("webp -z 9 (pixels)", _encode_webp, pixels_of, "PIL", content=pixels_of),
    _program("jxl -e 9 (pixels)", "cjxl IN OUT -d 0 -e 9 --quiet", "djxl IN OUT --quiet", (".png", ".jxl"), pixels_of),
)
AUDIO_PEERS = (
    AS_IT_IS,
    _program("flac -8 (samples)", "flac -8 -s -f -o OUT IN", "flac -d -s -f -o OUT IN", (".wav", ".flac"), samples_of),
    _program(
        "wavpack -hhx (samples)",
        "wavpack -hhx -q -y IN -o OUT",
        "wvunpack -q -y IN -o OUT",
        (".wav", ".wv"),
        samples_of,
    ),
    _program("mac -c5000 (samples)", "mac IN OUT -c5000", "mac IN OUT -d", (".wav", ".ape"), samples_of),
)
PEERS = {"image": IMAGE_PEERS, "audio": AUDIO_PEERS, "flac": (AS_IT_IS,)}
