"""The Home page: ways to begin, one's own pipelines, the latest runs and pipelines that are ready."""

from typing import Any, Final

from app.studio import Studio
from app.studio.pipelines import Draft
from app.studio.progress import moment
from app.studio.templates import TEMPLATES
from app.ui.calls import Answer, answering, text
from app.ui.module import module
from app.ui.shell import page_shell
from components.pipeline.editing import replace_step, with_name

ICONS: Final = {"label_rows": "label", "generate": "text", "transform": "columns", "blank": "plus"}
SAMPLE_LABELS: Final = {
    "billing": "a charge, a refund, an invoice, a discount or a payment put right",
    "delivery": "a parcel to come, to be found, to be changed, or replaced because of the way there",
    "account": "to get in, to be safe, or to change what is stored about them",
    "defect": "a product that is broken, wrong or worse than promised",
    "question": "to know something; nothing has gone wrong",
}
MOST_SHOWN: Final = 8


def home_page(studio: Studio) -> None:
    """Lay out the page."""
    page = HomePage(studio)
    with page_shell("home", "Home"):
        module("home", calls=page.calls())


class HomePage:
    """What the page shows and starts."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def calls(self) -> list[Any]:
        """The functions that its script calls."""
        own = (self.home_page, self.local_servers, self.make_pipeline, self.open_ready, self.try_sample)
        return [answering(one) for one in (*own, self.copy_pipeline, self.delete_pipeline, self.read_pipeline)]

    def home_page(self, _: Answer) -> Answer:
        """Everything that the page shows."""
        pipelines = self.studio.pipelines
        return {
            "cards": [
                {"key": one.key, "title": one.title, "description": one.description, "icon": ICONS[one.key]}
                for one in TEMPLATES.values()
            ],
            "pipelines": [
                {"id": one.id, "name": one.name, "n_steps": one.n_steps, "updated_at": moment(one.updated_at)}
                for one in pipelines.list()[:MOST_SHOWN]
            ],
            "runs": list(self.studio.runs.recent(MOST_SHOWN)),
            "ready": [
                {"key": one.key, "name": one.name, "description": one.description, "n_steps": len(one.components)}
                for one in pipelines.ready()
            ],
        }

    def local_servers(self, _: Answer) -> Answer:
        """Servers for models that run on this machine."""
        found = self.studio.providers.detect()
        return {"servers": [{"provider": one.provider, "title": one.title, "models": one.models} for one in found]}

    def make_pipeline(self, argument: Answer) -> Answer:
        """A pipeline from one of the four cards."""
        return _to(self.studio.pipelines.create(text(argument, "template")))

    def open_ready(self, argument: Answer) -> Answer:
        """A pipeline of one's own from a ready one."""
        return _to(self.studio.pipelines.create_from_ready(text(argument, "key")))

    def try_sample(self, argument: Answer) -> Answer:
        """The sample tickets with their labels, asked of nobody, or of a model on this machine."""
        draft = self.studio.pipelines.create(
            "label_rows", dataset_id=self.studio.datasets.add_sample().id, rehearses=True
        )
        spec = with_name(draft.spec, self.studio.pipelines.free_name("Sample tickets"))
        step = next(step for step in spec.steps if step["use"] == "TextClassification")
        data = {**step, "available_labels": SAMPLE_LABELS, "query_title": "Ticket"}
        if text(argument, "model"):
            llm = self.studio.providers.llm(text(argument, "model"), provider=text(argument, "provider"))
            data["llm"] = llm | {"generation_kwargs": {"temperature": 0, "max_new_tokens": 64}}
        spec = replace_step(spec, step["name"], data)
        return _to(self.studio.pipelines.save(draft.id, spec, draft.revision))

    def copy_pipeline(self, argument: Answer) -> Answer:
        """A copy of a pipeline."""
        return _to(self.studio.pipelines.duplicate(text(argument, "id")))

    def delete_pipeline(self, argument: Answer) -> None:
        """Remove a pipeline; its runs stay."""
        self.studio.pipelines.delete(text(argument, "id"))

    def read_pipeline(self, argument: Answer) -> Answer:
        """A pipeline from a file that the person chose, with what could not be taken over."""
        name = text(argument, "name") or "pipeline.yaml"
        draft = self.studio.pipelines.create_from_text(text(argument, "text"), name)
        return _to(draft) | {"notes": draft.notes}


def _to(draft: Draft) -> Answer:
    return {"to": f"build?pipeline={draft.id}"}
