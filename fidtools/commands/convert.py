"""`fidtools convert`: data between formats, checkpoints between libraries."""

from __future__ import annotations

import importlib
from typing import Any

import click

from fidtools.commands import _options as options

CHECKPOINTS = {
    "reader": (
        "fidtools.released.readers",
        "convert_reader",
        "A FiD reader checkpoint as a plain transformers folder.",
    ),
    "retriever": (
        "fidtools.released.retrievers",
        "convert_retriever",
        "A FiD, DPR or Contriever retriever as a retriever folder.",
    ),
    "onnx": ("fidtools.retriever.onnx", "export_onnx", "A retriever folder as ONNX."),
}


class Converters(click.Group):
    """Subcommands by name; whatever else comes first is a data file, so `data` need not be said."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `data` before anything that is no subcommand."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["data", *args]
        return super().parse_args(ctx, args)


@click.group("convert", cls=Converters, no_args_is_help=True)
@options.verbosity
def command() -> None:
    """Bring data into another format, or a checkpoint into another library's form.

    A file's own format is told from its beginning; what the new one cannot hold is said.

    \b
      fidtools convert final_output.txt                      our own lines
      fidtools convert scored.jsonl --to trec-run -o run.trec
      fidtools convert wikipedia_embeddings_00 -o embeddings.npy
      fidtools convert --sniff *.json                        only names the formats
      fidtools convert reader nq_reader_base -o reader       a FiD checkpoint
    """


@command.command("data")
@click.argument("files", type=click.Path(), nargs=-1)
@click.option("--from", "from_name", metavar="FORMAT", help="The format of the file.  [default: told from it]")
@click.option("--to", "to_name", metavar="FORMAT", help="The format to write.  [default: our own]")
@click.option("--score", metavar="NAME", help="Rank and score the passages by scores.NAME, such as attention.")
@click.option("--top", type=click.IntRange(min=1), help="Keep the first N passages; leave out questions with fewer.")
@click.option("--sniff", is_flag=True, help="Only name the format of each of FILES.")
@click.option("--list", "listed", is_flag=True, help="List the formats.")
@options.output
@options.verbosity
def data(
    files: tuple[str, ...],
    from_name: str | None,
    to_name: str | None,
    score: str | None,
    top: int | None,
    sniff: bool,
    listed: bool,
    output: str,
) -> None:
    """Convert a file of questions, passages, relevance judgements or embeddings.

    \b
      fidtools convert data results.json --to trec-run -o run.trec
      fidtools convert data scored.jsonl --score attention --top 20 --to sentence-transformers -o distil.jsonl
      fidtools convert data --list
    """
    from fidtools.formats import converting
    from fidtools.formats.registry import FORMATS

    if listed:
        for known in FORMATS.values():
            way = "/".join(name for name, there in (("read", known.read), ("write", known.write)) if there)
            click.echo(f"{known.name}\t{known.holds}\t{way}\t{known.about}")
    elif sniff:
        _sniff(files)
    else:
        if len(files) > 1:
            raise click.UsageError("one file at a time; --sniff takes several")
        converting.convert(files[0] if files else "-", output, from_name, to_name, score, top)


def _sniff(files: tuple[str, ...]) -> None:
    """Name the format of every file; those of none are reported together, at the end."""
    from fidtools.errors import DataError, several
    from fidtools.formats import lookup

    unknown = []
    for file in files:
        try:
            known = lookup.sniff(file)
        except DataError as error:
            unknown.append(error)
            continue
        click.echo(f"{file}\t{known.name}\t{known.holds}\t{known.about}")
    if unknown:
        raise several(unknown, len(unknown))


def _checkpoint(name: str, module: str, function: str, about: str) -> click.Command:
    @click.argument("source", type=click.Path())
    @click.option("-o", "--output", required=True, type=click.Path(), help="The folder or file to write.")
    @options.verbosity
    def run(source: str, output: str, **chosen: Any) -> None:
        convert = getattr(importlib.import_module(module), function)
        convert(source, output, **{name: value for name, value in chosen.items() if value is not None})

    if name != "onnx":
        run = click.option("--tokenizer", metavar="MODEL", help="A tokenizer by name or folder.  [default: its own]")(
            run
        )

    text = f"{about}\n\n\b\n  fidtools convert {name} SOURCE -o OUTPUT"
    return click.command(name, help=text)(run)


for _name, (_module, _function, _about) in CHECKPOINTS.items():
    command.add_command(_checkpoint(_name, _module, _function, _about))
