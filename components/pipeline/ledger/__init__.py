"""The ledger: what was asked, what was answered and what it cost, kept so that nothing paid for is lost."""

from components.pipeline.ledger.ledger import Ledger, default_url, shared_ledger
from components.pipeline.ledger.tables import Cell, Event, Route, Run, StepRun

__all__ = ["Cell", "Event", "Ledger", "Route", "Run", "StepRun", "default_url", "shared_ledger"]
