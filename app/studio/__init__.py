"""Everything a person can do in Stillroom, one method each; pages, API and command line all call these.

studio = Studio(Settings.read())
draft = studio.pipelines.create("label_rows", dataset_id=studio.datasets.add_sample().id, rehearses=True)
run_id = studio.runs.start(pipeline_id=draft.id)
"""

from app.settings import Settings
from app.studio.batches import Batches
from app.studio.checks import Checks
from app.studio.connections import Connections
from app.studio.datasets import Datasets
from app.studio.dispatch import Dispatch
from app.studio.errors import EditConflict, NotFound
from app.studio.estimates import Estimates
from app.studio.exports import Exports
from app.studio.labels import Labels
from app.studio.overnight import Overnight
from app.studio.pipelines import Pipelines
from app.studio.previews import Previews
from app.studio.progress import Progress
from app.studio.providers import Providers
from app.studio.publishing import Publishing
from app.studio.results import ResultTables
from app.studio.runs import Runs
from app.studio.webhooks import Webhooks
from app.tables import prepare
from components.pipeline.ledger import Ledger, shared_ledger

__all__ = ["EditConflict", "NotFound", "Studio"]


class Studio:
    """The use cases, group by group; the only reader of the app's tables."""

    def __init__(self, settings: Settings | None = None, ledger: Ledger | None = None) -> None:
        self.settings = settings or Settings.read()
        self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ledger = ledger or shared_ledger(self.settings.database_url)
        prepare(self.ledger)
        self.dispatch = Dispatch()
        self.datasets = Datasets(self.settings, self.ledger)
        self.connections = Connections(self.settings, self.ledger)
        self.providers = Providers(self.connections)
        self.pipelines = Pipelines(self.ledger, self.datasets)
        self.checks = Checks(self.settings, self.connections)
        self.estimates = Estimates(self.ledger, self.datasets, self.connections, self.checks)
        self.runs = Runs(
            self.settings,
            self.ledger,
            self.dispatch,
            pipelines=self.pipelines,
            connections=self.connections,
            checks=self.checks,
            progress=Progress(self.ledger),
        )
        self.overnight = Overnight(self.estimates, self.connections, self.checks)
        self.batches = Batches(self.ledger, self.connections, self.runs, self.dispatch)
        self.webhooks = Webhooks(self.settings, self.ledger, self.runs)
        self.previews = Previews(self.ledger, self.runs, self.estimates)
        self.results = ResultTables(self.ledger, self.runs, Labels(self.ledger))
        self.exports = Exports(self.settings, self.results)
        self.publishing = Publishing(self.ledger, self.results, self.exports, self.connections)
