"""The command line.

`main` looks at the first word: with a command's name the group `commands` takes over, anything
else is read the way gzip would, by `plain`. Options in the environment variable LMZIP_OPTS are
what holds where the command line says nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from lmzip import __version__
from lmzip.cli import files
from lmzip.cli.paths import SUFFIX, MisuseError
from lmzip.cli.terminal import Exit, say
from lmzip.coders import CODER_IDS
from lmzip.options import KINDS, LEVELS, METHODS

Decorator = Callable[[Any], Any]

DEFAULTS = "LMZIP_OPTS"  # the environment variable with options that hold unless others are given

# Commands of other modules, imported when they are called: module, object, line of help.
LAZY = {
    "list": ("lmzip.cli.listing", "list_command", "Show what compressed files hold."),
    "report": ("lmzip.cli.report", "report_command", "Compare with other compressors on files of yours."),
    "equal-info": ("lmzip.cli.equal_info", "equal_info_command", "Make tokens of equal information of text."),
    "models": ("lmzip.cli.models", "models_command", "List, describe, check and import models."),
}

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
EPILOG = """\b
Also as gzip: lmzip FILE, lmzip -d FILE.lmzip, -t, -l, lmzip < IN > OUT, tar -I lmzip -cf X.tar.lmzip FOLDER.
A file that has the name of a command: lmzip ./list.

\b
Options in the environment variable LMZIP_OPTS hold for compress, decompress and test as far as they
have them, and unless the command line says otherwise: LMZIP_OPTS='--fast -T 4'.

\b
Exit codes: 0 fine, 1 bad data or trouble with a file, 2 wrong use, 3 a file was skipped,
4 a model is missing or another one, 130 interrupted. Of several files the gravest: 1, 4, 2, 3.
"""


def joined(*decorators: Decorator) -> Decorator:
    """Return the decorators as one, the first outermost."""

    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _level(number: int, *names: str, text: str = "") -> Decorator:
    return click.option(
        f"-{number}", *names, "level", flag_value=number, type=int, default=None, help=text, hidden=not text
    )


# Plain strings: click would end the whole command for a file that cannot be read.
files_argument = click.argument("files", nargs=-1, type=str)
talk_options = joined(
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
    click.option("--json", is_flag=True, help="Print one JSON object for each file, a line each."),
)
output_options = joined(
    click.option("-c", "--stdout", is_flag=True, help="Write to standard output."),
    click.option("-o", "--output", metavar="FILE", help="Write to FILE, or to files in FOLDER/; - is standard output."),
    click.option("-S", "--suffix", metavar="SUFFIX", help=f"What the name of a compressed file ends in [{SUFFIX}]."),
    click.option("--rm/--keep", " /-k", "remove", help="Remove a file once its output is safe, or keep it [keep]."),
    click.option("-f", "--force", is_flag=True, help="Overwrite; write to a terminal; compress .lmzip files again."),
)
model_options = joined(
    click.option("-m", "--model", metavar="NAME", help="A model of `lmzip models list`, or a folder."),
    click.option("-T", "--threads", type=click.IntRange(0), default=0, metavar="N", help="Threads; 0 is all [0]."),
    click.option("--backend", type=click.Choice(["cpu", "torch", "cuda"]), help="What computes; same bytes by all."),
)
encode_options = joined(
    _level(1, "--fast", text="Decodes fastest."),
    *(_level(number) for number in range(2, 9)),
    _level(9, "--best", text="Smallest files; -2 to -8 lie between, the default is -6."),
    click.option("--level", type=click.IntRange(min(LEVELS), max(LEVELS)), metavar="N", help="The same as -N."),
    click.option("--no-verify", is_flag=True, help="Do not decode every block to compare."),
    click.option("--method", "--mode", type=click.Choice(METHODS), default="auto", help="What codes a block [auto]."),
    click.option("--kind", type=click.Choice(KINDS), default="auto", help="What kind of data a file is [auto]."),
    click.option("--coder", type=click.Choice(list(CODER_IDS)), default="range", help="Entropy coder [range]."),
)
decode_options = click.option(
    "--max-output", type=click.IntRange(0), metavar="BYTES", help="Stop with an error at more output."
)

recover_option = click.option(
    "--recover", is_flag=True, help="Of a damaged file write the blocks that are whole, say what is missing, and fail."
)


class LazyGroup(click.Group):
    """A group whose LAZY commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their definition."""
        return [*self.commands, *LAZY]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported if need be."""
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        module, name, _ = LAZY[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        rows = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows + [(name, text) for name, (_, _, text) in LAZY.items()])


