"""The core alone: nothing that an extra installs is imported, and where an extra is needed the error names it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command import TEXT

from lmzip.cli.models import models_command
from lmzip.errors import ModelError
from lmzip.models import extras, registry

# Forbids what extras install, and is itself silent.
FORBID = f"""
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(extras.EXTRAS)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Forbid())
"""


def run(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", FORBID + program, *arguments]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=500)


def test_the_core_compresses_and_decompresses(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    program = """
import lmzip
from lmzip import equal_info
data = open("text", "rb").read()
model = lmzip.load_model(sys.argv[1])
for options in {"method": "ensemble"}, {"method": "model"}, {"level": 3}:
    packed = lmzip.compress(data, model=model, **options)
    assert lmzip.decompress(packed, model=model) == data
    assert lmzip.get_frame_info(packed).content_size == len(data)
tokens = equal_info.encode(data[:400], model=model)
assert equal_info.decode(tokens, model=model) == data[:400]
assert not {"torch", "transformers"} & set(sys.modules)
"""
    done = run(program, str(tiny_model), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_commands_of_the_core(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    program = "from lmzip.cli.main import main; main(sys.argv[1:])"
    done = run(program, "models", "info", "--json", str(tiny_model), cwd=tmp_path)
    info = json.loads(done.stdout)
    assert done.returncode == 0 and done.stderr == "" and info["backends"] == {"cpu": True} and info["products"] == {}
    for words in (["-m", str(tiny_model), "text"], ["-d", "-f", "-m", str(tiny_model), "text.lmzip"]):
        assert run(program, *words, cwd=tmp_path).returncode == 0
    assert (tmp_path / "text").read_bytes() == TEXT
    done = run(program, "--backend", "torch", "-fm", str(tiny_model), "text", cwd=tmp_path)
    assert done.returncode == 4 and "pip install 'lmzip-codec[torch]'" in done.stderr
    done = run(program, "report", "--no-lmzip", "text", cwd=tmp_path)
    assert done.returncode == 0 and "brotli -11: skipped" in done.stderr and "'lmzip-codec[report]'" in done.stderr


@pytest.mark.parametrize(("package", "extra"), extras.EXTRAS.items())
def test_an_absent_package_is_an_error_that_says_what_installs_it(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}.*: pip install 'lmzip-codec\[{extra}\]'"):
        extras.require(package)
    assert not extras.has(package)


def test_absent_packages_where_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in extras.EXTRAS:
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"pip install 'lmzip-codec\[import\]'"):
        registry.load_model(f"float:{tmp_path}")
    for source in (str(tmp_path), "owner/name"):
        outcome = CliRunner().invoke(models_command, ["import", source], standalone_mode=False)
        assert outcome.return_value == 4 and "pip install 'lmzip-codec[import]'" in outcome.stderr
    for name in [name for name in sys.modules if name.startswith("lmzip.models.training")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'lmzip-codec\[train\]'"):
        __import__("lmzip.models.training.train")
