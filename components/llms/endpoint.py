"""Where a model is called and with which key; a key goes nowhere but where it belongs."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from components.errors import ConfigError, CredentialError
from components.llms.failures import SECRET_HEADERS
from components.llms.providers import CUSTOM, Preset, preset, preset_at
from components.vault import Connection, current_vault, is_loopback, key_on_this_machine, origin


class SecretHeaders(dict[str, str]):
    """Headers that hold a key; printed by name only."""

    def __repr__(self) -> str:
        return f"SecretHeaders({sorted(self)})"

    __str__ = __repr__


@dataclass(frozen=True)
class Site:
    """An address, and what is known of the server there."""

    url: str
    home: str
    """The provider's own address, to which its key in the environment is bound."""
    preset: Preset
    connection: Connection | None = None

    @property
    def title(self) -> str:
        """What to call the server in a sentence."""
        return self.preset.title if self.preset is not CUSTOM else urlsplit(self.url).netloc

    @property
    def is_loopback(self) -> bool:
        """On this machine, so nobody charges for it."""
        return is_loopback(self.url)


@dataclass(frozen=True)
class Endpoint:
    """A site that may be called: its key is in the headers, and its account can be told from others."""

    site: Site
    headers: SecretHeaders
    account: str


def checked_base_url(url: str) -> str:
    """The address without its closing slash. Raises: ValueError for one that cannot be called."""
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isprintable() or any(sign in url for sign in " \\"):
        raise ValueError("must be an address such as http://localhost:8000/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must hold neither a password nor anything after '?' or '#'")
    return url


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of one's own. Raises: ValueError for one that would hold a key, or is no header."""
    for name, value in headers.items():
        if name.lower() in SECRET_HEADERS:
            raise ValueError(f"must not hold '{name}', since settings are saved; put the key in api_key")
        if not name.isascii() or not f"{name}{value}".isprintable():
            raise ValueError(f"holds '{name}', which is no header")
    return dict(headers)


def locate(own: Preset, base_url: str | None, connection: str | None) -> Site:
    """Where a model is: its own address, else its connection's, else the provider's."""
    lent = None
    if connection:
        lent = current_vault().connection(connection)
        if lent is None:
            raise CredentialError(
                f"There is no connection named '{connection}'. Add it under Models and keys, or name another."
            )
    configured = os.environ.get(own.env_base_url, "") if own.env_base_url else ""
    home = (configured or own.base_url).rstrip("/")
    lent_url = (lent.base_url or preset(lent.provider).base_url) if lent else ""
    url = (base_url or lent_url or home).rstrip("/")
    if not url:
        raise ConfigError(f"{own.title} needs a base_url. Set it, or {own.env_base_url} in the environment.")
    return Site(url, home, _facts(own, url), lent)


def open_endpoint(own: Preset, site: Site, api_key: SecretStr | None, headers: Mapping[str, str]) -> Endpoint:
    """The site with its key: the model's own, else the connection's, else the environment's.

    Raises: CredentialError when a server elsewhere has none.
    """
    key = _clean(_key(own, site, api_key))
    if not key and not site.is_loopback:
        variable = site.preset.env_key or own.env_key
        if variable and key_on_this_machine(variable) is not None:
            raise CredentialError(
                f"The key in {variable} is not sent to {site.title}, an address that a pipeline file names. "
                "Make a connection for it under Models and keys, or give api_key."
            )
        page = f" Get one at {site.preset.key_page}." if site.preset.key_page else " If it needs none, give any word."
        raise CredentialError(
            f"{site.title} needs a key. Set {variable} in the environment, add the key under Models and keys, "
            f"or give api_key.{page}"
        )
    sent = SecretHeaders({**dict(site.preset.headers), **headers})
    if key:
        field = site.preset.auth_header if site.preset is not CUSTOM else own.auth_header
        sent[field] = f"Bearer {key}" if field == "Authorization" else key
    finger = f"#{hashlib.sha256(key.encode()).hexdigest()[:12]}" if key else ""
    return Endpoint(site, sent, site.url + finger)


def _facts(own: Preset, url: str) -> Preset:
    if own.base_url and origin(own.base_url) == origin(url):
        return own
    found = preset_at(url)
    if found is not CUSTOM:
        return found
    # A class named after a provider speaks that provider's dialect wherever it is sent; OpenAI's is everybody's.
    return CUSTOM if own.id == "openai" else own


def _key(own: Preset, site: Site, api_key: SecretStr | None) -> str:
    if api_key is not None and api_key.get_secret_value().strip():
        return api_key.get_secret_value()
    if site.connection is not None and site.connection.key is not None:
        belongs = site.connection.base_url or preset(site.connection.provider).base_url
        if origin(belongs) != origin(site.url):
            raise CredentialError(
                f"The key of connection '{site.connection.name}' belongs to {belongs} and is not sent to {site.url}. "
                "Remove base_url, or make a connection for that address."
            )
        return site.connection.key.get_secret_value()
    home, variable = site.home, own.env_key
    if site.preset is not own and site.preset is not CUSTOM:
        home, variable = site.preset.base_url, site.preset.env_key
    if not variable:
        return ""
    found = current_vault().environment_key(variable, site.url, home)
    return found.get_secret_value() if found else ""


def _clean(key: str) -> str:
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialError("The key holds a space or a sign that no key has. Copy it again.")
    return key
