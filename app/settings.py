"""How the app is set up: `STILLROOM_*` in the environment, read once, and what the command line says over it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from components.errors import ConfigError, did_you_mean

PREFIX = "STILLROOM_"
LISTS = frozenset({"allowed_hosts"})
# Read elsewhere: by the project's scripts and tests.
OTHERS = frozenset({"STILLROOM_CHROMIUM"})


class Settings(BaseModel):
    """Each field is an environment variable: `STILLROOM_` and its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    home: Path = Field(default_factory=lambda: Path.home() / ".stillroom", validate_default=True)
    """The folder that holds the database, the data files and the file that keys are encrypted with."""
    database: str = ""
    """A database URL; left empty, a SQLite file in the home folder."""
    host: str = Field("127.0.0.1", min_length=1)
    """The address to listen at; 0.0.0.0 lets other machines in."""
    port: int = Field(7860, ge=0, le=65_535)
    """The port to listen at; 0 takes one that is free."""
    keys: Literal["stored", "memory"] = "stored"
    """Where keys that people enter are kept: encrypted in the database, or only in memory until the app stops."""
    max_upload_mb: int = Field(200, ge=1, le=10_000)
    """The largest data file that can be added, in megabytes."""
    concurrency: int = Field(64, ge=1, le=1_000)
    """How many calls a run may have in flight, unless it says otherwise."""
    runs_at_once: int = Field(4, ge=1, le=64)
    """How many runs are worked on at the same time; the others wait in line."""
    allowed_hosts: tuple[str, ...] = ()
    """More names that the app may be reached by, such as stillroom.example.org; separated by commas."""
    token: SecretStr | None = None
    """A word that people and programs must give to be let in; left empty, whoever reaches the app may use it."""
    allow_private_webhooks: bool = False
    """Whether the end of a run may be told to addresses of this machine and its own network too."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("allowed_hosts")
    @classmethod
    def _names_only(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host or " " in host or not host:
                raise ValueError(f"must hold names such as stillroom.example.org, not '{host}'")
        return tuple(host.lower() for host in hosts)

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """The settings of this process; `given`, where not None, stands over the environment.

        Raises: ConfigError naming the variable.
        """
        environment = os.environ if environment is None else environment
        found: dict[str, Any] = {}
        for name, value in environment.items():
            if name.startswith(PREFIX) and name not in OTHERS and value.strip():
                field = name.removeprefix(PREFIX).lower()
                if field not in cls.model_fields:
                    variables = [f"{PREFIX}{known.upper()}" for known in cls.model_fields]
                    raise ConfigError(f"There is no setting {name}.{did_you_mean(name, variables)}")
                found[field] = [item.strip() for item in value.split(",")] if field in LISTS else value.strip()
        found |= {name: value for name, value in given.items() if value is not None}
        try:
            return cls(**found)
        except ValidationError as error:
            raise ConfigError(" ".join(_sentence(problem, given) for problem in error.errors())) from None

    @property
    def database_url(self) -> str:
        """Where runs, pipelines and keys are kept."""
        return self.database or f"sqlite:///{self.home / 'stillroom.db'}"

    @property
    def datasets(self) -> Path:
        """The folder of the data files that people added."""
        return self.home / "datasets"

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1_000_000


def _sentence(problem: Any, given: Mapping[str, Any]) -> str:
    field = str(problem["loc"][0])
    name = f"--{field.replace('_', '-')}" if given.get(field) is not None else f"{PREFIX}{field.upper()}"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {reason[:1].lower()}{reason[1:]}."
