"""`fidtools convert`: convert data between formats, and checkpoints between libraries."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.errors import did_you_mean

CHECKPOINTS = {
    "reader": (
        "fidtools.released.readers",
        "convert_reader",
        "Convert a FiD reader for transformers.",
    ),
    "retriever": (
        "fidtools.released.retrievers",
        "convert_retriever",
        "Convert a retriever of FiD-KD.",
    ),
    "onnx": ("fidtools.retriever.onnx", "export_onnx", "Export a retriever folder to ONNX."),
}


class Converters(click.Group):
    """Subcommands by name; any other first argument is a file of data, so that `data` may be omitted."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `data` unless the first argument is a subcommand. A mistyped one is no file."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            if (meant := did_you_mean(args[0], self.commands)) and not Path(args[0]).exists():
                raise click.UsageError(f"No such command {args[0]!r}.{meant}", ctx)
            args = ["data", *args]
        return super().parse_args(ctx, args)


@click.group("convert", cls=Converters, no_args_is_help=True)
@options.verbosity
def command() -> None:
    """Convert data or model checkpoints.

    The input format is detected from the file's first bytes. Fields that the output format cannot hold are reported.

    \b
      fidtools convert final_output.txt                      to JSON lines
      fidtools convert scored.jsonl --to trec-run -o run.trec
      fidtools convert wikipedia_embeddings_00 -o embeddings.npy
      fidtools convert --sniff *.json                        only name the formats
      fidtools convert reader nq_reader_base -o reader       a FiD checkpoint
    """


@command.command("data")
@click.argument("files", type=paths.input_data, nargs=-1)
@click.option("--from", "from_name", metavar="FORMAT", help="Input format.  [default: detected]")
@click.option("--to", "to_name", metavar="FORMAT", help="Output format.  [default: JSON lines]")
@click.option(
    "--score",
    metavar="NAME",
    help="Rank the passages by scores.NAME, such as attention, and write it as their score; score is the present one.",
)
@click.option("--top", type=values.positive, metavar="N", help="Keep the first N passages; skip questions with fewer.")
@click.option(
    "-p",
    "--passages",
    type=paths.input_file,
    help="Corpus to write with --to beir, or that was embedded.  [default for beir: the questions' passages]",
)
@click.option("--sniff", is_flag=True, help="Only print the format of each of FILES.")
@click.option("--list", "listed", is_flag=True, help="List the formats and exit.")
@click.option(
    "-o",
    "--output",
    type=paths.OutputData(),
    default="-",
    show_default="stdout",
    help="Output file or folder, by the format; a name ending in .gz is compressed.",
)
@options.verbosity
def data(
    files: tuple[str, ...],
    from_name: str | None,
    to_name: str | None,
    score: str | None,
    top: int | None,
    passages: str | None,
    sniff: bool,
    listed: bool,
    output: str,
) -> None:
    """Convert data between formats.

    The files contain questions, passages, relevance judgements or embeddings. Embeddings of `fidtools embed` (X.npy)
    are written with their passages for Parquet, PostgreSQL (pgvector), Qdrant, LanceDB or Elasticsearch.
    Runs keep the order of the lists: a score that is not below the one before it is lowered, and reported.

    \b
      fidtools convert data results.json --to trec-run -o run.trec
      fidtools convert data scored.jsonl --score attention --top 20 \\
        --to sentence-transformers -o distil.jsonl
      fidtools convert data dev.jsonl --to beir -p passages.jsonl -o dev-beir
      fidtools convert data dev.jsonl --to trec-qrels -o dev.qrels     from their gold
      fidtools convert data passages.npy -p passages.jsonl --to parquet -o p.parquet
      fidtools convert data --list
    """
    from fidtools.formats import converting
    from fidtools.formats.exports import EXPORTS
    from fidtools.formats.registry import FORMATS

    if listed:
        for known in FORMATS.values():
            click.echo(f"{known.name}\t{known.kind}\t{'/'.join(known.access)}\t{known.description}")
        for name, target in EXPORTS.items():
            click.echo(f"{name}\tembeddings\twrite\t{target.description}")
    elif sniff:
        _sniff(files)
    else:
        if len(files) > 1:
            raise click.UsageError("convert takes one file at a time; --sniff takes several")
        converting.convert_file(files[0] if files else "-", output, from_name, to_name, score, top, passages)


def _sniff(files: tuple[str, ...]) -> None:
    """Print the format of every file; files that are not recognized are reported together at the end."""
    from fidtools.errors import DataError, several, show_path
    from fidtools.formats.lookup import detect_format

    unknown = []
    for file in files:
        try:
            known = detect_format(file)
        except DataError as error:
            unknown.append(error)
            continue
        click.echo(f"{show_path(file)}\t{known.name}\t{known.kind}\t{known.description}")
    if unknown:
        raise several(unknown, len(unknown))


_tokenizer = click.option(
    "--tokenizer",
    type=paths.name,
    metavar="MODEL",
    help="Tokenizer: a folder, or a model name on the hub.  [default: the checkpoint's]",
)


def _checkpoint(name: str, module: str, function: str, description: str) -> click.Command:
    @click.argument("source", type=paths.name)
    @click.option("-o", "--output", required=True, type=paths.ModelFolder(), help="Folder to write.")
    @options.force
    @options.verbosity
    def run(source: str, output: str, force: bool, **chosen: Any) -> None:
        convert = getattr(importlib.import_module(module), function)
        convert(source, output, force=force, **{name: value for name, value in chosen.items() if value is not None})

    if name != "onnx":
        run = _tokenizer(run)

    text = f"{description}\n\n\b\n  fidtools convert {name} SOURCE -o OUTPUT"
    return click.command(name, help=text)(run)


@command.command("dpr")
@click.argument("questions", type=paths.model)
@click.argument("passages", type=paths.model)
@click.option("-o", "--output", required=True, type=paths.ModelFolder(), help="Folder to write.")
@_tokenizer
@options.force
@options.verbosity
def dpr(questions: str, passages: str, output: str, tokenizer: str | None, force: bool) -> None:
    """Make a retriever of DPR's two encoders.

    QUESTIONS and PASSAGES are folders, or names on the hub.

    \b
      fidtools convert dpr facebook/dpr-question_encoder-single-nq-base \\
        facebook/dpr-ctx_encoder-single-nq-base -o dpr
    """
    from fidtools.released.dpr_encoders import convert_dpr

    convert_dpr(questions, passages, output, tokenizer=tokenizer, force=force)


for _name, (_module, _function, _description) in CHECKPOINTS.items():
    command.add_command(_checkpoint(_name, _module, _function, _description))
