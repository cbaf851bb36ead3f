"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Home = Annotated[Path | None, Option(help="The folder that keeps runs and keys; STILLROOM_HOME otherwise.")]
Json = Annotated[bool, Option("--json", help="Answer with one JSON document on standard output.")]
File = Annotated[Path, Argument(metavar="PIPELINE.yaml", exists=True, dir_okay=False, help="A YAML or JSON file.")]
RunId = Annotated[str, Argument(metavar="RUN", help="The id of a run, or the start of it.")]
JobId = Annotated[
    str, Argument(metavar="ID", help="The id of a batch job, here or at its provider, or the start of one.")
]
Settings = Annotated[
    list[str] | None,
    Option("--set", metavar="STEP.FIELD=VALUE", help="Change a field, as in label.llm.model=NAME. May be repeated."),
]
Data = Annotated[
    Path | None,
    Option(exists=True, dir_okay=False, resolve_path=True, help="Read the rows from this file instead."),
]
Out = Annotated[Path | None, Option(metavar="FILE", help="Write the results to a .csv, .jsonl or .parquet file.")]
Cap = Annotated[float | None, Option(help="Stop before this many US dollars are passed.")]
Concurrency = Annotated[int | None, Option(min=1, help="Calls in flight at most.")]
Overnight = Annotated[
    list[str] | None,
    Option(
        metavar="STEP",
        help="Send the rows of this step as a batch, or of every step that can be with 'all'. May be repeated.",
    ),
]
