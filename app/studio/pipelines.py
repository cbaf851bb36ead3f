"""The pipelines that people work on: made from a card, a ready one or a file; saved as drafts; given away as YAML."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from sqlalchemy import update

from app.studio.datasets import ASSETS, Datasets
from app.studio.errors import EditConflict
from app.studio.records import Record, Records
from app.studio.templates import from_template
from app.tables import PIPELINE
from components.errors import ConfigError, did_you_mean
from components.pipeline import files
from components.pipeline.convert import spec_of
from components.pipeline.ledger import Ledger
from components.pipeline.spec import PipelineSpec

READY = ASSETS / "pipelines"


@dataclass(frozen=True)
class PipelineInfo:
    """A pipeline, as a list of pipelines shows it."""

    id: str
    name: str
    description: str
    revision: int
    n_steps: int
    components: list[str]
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class Draft:
    """A pipeline that is worked on."""

    id: str
    spec: PipelineSpec
    revision: int
    """Give it back when you save, so that nobody's work is overwritten unseen."""
    updated_at: float
    notes: list[str] = field(default_factory=list)
    """What could not be taken over from the file it was made of."""

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True)
class ReadyPipeline:
    """A pipeline that ships with Stillroom."""

    key: str
    name: str
    description: str
    components: list[str]


class Pipelines:
    """Makes, saves and gives away pipelines."""

    def __init__(self, ledger: Ledger, datasets: Datasets) -> None:
        self._datasets = datasets
        self._records = Records(ledger, PIPELINE, "p", "pipeline")

    def list(self) -> Sequence[PipelineInfo]:
        """All pipelines, the last changed first."""
        return [_info(record) for record in self._records.all(newest_by="updated_at")]

    def get(self, pipeline_id: str) -> Draft:
        """One pipeline. Raises: NotFound."""
        return _draft(self._records.get(pipeline_id))

    def ready(self) -> Sequence[ReadyPipeline]:
        """The pipelines that ship with Stillroom."""
        specs = [(path.stem, PipelineSpec.read(path)) for path in sorted(READY.glob("*.yaml"))]
        return [ReadyPipeline(key, spec.name or key, spec.description, _components(spec)) for key, spec in specs]

    def create(self, template: str = "blank", *, dataset_id: str = "", rehearses: bool = False) -> Draft:
        """A pipeline from a card: `label_rows`, `generate`, `transform` or `blank`; `rehearses` asks no model.

        Raises: ConfigError for another card; NotFound for an unknown dataset.
        """
        dataset = self._datasets.get(dataset_id) if dataset_id else None
        return self.add(from_template(template, dataset=dataset, datasets=self._datasets, rehearses=rehearses))

    def create_from_ready(self, key: str) -> Draft:
        """A pipeline of one's own from one that ships with Stillroom. Raises: ConfigError when there is none."""
        known = {path.stem: path for path in READY.glob("*.yaml")}
        if key not in known:
            raise ConfigError(f"There is no ready pipeline '{key}'.{did_you_mean(key, known)}")
        return self.create_from_file(known[key])

    def create_from_text(self, text: str | bytes, name: str = "pipeline.yaml") -> Draft:
        """A pipeline from the content of a YAML or JSON file, also of the older library; `notes` say what is missing.

        Raises: ConfigError with the line that is wrong.
        """
        spec, notes = spec_of(files.parse(text, name))
        return self.add(spec if spec.name else spec.model_copy(update={"name": Path(name).stem}), notes)

    def create_from_file(self, path: str | Path) -> Draft:
        """A pipeline from a file. Raises: ConfigError naming the file."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"{Path(path).name} could not be read: {error.strerror}.") from None
        return self.create_from_text(content, Path(path).name)

    def add(self, spec: PipelineSpec, notes: Sequence[str] = ()) -> Draft:
        """Keep a pipeline as a new draft; where its name is taken, a number is put after it."""
        if spec.name:
            spec = spec.model_copy(update={"name": self.free_name(spec.name)})
        now = time.time()
        record: Record = {
            "id": self._records.new_id(),
            "name": spec.name or "New pipeline",
            "spec": spec.model_dump_json(),
            "revision": 1,
            "owner": "",
            "created_at": now,
            "updated_at": now,
        }
        self._records.add(record)
        return Draft(record["id"], spec, 1, now, list(notes))

    def free_name(self, wanted: str) -> str:
        """The name, or with the first number from 2 on that no other pipeline has: "Label rows 2"."""
        taken = {record["name"] for record in self._records.all()}
        names = chain([wanted], (f"{wanted[:190]} {number}" for number in count(2)))
        return next(name for name in names if name not in taken)

    def save(self, pipeline_id: str, spec: PipelineSpec, revision: int) -> Draft:
        """Save a draft, finished or not.

        Raises: NotFound; EditConflict when it was saved since `revision` was read.
        """
        now = time.time()
        changed = {"spec": spec.model_dump_json(), "name": spec.name or "New pipeline", "updated_at": now}
        query = (
            update(PIPELINE)
            .where(PIPELINE.c.id == pipeline_id, PIPELINE.c.revision == revision)
            .values(revision=revision + 1, **changed)
        )
        if not self._records.database.write(lambda connection: connection.execute(query).rowcount):
            self._records.get(pipeline_id)
            raise EditConflict("This pipeline was changed in another window. Reload the page to go on from there.")
        return Draft(pipeline_id, spec, revision + 1, now)

    def rename(self, pipeline_id: str, name: str) -> Draft:
        """Call a pipeline something else. Raises: NotFound; ConfigError for an empty name."""
        if not name.strip():
            raise ConfigError("Give the pipeline a name.")
        draft = self.get(pipeline_id)
        fields = json.loads(draft.spec.model_dump_json()) | {"name": name.strip()}
        return self.save(pipeline_id, PipelineSpec(**fields), draft.revision)

    def duplicate(self, pipeline_id: str) -> Draft:
        """A copy of a pipeline. Raises: NotFound."""
        draft = self.get(pipeline_id)
        return self.add(draft.spec.model_copy(update={"name": f"Copy of {draft.name}"[:200]}))

    def delete(self, pipeline_id: str) -> None:
        """Remove a pipeline; its runs and their results stay. Raises: NotFound."""
        self._records.remove(pipeline_id)

    def yaml(self, pipeline_id: str) -> str:
        """The pipeline as the text of a YAML file; it holds no key. Raises: NotFound."""
        return self.get(pipeline_id).spec.to_yaml()


def _draft(record: Record) -> Draft:
    spec = PipelineSpec.model_validate_json(record["spec"])
    return Draft(record["id"], spec, record["revision"], record["updated_at"])


def _info(record: Record) -> PipelineInfo:
    spec = PipelineSpec.model_validate_json(record["spec"])
    return PipelineInfo(
        id=record["id"],
        name=record["name"],
        description=spec.description,
        revision=record["revision"],
        n_steps=len(spec.steps),
        components=_components(spec),
        created_at=record["created_at"],
        updated_at=record["updated_at"],
    )


def _components(spec: PipelineSpec) -> list[str]:
    return [str(step["use"]) for step in spec.steps]
