"""`stillroom serve`: the only command that needs the web server and Gradio."""

from pathlib import Path

from app.cli.screen import WrongUse
from app.settings import Settings
from components.errors import ConfigError
from components.home import at_home


def serve(host: str | None, port: int | None, home: Path | None) -> None:
    """Serve until interrupted. Raises: WrongUse for settings that are wrong."""
    try:
        settings = Settings.read(host=host, port=port, home=home)
    except ConfigError as error:
        raise WrongUse(str(error)) from None
    from app import server

    with at_home(settings.home):
        server.serve(settings)
