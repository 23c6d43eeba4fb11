"""`fidtools fetch`: download, check and normalize the data sets of the papers."""

from __future__ import annotations

from pathlib import Path

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.datasets.names import MODULES


@click.command("fetch")
@click.argument("dataset", type=click.Choice(list(MODULES)))
@click.option(
    "-o",
    "--output",
    type=paths.OutputFolder(Path, files=True),
    help="Folder to write.  [default: data/DATASET]",
)
@click.option(
    "--downloads",
    type=paths.Place(Path),
    help="Folder for downloaded files; data sets may share it.  [default: downloads beside the output]",
)
@click.option("--mirror", metavar="URL", help="Fetch every file from URL/NAME, with the names listed by --dry-run.")
@click.option(
    "--sources",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON file with other addresses: {"NAME": {"url": …, "size": …, "sha256": …}}.',
)
@click.option("--jobs", type=values.Count(most=256), default=4, show_default=True, help="Number of parallel downloads.")
@click.option("--dry-run", is_flag=True, help="List the files to fetch and the disk space needed, and exit.")
@click.option("--force", is_flag=True, help="Write the folder again, from the downloaded files, over other files too.")
@options.seed
@options.verbosity
def command(
    dataset: str,
    output: Path | None,
    downloads: Path | None,
    mirror: str | None,
    sources: Path | None,
    jobs: int,
    dry_run: bool,
    force: bool,
    seed: int,
) -> None:
    """Download and prepare a data set.

    The folder then contains passages.jsonl (or psgs_w100.tsv), train.jsonl, dev.jsonl, test.jsonl, and dataset.json
    with the counts and the origin of every file. Interrupted downloads are resumed; each file is checked against its
    published size and SHA-256, or against those of the first download. On a machine without network access, put the
    files listed by --dry-run into the downloads folder. A folder that is complete is compared with its dataset.json and
    left as it is.

    `narrativeqa` takes the stories from one archive, `narrativeqa-web` from their own addresses;
    `narrativeqa-summaries` uses Wikipedia's summaries instead. `toy` is generated from --seed, offline.

    \b
      fidtools fetch nq --dry-run
      fidtools fetch nq --downloads data/downloads
      fidtools fetch toy -o data/toy
    """
    from fidtools.datasets import catalogue
    from fidtools.datasets.downloads import Downloads
    from fidtools.datasets.urls import source_table
    from fidtools.logs import log

    folder = output or Path("data") / dataset
    if not (force or dry_run) and catalogue.is_complete(folder, dataset, seed):
        log.info("%s already exists (--force writes it again)", folder)
        return
    if dataset == "toy":
        if not dry_run:
            catalogue.write_toy(folder, seed, force=force)
        return
    store = Downloads(downloads or folder.parent / "downloads", mirror=mirror, jobs=jobs)
    if dry_run:
        click.echo(catalogue.plan(dataset, folder, store, source_table(sources)), nl=False)
    else:
        catalogue.fetch(dataset, folder, store, source_table(sources), force=force)
