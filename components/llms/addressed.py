"""Where a component calls a server and with whose key: an address, a connection, and what is sent there."""

from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from components.component import Component, Incidental, RuntimeParameter
from components.llms.endpoint import Endpoint, Site, checked_base_url, checked_headers, locate, open_endpoint
from components.llms.providers import Preset, preset
from components.vault import FileVault, ScriptVault, current_vault, lend

FLEX_SECONDS = 900.0
OPENED = "opened"
FILE_VAULT = FileVault()


class Addressed(Component):
    """Something behind an address."""

    preset_id: ClassVar[str] = "openai"
    """The provider it is made for."""

    base_url: Incidental[RuntimeParameter[str]] = None
    """The server's address; the provider's own where it is not set."""
    connection: Incidental[str | None] = None
    """The name of a connection under Models and keys, which lends its key."""
    api_key: RuntimeParameter[SecretStr] = None
    """The key for this run. It is never saved; a connection or an environment variable is better."""
    default_headers: Incidental[RuntimeParameter[dict[str, str]]] = None
    """More headers to send with every call; a key does not belong here."""
    timeout: Incidental[RuntimeParameter[float]] = Field(120.0, gt=0)
    """Seconds until an answer must be there."""

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        return checked_base_url(url) if url else None

    @field_validator("default_headers")
    @classmethod
    def _headers(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        return checked_headers(headers) if headers else None

    @property
    def preset(self) -> Preset:
        """What is known of the provider."""
        return preset(self.preset_id)

    @property
    def site(self) -> Site:
        """Where the model is. Raises: CredentialError for a connection that does not exist."""
        return locate(self.preset, self.base_url, self.connection)

    @property
    def endpoint(self) -> Endpoint:
        """Where the model is, and the key for it. Raises: CredentialError where there is none."""
        vault = current_vault()
        if self.is_from_file and isinstance(vault, ScriptVault):
            vault = FILE_VAULT
        asked = (self.base_url, self.connection, self.api_key, self.default_headers, vault)
        # Kept beside the fields, as cached properties are: private attributes are slow, and every call reads this.
        held: tuple[Any, Endpoint] | None = self.__dict__.get(OPENED)
        if held is None or held[0] != asked:
            with lend(vault):
                held = asked, open_endpoint(self.preset, self.site, self.api_key, self.default_headers or {})
            self.__dict__[OPENED] = held
        return held[1]

    @property
    def account(self) -> str:
        """Whose rate limit calls count against: the address and a fingerprint of the key."""
        return self.endpoint.account

    @property
    def provider_id(self) -> str:
        """The provider's name in the price list; empty where there is none."""
        return self._known_site.preset.price_id

    @property
    def service(self) -> str:
        """The tier of service that is paid for, where the provider has several."""
        return ""

    @property
    def is_near(self) -> bool:
        """Whether it runs on this machine."""
        return self._known_site.is_loopback

    @property
    def is_free(self) -> bool:
        """Whether nobody charges for it, as for a server on this machine."""
        return self.is_near

    @property
    def _known_site(self) -> Site:
        held: tuple[Any, Endpoint] | None = self.__dict__.get(OPENED)
        return held[1].site if held is not None else self.site

    async def _send(self, path: str, body: dict[str, Any]) -> Any:
        """Post a body below the address, and give the JSON that answers it."""
        from components.llms.http import post_json

        endpoint = self.endpoint
        waits_longer = self.service == "flex" and "timeout" not in self.model_fields_set
        reply = await post_json(
            endpoint.site.url + path,
            headers=endpoint.headers,
            body=body,
            timeout=FLEX_SECONDS if waits_longer or self.timeout is None else self.timeout,
            provider=endpoint.site.title,
        )
        return reply.data
