"""Connections that were made in the app, for scripts of the same machine and the same home folder."""

from app.settings import Settings
from app.studio import Studio
from components.vault import Connection


def connection(name: str) -> Connection | None:
    """The connection of that name with its key; None where there is none, or no app was ever used."""
    settings = Settings.read()
    if not settings.database and not (settings.home / "stillroom.db").exists():
        return None
    return Studio(settings).connections.vault().connection(name)
