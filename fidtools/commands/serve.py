"""fidtools serve: a page to search with, and the same for programs."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _value_types as values
from fidtools.commands._sources import check_sources, sources, sources_from


@click.command("serve")
@sources
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on. The default is private.")
@click.option(
    "--port", type=values.Count(min=0, most=65535), default=8000, show_default=True, help="Port; 0 chooses a free one."
)
@click.option(
    "--token",
    envvar="FIDTOOLS_TOKEN",
    show_envvar=True,
    help="Bearer token that requests need. Others can see the command line, but not the variable.",
)
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="Also answer to this name (repeatable), as of a proxy."
)
@click.option("--max-k", type=values.positive, default=100, show_default=True, help="Passages per question at most.")
@click.option(
    "--max-queries", type=values.positive, default=1024, show_default=True, help="Questions per request at most."
)
@click.option(
    "--max-pending",
    type=values.positive,
    default=64,
    show_default=True,
    help="Waiting requests at most; more are refused with status 429.",
)
@options.verbosity
def command(
    host: str,
    port: int,
    token: str | None,
    names: tuple[str, ...],
    max_k: int,
    max_queries: int,
    max_pending: int,
    **given: Any,
) -> None:
    """Serve a search page, and an HTTP interface for programs.

    Open the address that is printed in a browser. Programs post JSON to /retrieve (in the form of Search-R1's retrieval
    server), /read and /search; /docs describes them. The server ends on Ctrl-C or SIGTERM, after it has answered what
    it received.

    \b
      fidtools serve --bm25 -p passages.jsonl
      fidtools serve --retriever retriever --embeddings p.npy -p passages.jsonl \\
        --reader reader
      curl localhost:8000/retrieve -H 'Content-Type: application/json' \\
        -d '{"queries": ["who wrote it?"], "topk": 3, "return_scores": true}'
    """
    check_sources(given)
    if token is not None and not token.strip():
        raise click.UsageError("the token is empty")
    _require_packages()
    from fidtools.serving.guard import allowed_hosts
    from fidtools.serving.limits import Limits
    from fidtools.serving.opening import open_reader, open_searcher
    from fidtools.serving.routes import Policy
    from fidtools.serving.server import listen_on, serve, warn_of_exposure
    from fidtools.serving.worker import Worker

    limits = Limits(k=max_k, queries=max_queries, pending=max_pending)
    with listen_on(host, port) as listener:  # before the models are loaded, which can take minutes
        searcher = open_searcher(sources_from(given))
        names_of_reader = given["reader"], given["precision"], given["token_budget"], given["n_context"]
        reader = None if given["reader"] is None else open_reader(*names_of_reader)
        warn_of_exposure(host, token)
        serve(listener, Worker(searcher, reader, limits), Policy(limits, allowed_hosts(host, names), token))


def _require_packages() -> None:
    from importlib.util import find_spec

    from fidtools.errors import MissingExtraError

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise MissingExtraError("`fidtools serve`", "serve")
