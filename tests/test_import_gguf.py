"""GGUF files: the same exact models as from Hugging Face's formats, from one file, several, a wheel or a package."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
from command import Call, names
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Kind
from gguf_files import Change, Tensors, write_gguf
from language_models import PROSE, make_model

from lmzip.models.importing.families import read_config
from lmzip.models.importing.find import find_source
from lmzip.models.importing.folder import FolderSource
from lmzip.models.importing.gguf.file import GGUFFile
from lmzip.models.importing.gguf.source import GGUFSource
from lmzip.models.importing.importer import import_model
from lmzip.models.networks.imported_tokenizer import ImportedTokenizer
from lmzip.models.registry import load_model

TEXT = PROSE[:2000].encode()
FAMILIES = ["llama", "llama2", "mistral", "qwen2", "qwen3", "gemma3", "gpt2"]
QUANTISED = [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.MXFP4]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_model(tmp_path_factory.mktemp(request.param) / "float", request.param, 3)
    if request.param == "gemma3":  # llama.cpp knows the scale of queries without being told
        path = folder / "config.json"
        path.write_text(path.read_text().replace('"query_pre_attn_scalar": 16', '"query_pre_attn_scalar": 32'))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("source") / "float", "llama", 3)


def open_gguf(path: Path) -> GGUFSource:
    source = find_source(str(path))
    assert isinstance(source, GGUFSource)
    return source


def test_the_same_model_as_from_a_folder(family: Path, tmp_path: Path) -> None:
    source = open_gguf(write_gguf(family, tmp_path / "model.gguf"))
    assert source.notes == ()
    reports = [
        import_model(found, tmp_path / kind, TEXT, model_id="the same")
        for kind, found in (("folder", FolderSource(family)), ("gguf", source))
    ]
    assert reports[0].parent == pytest.approx(reports[1].parent, abs=1e-6)
    for name in ("config.json", "weights.safetensors"):
        assert (tmp_path / "gguf" / name).read_bytes() == (tmp_path / "folder" / name).read_bytes()
    one, other = (
        ImportedTokenizer.from_json((tmp_path / kind / "tokenizer.json").read_text()) for kind in ("folder", "gguf")
    )
    assert one.vocabulary == other.vocabulary
    text = PROSE[:20_000].encode() + b"  \xff\0<s>\r\n\n"
    assert one.encode(text).tolist() == other.encode(text).tolist()
    if json.loads((family / "tokenizer.json").read_text())["model"]["byte_fallback"] is False:
        assert reports[0].sha256 == reports[1].sha256
    card = (tmp_path / "gguf" / "README.md").read_text()
    assert "from the file model.gguf" in card


def test_scaled_rotary_embeddings(tmp_path: Path) -> None:
    source = make_model(tmp_path / "float", "llama3", 0)
    tokenizer = make_model(tmp_path / "other", "llama", 0) / "tokenizer.json"
    shutil.copyfile(tokenizer, source / "tokenizer.json")
    path = write_gguf(source, tmp_path / "model.gguf")
    folder = FolderSource(source)
    assert read_config(open_gguf(path).config)[0] == read_config(folder.config)[0]

    def linear(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
        del tensors["rope_freqs.weight"]
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(4.0)

    path = write_gguf(source, tmp_path / "linear.gguf", change=linear)
    assert read_config(open_gguf(path).config)[0].rope_scaling == ("linear", 4.0)


@pytest.mark.parametrize("kind", QUANTISED)
def test_quantised_matrices(kind: Kind, folder: Path, tmp_path: Path) -> None:
    source, original = open_gguf(write_gguf(folder, tmp_path / "model.gguf", kind)), FolderSource(folder)
    for name in ("model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight", "model.norm.weight"):
        value = original.tensor(name)
        expected = gguf.dequantize(gguf.quantize(value, kind), kind) if value.ndim == 2 else value
        assert np.array_equal(source.tensor(name), expected)
    value = source.tensor("model.layers.0.self_attn.k_proj.weight")
    assert value.dtype == np.float32
    assert np.abs(value - original.tensor("model.layers.0.self_attn.k_proj.weight")).max() < 0.2


def readable(kind: Kind) -> bool:
    try:
        gguf.dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


@pytest.mark.parametrize("kind", [kind for kind in Kind if readable(kind)])
def test_every_type_of_tensors(kind: Kind, tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (3, 2 * GGML_QUANT_SIZES[kind][1])).astype(np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("x", stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with np.errstate(all="ignore"):
        expected = gguf.dequantize(stored, kind)
    file = GGUFFile((tmp_path / "model.gguf").read_bytes(), "model.gguf")
    assert file.tensors["x"].shape == (3, 2 * GGML_QUANT_SIZES[kind][0])
    assert np.array_equal(file.read("x"), expected.astype(np.float32), equal_nan=True)


def test_types_that_are_not_read(folder: Path, tmp_path: Path) -> None:
    def whole(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
        tensors["output_norm.weight"] = np.ones(64, np.int32)  # type: ignore[assignment]

    source = open_gguf(write_gguf(folder, tmp_path / "model.gguf", change=whole))
    with pytest.raises(ValueError, match=r"output_norm\.weight has the type I32, which is not read"):
        source.tensor("model.norm.weight")


# Several files, wheels, packages.


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> Path:
    return write_gguf(folder, tmp_path / "model.gguf", Kind.Q8_0)


def test_a_split_file(folder: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    first = write_gguf(folder, tmp_path / "split" / "model.gguf", Kind.Q8_0, tensors_a_file=8)
    parts = names(first.parent)
    assert first.name == "model-00001-of-00003.gguf" and len(parts) == 3
    for found in (open_gguf(first), open_gguf(first.parent)):
        for name in ("model.embed_tokens.weight", "model.norm.weight"):
            assert np.array_equal(found.tensor(name), open_gguf(file).tensor(name))
    with pytest.raises(ValueError, match=r"part of a split GGUF; give the first one, model-00001-of-00003\.gguf"):
        open_gguf(first.parent / "model-00002-of-00003.gguf")
    (first.parent / "model-00003-of-00003.gguf").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 files of the split GGUF are missing: model-00003-of-00003\.gguf"):
        open_gguf(first)
    shutil.copyfile(first, tmp_path / "renamed.gguf")
    with pytest.raises(ValueError, match=r"renamed\.gguf is one of 3 files of a split GGUF"):
        open_gguf(tmp_path / "renamed.gguf")


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    path = folder / f"{name}-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('nobody runs this')")
        for file, content in files.items():
            archive.writestr(f"{name}/data/{file}", content)
    return path


def test_a_wheel(file: Path, tmp_path: Path) -> None:
    found = open_gguf(wheel(tmp_path, "llm_small", {"small.gguf": file.read_bytes()}))
    assert (found.id, found.name) == (open_gguf(file).id, "")
    assert found.origin == "the wheel llm_small-1.0.0-py3-none-any.whl"


def pieces(file: Path) -> dict[str, dict[str, bytes]]:
    """Return the packages, and their files, that a GGUF may be spread over."""
    content, sha256 = file.read_bytes(), hashlib.sha256(file.read_bytes()).hexdigest()
    cuts = [0, len(content) // 3, len(content) // 2, len(content)]
    parts = {f"llm_parts_part{i + 1}": {f"small.gguf.part{i:02}": content[cuts[i] : cuts[i + 1]]} for i in range(3)}
    return {"llm_parts": {"SHA256SUMS": f"{sha256}  small.gguf\n".encode()}} | parts


def test_a_wheel_and_those_of_its_parts(file: Path, tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, name, files) for name, files in pieces(file).items()]
    assert open_gguf(wheels[0]).id == open_gguf(file).id
    wheel(tmp_path, "llm_parts_part2", {"small.gguf.part01": b"other"})
    with pytest.raises(ValueError, match=r"small\.gguf: its 3 pieces do not make the file"):
        open_gguf(wheels[0])
    wheel(tmp_path, "llm_parts_part2", {})
    with pytest.raises(ValueError, match=r"of the pieces of the file only the numbers \[0, 2\] are here"):
        open_gguf(wheels[0])
    for path in wheels[1:]:
        path.unlink()
    with pytest.raises(ValueError, match=r"holds no GGUF file, nor do the parts NAME_part1, NAME_part2"):
        open_gguf(wheels[0])


def test_wheels_that_do_not_help(file: Path, tmp_path: Path) -> None:
    two = wheel(tmp_path, "llm_two", {"a.gguf": b"", "b.gguf": b""})
    with pytest.raises(ValueError, match=r"holds 2 GGUF files: a\.gguf, b\.gguf\. Give one of them"):
        open_gguf(two)
    split = wheel(tmp_path, "llm_split", {"a-00002-of-00002.gguf": file.read_bytes()})
    with pytest.raises(ValueError, match=r"1 of 2 files of the split GGUF are missing: a-00001-of-00002\.gguf"):
        open_gguf(split)
    two.write_bytes(two.read_bytes()[:100])
    with pytest.raises(ValueError, match="is damaged or only in part here: File is not a zip file; get it again"):
        open_gguf(two)
    one = wheel(tmp_path, "llm_one", {"a.gguf": file.read_bytes()})
    damaged = bytearray(one.read_bytes())
    damaged[5000:5100] = bytes(100)
    one.write_bytes(damaged)
    with pytest.raises((ValueError), match=r"llm_one-.*\.whl is damaged: .*; get it again"):
        open_gguf(one)


def test_installed_packages(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, files in {**pieces(file), "llm_small": {"small.gguf": file.read_bytes()}}.items():
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('nobody runs this')")
        for part, content in files.items():
            (tmp_path / name / "data" / part).write_bytes(content)
    importlib.invalidate_caches()
    for text in ("llm_small", "llm-small", "llm_parts"):
        found = find_source(text)
        assert isinstance(found, GGUFSource)
        assert (found.id, found.name) == (open_gguf(file).id, text.replace("-", "_"))
    with pytest.raises(ValueError, match="the package json holds no GGUF"):
        find_source("json")


def test_folders_with_a_gguf(file: Path, tmp_path: Path) -> None:
    assert open_gguf(tmp_path).id == open_gguf(file).id
    shutil.copyfile(file, tmp_path / "other.gguf")
    with pytest.raises(ValueError, match=r"holds 2 GGUF files; give one of them, such as .*model\.gguf"):
        find_source(str(tmp_path))


# Bad input.


def metadata(key: str, value: str) -> Change:
    return lambda writer, tensors: writer.add_string(key, value)


def architecture(name: str) -> Change:
    def change(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
        writer.kv_data[0]["general.architecture"].value = name

    return change


def without(key: str) -> Change:
    return lambda writer, tensors: writer.kv_data[0].pop(key) and None


def replaced(key: str, value: object) -> Change:
    def change(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
        writer.kv_data[0][key].value = value

    return change


def tensor(name: str, value: np.ndarray | None) -> Change:
    def change(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
        tensors.pop(name, None)
        if value is not None:
            tensors[name] = value.astype(np.float32)

    return change


NORM = "blk.1.attn_norm.weight"
DAMAGES: list[tuple[Change, str]] = [
    (architecture("mamba"), "the architecture 'mamba' is not one of those that are read from GGUF: llama, qwen2"),
    (without("llama.embedding_length"), r"the metadata lack llama\.embedding_length"),
    (without("llama.attention.layer_norm_rms_epsilon"), r"lack llama\.attention\.layer_norm_rms_epsilon"),
    (replaced("llama.embedding_length", 0), "the metadata are damaged: the sizes 4, 0, 2, 96, 96"),
    (replaced("llama.embedding_length", 128), r"embd\.weight has the shape \(608, 64\) instead of \(608, 128\)"),
    (lambda writer, _: writer.add_expert_count(8), "with llama.expert_count is not supported"),
    (lambda writer, _: writer.add_rope_dimension_count(8), "parts of a head are not supported"),
    (lambda writer, _: writer.add_value_length(8), "keys and values of different sizes"),
    (tensor("token_embd.weight", None), "something else than a language model"),
    (tensor(NORM, None), "the weights lack model.layers.1.input_layernorm.weight"),
    (tensor(NORM, np.ones(7)), rf"{NORM} has the shape \(7,\) instead of \(64,\)"),
    (tensor(NORM, np.full(64, np.nan)), f"the tensor {NORM} holds numbers that are not finite"),
    (tensor("blk.0.ffn_gate_exps.weight", np.ones((2, 2, 2))), "does not belong to the architecture"),
    (tensor("rope_freqs.weight", np.arange(1, 9)), "scales rotary embeddings in another way than Llama 3"),
    (replaced("tokenizer.ggml.model", "bert"), "a tokenizer of the kind 'bert' cannot be mapped to bytes"),
    (without("tokenizer.ggml.tokens"), r"the metadata lack the tokens"),
    (without("tokenizer.ggml.merges"), r"the metadata lack the merges"),
    (replaced("tokenizer.ggml.merges", ["a bcdefghi"]), "the tokenizer merges 'a bcdefghi', which are not tokens"),
    (replaced("tokenizer.ggml.token_type", [1, 2]), "not as many types of tokens as tokens"),
    (replaced("tokenizer.ggml.model", "llama"), "the metadata lack the scores"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), DAMAGES)
def test_files_that_cannot_be_imported(change: Change, message: str, folder: Path, tmp_path: Path) -> None:
    path = write_gguf(folder, tmp_path / "model.gguf", change=change)
    with pytest.raises(ValueError, match=message):
        import_model(open_gguf(path), tmp_path / "exact", TEXT)
    assert names(tmp_path) == ["model.gguf"]


def test_files_that_are_not_all_here(file: Path) -> None:
    content = file.read_bytes()
    with pytest.raises(ValueError, match=r"in the middle of its metadata. Get it again"):
        GGUFFile(b"", "model.gguf")
    for size in [*range(4, 400), *range(400, 20_000, 97)]:
        with pytest.raises(ValueError, match=r"not all here: it ends after .* Get it again"):
            GGUFFile(content[:size], "model.gguf")
    with pytest.raises(ValueError, match=r"but the tensor .* ends at .*\. Get it again"):
        GGUFFile(content[:-40], "model.gguf")


def test_damaged_bytes_are_a_clear_error_or_none(file: Path) -> None:
    content, rng = file.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, 9000, 3):
            damaged[place] = rng.integers(256)
        try:
            GGUFSource([GGUFFile(bytes(damaged), "model.gguf")], "a file")
        except ValueError as error:
            assert str(error)


def test_other_files(tmp_path: Path, file: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(ValueError, match=r"model\.bin is not a GGUF file"):
        find_source(str(tmp_path / "model.bin"))
    content = bytearray(file.read_bytes())
    for version in (1, 0x03000000, 4):
        content[4:8] = version.to_bytes(4, "little")
        with pytest.raises(ValueError, match=f"has the version {version} of GGUF, or numbers in the other byte order"):
            GGUFFile(bytes(content), "model.gguf")


def test_without_the_package(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r"pip install 'lmzip-codec\[import\]'"):
        find_source(str(file))


def test_the_command(call: Call, file: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    outcome = call("models", "import", "model.gguf", "--calibration", "text", "-o", "model-exact")
    assert outcome.code == 0, outcome.err
    assert sorted(names(tmp_path / "model-exact")) == [
        "README.md", "config.json", "tokenizer.json", "weights.safetensors"
    ]  # fmt: skip
    assert call("compress", "--method", "ensemble", "-m", "model-exact", "text").code == 0
    assert call("decompress", "-m", "model-exact", "-c", "text.lmzip").out == TEXT
    outcome = call("models", "import", "nothing.gguf")
    assert outcome.code == 4 and b"no such file, folder or installed package" in outcome.err.encode()


def test_torch_is_not_needed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    code = "import sys; sys.modules.update(torch=None, transformers=None)\nfrom lmzip.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "import", str(file), "-o", str(tmp_path / "exact"), "--calibration",
         str(tmp_path / "text")],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and "float not measured" in done.stdout, done.stderr
    assert load_model(tmp_path / "exact").engine.config.vocab_size == 596
