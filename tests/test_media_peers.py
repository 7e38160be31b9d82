"""Compressors of pictures and sound to compare with."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from test_formats_png import saved
from test_formats_raw import PICTURE, sound

from lmzip.cli.report import report_command
from lmzip.measure import baselines, media_peers
from lmzip.measure.baselines import Compressor

PEERS = [(kind, peer) for kind, peers in media_peers.PEERS.items() for peer in peers if not peer.missing]


def file_of(kind: str) -> bytes:
    return saved(Image.fromarray(PICTURE)) if kind == "image" else sound(2, 16, 5000)


@pytest.mark.parametrize(("kind", "peer"), PEERS, ids=lambda value: getattr(value, "name", value))
def test_peers_bring_back_pixels_and_samples(kind: str, peer: Compressor) -> None:
    result = baselines.measure(peer, file_of(kind))
    assert result.error is None
    assert 0 < result.compressed_bytes < 2 * result.raw_bytes  # the sound is noise


@pytest.mark.parametrize(("kind", "peer"), PEERS, ids=lambda value: getattr(value, "name", value))
def test_lost_bits_are_noticed(kind: str, peer: Compressor) -> None:
    other = file_of(kind)[:-30] + bytes(30) if kind == "audio" else saved(Image.fromarray(PICTURE[::-1]))
    liar = Compressor(peer.name, lambda data: peer.encode(other), peer.decode, content=peer.content)
    assert "than it was given" in (baselines.measure(liar, file_of(kind)).error or "")


def test_what_they_cannot_take_is_an_error() -> None:
    for _, peer in PEERS:
        assert peer is media_peers.AS_IT_IS or baselines.measure(peer, b"text" * 100).error


def test_a_missing_program_is_skipped_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(file_of("image"))
    find = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "djxl" else find(name))
    run = CliRunner().invoke(report_command, ["--no-lmzip", "--peers", "xz,as,jxl,webp", str(tmp_path / "a.png")])
    assert run.exit_code == 0
    assert "jxl -e 9 (pixels): skipped, cjxl or djxl is not installed" in run.stderr
    assert "webp -z 9 (pixels)" in run.stdout


def test_peers_go_with_the_kind_of_all_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.wav", "c.txt", "none")]
    for path, data in zip(paths, (file_of("image"), file_of("audio"), b"text"), strict=False):
        path.write_bytes(data)
    assert media_peers.peers_for([paths[0], paths[3]]) == media_peers.IMAGE_PEERS
    assert media_peers.peers_for([paths[1]]) == media_peers.AUDIO_PEERS
    assert media_peers.peers_for([Path(__file__).parent / "sounds" / "libflac.flac"]) == (media_peers.AS_IT_IS,)
    assert (
        media_peers.peers_for(paths[:2]) == media_peers.peers_for(paths[2:]) == media_peers.peers_for(paths[3:]) == ()
    )


def test_benchmark_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parent.parent / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("media_benchmark", folder / "media.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "media_benchmark", benchmark)
    spec.loader.exec_module(benchmark)
    info = baselines.ModelInfo("mock", "00", "exact-1", 1, 0.0)
    monkeypatch.setattr(baselines, "open_model", lambda **options: (None, info))
    count = []
    monkeypatch.setattr(
        baselines,
        "lmzip_compressor",
        lambda level, model: Compressor("lmzip -6", lambda data: count.append(1) or data[:], bytes),
    )
    monkeypatch.setattr(
        media_peers, "PEERS", {"image": media_peers.IMAGE_PEERS[:1], "audio": media_peers.AUDIO_PEERS[:1]}
    )
    monkeypatch.setattr(baselines, "_ENOUGH_SECONDS", 0.0)
    (tmp_path / "in").mkdir()
    for name, data in (("a.png", file_of("image")), ("b.wav", file_of("audio")), ("c.txt", b"text")):
        (tmp_path / "in" / name).write_bytes(data)
    arguments = [str(tmp_path / "in"), "--out", str(tmp_path / "out.csv"), "--markdown"]
    first = CliRunner().invoke(benchmark.main, arguments)
    assert first.exit_code == 0, first.output
    calls = len(count)
    again = CliRunner().invoke(benchmark.main, arguments)
    assert len(count) == calls > 0
    assert again.stdout == first.stdout
    assert "| . | as it is | 2 |" in first.stdout
