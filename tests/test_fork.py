"""Processes that are forked, spawned or served by a fork server, by parents that have used lmzip and by others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command import TEXT

# Blocks of ten windows, and of one whose steps are shared: all threads that there are.
PROGRAM = """
import multiprocessing, os, sys, threading
from concurrent.futures import ThreadPoolExecutor
import lmzip
from lmzip.models import registry

TEXT = open("text", "rb").read()

def pack(level):
    model = lmzip.load_model(sys.argv[1], threads=4)
    return lmzip.compress(TEXT, level, verify=False, method="ensemble", model=model)

def unpack(data):
    return lmzip.decompress(data, model=lmzip.load_model(sys.argv[1], threads=4))

def several(function, items):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))

def answer(pipe, function):
    pipe.send(several(function, pipe.recv()))

def in_child(context, function, items):
    here, there = context.Pipe()
    child = context.Process(target=answer, args=(there, function))
    child.start()
    here.send(items)
    result = here.recv()
    child.join()
    assert child.exitcode == 0
    return result
"""
# The parent has used lmzip when its child begins, or it has not.
CASES = {
    "parent first": "packed = several(pack, LEVELS); assert in_child(context, unpack, packed) == [TEXT] * 2\n"
    "    assert in_child(context, pack, LEVELS) == packed",
    "child first": "packed = in_child(context, pack, LEVELS); assert several(unpack, packed) == [TEXT] * 2\n"
    "    assert in_child(context, unpack, packed) == [TEXT] * 2",
}


def run(tmp_path: Path, program: str, *arguments: str) -> None:
    """Run a program; it must end, say nothing and fail nowhere."""
    (tmp_path / "program.py").write_text(PROGRAM + program)
    (tmp_path / "text").write_bytes(TEXT * 14)
    words = [sys.executable, "program.py", *arguments]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=300, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_every_kind(tmp_path: Path, tiny_model: Path, method: str, case: str) -> None:
    run(
        tmp_path,
        "LEVELS = [4, 9]\n"
        'if __name__ == "__main__":\n'
        f'    context = multiprocessing.get_context("{method}")\n'
        f"    {CASES[case]}\n",
        str(tiny_model),
    )


# What other threads do at the moment of the fork is not done in the child, which must not wait for it.
FORK = """
child = os.fork()
if not child:
    {child}
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_fork_while_a_model_is_loaded(tmp_path: Path, tiny_model: Path) -> None:
    run(
        tmp_path,
        "loads, done = threading.Event(), threading.Event()\n"
        "load = registry._load\n"
        "def slow(*arguments):\n"
        "    loads.set(); done.wait(); return load(*arguments)\n"
        "registry._load = slow\n"
        "thread = threading.Thread(target=lmzip.load_model, args=(sys.argv[1],)); thread.start(); loads.wait()\n"
        "registry._load = load\n"
        f"{FORK.format(child='assert unpack(pack(4)) == TEXT')}"
        "done.set(); thread.join()\n",
        str(tiny_model),
    )


def test_fork_while_a_kernel_is_compiled(tmp_path: Path) -> None:
    run(
        tmp_path,
        "from lmzip.coders import compiled\n"
        "locked, forks = threading.Event(), threading.Event()\n"
        "def compile_slowly():\n"
        "    with compiled.global_compiler_lock:\n"
        "        locked.set(); forks.wait(0.5)\n"
        "thread = threading.Thread(target=compile_slowly); thread.start(); locked.wait()\n"
        f"{FORK.format(child='with compiled.global_compiler_lock: pass')}"
        "thread.join()\n",
    )


def test_children_of_children(tmp_path: Path, tiny_model: Path) -> None:
    run(
        tmp_path,
        "def fork(generations):\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        assert os.waitpid(child, 0)[1] == 0\n"
        "    else:\n"
        "        assert unpack(packed) == TEXT\n"
        "        if generations > 1:\n"
        "            fork(generations - 1)\n"
        "        os._exit(0)\n"
        "packed = pack(4)\n"
        "fork(3)\n",
        str(tiny_model),
    )
