"""`stillroom batches`: what can be typed; what is done stands in batches.py."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer

from app.cli.options import Home, JobId, Json
from app.cli.screen import Screen

commands = Typer(
    name="batches",
    help="Look after rows that were sent to batch APIs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("list")
def list_jobs(
    every: Annotated[bool, Option("--all", help="Jobs of which nothing is left to do too.")] = False,
    run: Annotated[str | None, Option(metavar="RUN", help="Only jobs of this run.")] = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """List batch jobs, those that need you first."""
    from app.cli import batches

    return batches.list_jobs(every, run, Screen(json), home)


@commands.command()
def show(job: JobId, home: Home = None, json: Json = False) -> int:
    """Show everything about a job, and what you can do."""
    from app.cli import batches

    return batches.show(job, Screen(json), home)


@commands.command()
def watch(home: Home = None, json: Json = False) -> int:
    """Look after jobs until all are over; Ctrl-C loses nothing."""
    from app.cli import batch_watching

    return batch_watching.watch(Screen(json), home)


@commands.command()
def cancel(
    job: JobId,
    yes: Annotated[bool, Option("--yes", help="Do not ask whether that is meant.")] = False,
    home: Home = None,
    json: Json = False,
) -> int:
    """End a job early; rows that are done by now are kept."""
    from app.cli import batches

    return batches.cancel(job, yes, Screen(json), home)


@commands.command()
def collect(
    jobs: Annotated[list[str] | None, Argument(metavar="[ID]...", help="These jobs; every open one otherwise.")] = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Ask the providers right now, and take up what is there."""
    from app.cli import batches

    return batches.collect(jobs or (), Screen(json), home)


@commands.command()
def retry(job: JobId, home: Home = None, json: Json = False) -> int:
    """Send the rows of a job that have no answer once more."""
    from app.cli import batches

    return batches.retry(job, Screen(json), home)


@commands.command()
def adopt(
    ids: Annotated[list[str], Argument(metavar="PROVIDER_ID...", help="Ids of batches, as their provider shows them.")],
    job: Annotated[
        str | None, Option(metavar="ID", help="The job that it is; needed where several have no id.")
    ] = None,
    run: Annotated[str | None, Option(metavar="RUN", help="It is a job of this run.")] = None,
    step: Annotated[str | None, Option(metavar="STEP", help="It is a job of this step of the run.")] = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Attach jobs to batches that their provider has already."""
    from app.cli import batches

    return batches.adopt(ids, batches.Whose(job, run, step), Screen(json), home)


@commands.command()
def recover(
    journal: Annotated[
        Path | None,
        Argument(metavar="FILE", exists=True, dir_okay=False, help="A journal; the one in the home folder otherwise."),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Rebuild jobs from a journal after the database was lost."""
    from app.cli import batches

    return batches.recover(journal, Screen(json), home)
