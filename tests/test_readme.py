"""The README's Python runs as it stands there, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})
    assert (tmp_path / "notes.txt.lmzip").stat().st_size > 0


def test_links() -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if "://" not in t]
    assert len(targets) > 5
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_the_two_commands_come_first_and_name_files_that_exist() -> None:
    commands = re.findall(r"```sh\n(.*?)```", README, re.S)[:2]
    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)
    assert (ROOT / commands[0].split()[-1]).is_file() and commands[1].split()[-1] == ".venv/bin/pytest"
    assert README.index(commands[1]) < 1200


def test_the_example_in_the_format_document_is_the_golden_file() -> None:
    text = (ROOT / "FORMAT.md").read_text(encoding="utf-8")
    example = re.search(r"good-empty.lmzip`\):\n\n```\n(.*?)```", text, re.S)
    assert example is not None
    hexes = [re.match(r"(?:[0-9A-F]{2} ?)*", line) for line in example[1].splitlines()]
    data = bytes.fromhex(" ".join(match[0] for match in hexes if match))
    assert data == (ROOT / "tests" / "golden" / "good-empty.lmzip").read_bytes()