@click.group(
    "lmzip", cls=LazyGroup, context_settings=SETTINGS, epilog=EPILOG, options_metavar="",
    subcommand_metavar="COMMAND [OPTIONS] [FILES]...",
)  # fmt: skip
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def commands() -> None:
    """Compress files without loss by a language model; the same bytes come back on every machine.

    Without FILES, or with - for one, standard input and output are used.
    """


@commands.command("compress")
@joined(files_argument, encode_options, output_options, model_options, talk_options)
def compress(**options: Any) -> int:
    """Compress each of FILES to FILE.lmzip.

    The file is kept. Its mode and time of change pass to the output.
    """
    return files.run("compress", _request(options))


@commands.command("decompress")
@joined(files_argument, decode_options, recover_option, output_options, model_options, talk_options)
def decompress(**options: Any) -> int:
    """Decompress each of FILES, whose names end in .lmzip."""
    return files.run("decompress", _request(options))


@commands.command("test")
@joined(files_argument, decode_options, model_options, talk_options)
def test(**options: Any) -> int:
    """Decompress FILES without writing anything."""
    return files.run("test", _request(options))


@click.command("lmzip", context_settings=SETTINGS, epilog="All commands: lmzip --help.")
@click.option("-d", "--decompress", "command", flag_value="decompress", default=None, help="Decompress.")
@click.option("-t", "--test", "command", flag_value="test", help="Decompress without writing anything.")
@click.option("-l", "--list", "command", flag_value="list", help="Show what files hold.")
@joined(files_argument, encode_options, decode_options, recover_option, output_options, model_options, talk_options)
def plain(command: str | None, **options: Any) -> int:
    """Compress FILES as gzip would; with -d, -t or -l decompress, test or list them."""
    request = _request(options)
    if command == "list":
        from lmzip.cli.listing import list_files

        return list_files(request.files, json_lines=request.json, verbose=request.verbose, quiet=request.quiet)
    return files.run(command or "compress", request)


def _request(given: dict[str, Any]) -> files.Request:
    """Return the request of a command, with those defaults that it has and that go with what was given."""
    context = click.get_current_context()
    request = files.Request(**given)
    defaults = {
        name: value for name, value in _defaults(context.obj or "").items()
        if name in given and context.get_parameter_source(name) is not ParameterSource.COMMANDLINE
    }  # fmt: skip
    with contextlib.suppress(MisuseError):
        return dataclasses.replace(request, **defaults)
    for name, value in defaults.items():  # some of them do not go with the command line, which wins
        with contextlib.suppress(MisuseError):
            request = dataclasses.replace(request, **{name: value})
    return request


def _defaults(text: str) -> dict[str, Any]:
    """Return the options that LMZIP_OPTS sets, by their names in a request; MisuseError where it cannot be."""
    try:
        with plain.make_context("lmzip", shlex.split(text)) as context:
            found = {
                name: value for name, value in context.params.items()
                if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            }  # fmt: skip
        if {"files", "command", "recover"} & found.keys():
            raise MisuseError("options of how files are coded may stand there; no file, no -d, -t, -l or --recover")
        files.Request(files=("file",), **found)
    except click.exceptions.Exit:
        raise MisuseError(f"{DEFAULTS}: --help belongs on the command line") from None
    except click.ClickException as error:
        raise MisuseError(f"{DEFAULTS}: {error.format_message()}") from error
    except (ValueError, MisuseError) as error:
        raise MisuseError(f"{DEFAULTS}: {error}") from error
    return found


class Interrupted(BaseException):
    """A signal came: a BaseException, so that only the clean-up handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the clean-up
    raise Interrupted(number)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turn signals into Interrupted; those that the caller had ignored stay ignored."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # not every system has the last
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names if hasattr(signal, name)}
    caught = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in caught:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)


def _tell(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    """Print a warning as a line, without the place in the source where it arose."""
    say(f"lmzip: {message}")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    words = list(sys.argv[1:] if args is None else args)
    named = [*commands.commands, *LAZY, "-h", "--help", "-V", "--version"]
    command = commands if words and words[0] in named else plain
    try:
        with _signals(), warnings.catch_warnings():
            warnings.showwarning = _tell
            code = command.main(words, "lmzip", standalone_mode=False, obj=os.environ.get(DEFAULTS, ""))
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except MisuseError as error:
        say(f"lmzip: {error}")
        code = Exit.MISUSE
    except OSError as error:  # of standard output; files have their own handling
        say(f"lmzip: {error.filename or 'standard output'}: {error.strerror}")
        code = Exit.FAILED
    except Interrupted as error:
        code = 128 + error.number
    sys.exit(int(code or 0))
