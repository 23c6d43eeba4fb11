"""`fidtools fetch`: the data sets of the papers, downloaded, checked and normalised."""

from __future__ import annotations

from pathlib import Path

import click

from fidtools.commands import _options as options

NAMES = ("nq", "triviaqa", "narrativeqa", "narrativeqa-web", "narrativeqa-summaries", "fever", "squad", "toy")


@click.command("fetch")
@click.argument("dataset", type=click.Choice(NAMES))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="[default: data/DATASET]")
@click.option(
    "--downloads",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where downloaded files are kept; data sets may share it.  [default: downloads beside the output]",
)
@click.option("--mirror", metavar="URL", help="Fetch every file from URL/NAME, with the names that --dry-run shows.")
@click.option(
    "--sources",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Other addresses: JSON {"NAME": {"url": …, "size": …, "sha256": …}}.',
)
@click.option("--jobs", type=click.IntRange(min=1), default=4, show_default=True, help="Files fetched at once.")
@click.option("--dry-run", is_flag=True, help="Show what would be fetched and the disk it takes, and stop.")
@click.option("--force", is_flag=True, help="Write the folder again, from the files that are there.")
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
    """Download a data set and write it as passages, train, dev and test.

    The folder then holds passages.jsonl (or psgs_w100.tsv), train.jsonl, dev.jsonl, test.jsonl, and dataset.json with
    the counts and where everything came from. A download that was cut goes on where it was; each file is checked
    against its published size and SHA-256, or against those of the first download. On a machine without a network, put
    the files that --dry-run names into the downloads folder.

    `narrativeqa` takes the stories from one archive, `narrativeqa-web` from their own addresses, and
    `narrativeqa-summaries` uses Wikipedia's summaries in their place. `toy` is generated from --seed, offline.

    \b
      fidtools fetch nq --dry-run
      fidtools fetch nq --downloads data/downloads
      fidtools fetch toy -o data/toy
    """
    from fidtools.datasets import catalogue
    from fidtools.datasets.downloads import Downloads
    from fidtools.datasets.urls import table
    from fidtools.logs import log

    folder = output or Path("data") / dataset
    if catalogue.is_there(folder) and not (force or dry_run):
        log.info("%s is there already (--force writes it again)", folder)
        return
    if dataset == "toy":
        if not dry_run:
            catalogue.write_toy(folder, seed)
        return
    store = Downloads(downloads or folder.parent / "downloads", mirror=mirror, jobs=jobs)
    if dry_run:
        click.echo(catalogue.plan(dataset, folder, store, table(sources)), nl=False)
    else:
        catalogue.fetch(dataset, folder, store, table(sources))
