"""The command `stillroom`: everything the app does, in a terminal or a script.

Exit codes: 0 done, 1 failed or at rest before its end, 2 wrong use, 3 done with failures.
"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer

from app.cli.batch_commands import commands as batch_commands
from app.cli.options import Cap, Concurrency, Data, File, Home, Json, Out, Overnight, RunId, Settings
from app.cli.program import Program
from app.cli.screen import Screen

# What a command needs is imported when it is called: `stillroom --help` must not wait for a database, nor `run` for
# a web server.
app = Typer(
    name="stillroom",
    cls=Program,
    help="Build and run LLM data pipelines.",
    epilog="Exit codes: 0 done, 1 failed or at rest before its end, 2 wrong use, 3 done with failures.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(batch_commands)


@app.command()
def serve(
    host: Annotated[str | None, Option(help="The address to listen at; 127.0.0.1 otherwise.")] = None,
    port: Annotated[int | None, Option(help="The port to listen at; 7860 otherwise.")] = None,
    home: Home = None,
) -> None:
    """Serve the app to browsers."""
    from app.cli.serving import serve as serve_app

    serve_app(host, port, home)


@app.command()
def run(
    pipeline: File,
    settings: Settings = None,
    data: Data = None,
    out: Out = None,
    cap: Cap = None,
    concurrency: Concurrency = None,
    limit: Annotated[int | None, Option(min=1, help="Only this many rows, from the first.")] = None,
    cache: Annotated[bool, Option("--cache/--no-cache", help="Take over answers of earlier runs.")] = True,
    overnight: Overnight = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Run a pipeline to its end; Ctrl-C stops it cleanly."""
    from app.cli import pipelines

    wishes = pipelines.Wishes(settings or (), data, out, cap, concurrency, limit, cache, overnight or ())
    return pipelines.run(pipeline, wishes, Screen(json), home)


@app.command()
def rehearse(
    pipeline: File,
    rows: Annotated[int, Option(min=1, help="How many rows, from the first.")] = 5,
    settings: Settings = None,
    data: Data = None,
    out: Out = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Run a few rows with made-up answers, at no cost."""
    from app.cli import pipelines

    wishes = pipelines.Wishes(settings or (), data, out, limit=rows)
    return pipelines.rehearse(pipeline, wishes, Screen(json), home)


@app.command()
def check(pipeline: File, settings: Settings = None, data: Data = None, home: Home = None, json: Json = False) -> int:
    """Say everything that keeps a pipeline from running."""
    from app.cli import pipelines

    return pipelines.check_file(pipeline, pipelines.Wishes(settings or (), data), Screen(json), home)


@app.command()
def convert(
    old: Annotated[Path, Argument(metavar="OLD.yaml", exists=True, dir_okay=False, help="A file of distilabel.")],
    new: Annotated[Path, Argument(metavar="NEW.yaml", dir_okay=False, help="The file to write.")],
    json: Json = False,
) -> int:
    """Take over a pipeline file of distilabel."""
    from app.cli import pipelines

    return pipelines.convert_file(old, new, Screen(json))


@app.command("runs")
def list_runs(
    limit: Annotated[int, Option(min=1, help="How many, the newest first.")] = 20,
    home: Home = None,
    json: Json = False,
) -> int:
    """List runs, whoever started them."""
    from app.cli import runs

    return runs.list_runs(limit, Screen(json), home)


@app.command()
def show(run: RunId, home: Home = None, json: Json = False) -> int:
    """Show how far a run has come and what failed."""
    from app.cli import runs

    return runs.show(run, Screen(json), home)


@app.command("continue")
def go_on(
    run: RunId,
    out: Out = None,
    cap: Cap = None,
    concurrency: Concurrency = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Go on with a run that came to a rest."""
    from app.cli import runs

    return runs.go_on(run, runs.Again(out, cap, concurrency), Screen(json), home)


@app.command()
def stop(run: RunId, home: Home = None, json: Json = False) -> int:
    """Stop a run, whichever process works on it."""
    from app.cli import runs

    return runs.stop(run, Screen(json), home)


@app.command()
def retry(
    run: RunId,
    reason: Annotated[str | None, Option(help="Only rows that failed so, as in timeout.")] = None,
    step: Annotated[str | None, Option(help="Only rows that failed at this step.")] = None,
    out: Out = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Work again on the failed rows of a run."""
    from app.cli import runs

    return runs.retry(run, runs.Again(out, reason=reason, step=step), Screen(json), home)


@app.command()
def export(
    run: RunId,
    out: Annotated[Path, Option(metavar="FILE", help="A .csv, .jsonl or .parquet file.")],
    step: Annotated[str | None, Option(help="The results of this step; the last one otherwise.")] = None,
    state: Annotated[list[str] | None, Option(help="Only rows in this state, as in ok. May be repeated.")] = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Write the results of a run to a file."""
    from app.cli import runs

    return runs.export(run, out, step, state or (), Screen(json), home)


@app.command()
def components(
    name: Annotated[str | None, Argument(help="The name of a component.")] = None, json: Json = False
) -> int:
    """List all components, or show one."""
    from app.cli import gallery

    return gallery.show(name, Screen(json))


def main() -> None:
    """Run the command of this process's arguments."""
    app(prog_name="stillroom")
