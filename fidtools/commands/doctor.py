"""fidtools doctor: what this machine and this installation offer."""

from __future__ import annotations

import click

from fidtools.commands import _options as options


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; sizes in bytes.")
@options.verbosity
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Report what this machine and this installation offer, and what is broken or slow about them.

    Versions; the processor, its units for bf16 and int8, threads and the variables that set them; memory, GPUs, the
    JVM; where caches lie and how large they are; which extras are missing, what each is for and how to install it.
    Nothing is downloaded or changed. The exit code is 1 only if something stops basic commands.

    \b
      fidtools doctor
      fidtools doctor --json | jq .findings
    """
    import json

    from fidtools.doctor.checkup import checkup, lines

    found = checkup()
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(found)))
    ctx.exit(int(found.broken))
