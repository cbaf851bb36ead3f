"""Models through Hugging Face: Inference Providers by model id, a dedicated endpoint by name, or any address."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import Field, PrivateAttr, model_validator, validate_call

from components.component import Hint, Incidental, RuntimeParameter
from components.errors import ConfigError, WrongAddress
from components.llms.compatible import CompatibleLLM, Question
from components.llms.endpoint import Endpoint, SecretHeaders, Site, open_endpoint
from components.llms.hub import on_hub
from components.llms.output import split_input
from components.llms.parameters import (
    ExtraBody,
    Logprobs,
    MaxNewTokens,
    Penalty,
    ResponseFormat,
    Seed,
    Temperature,
    TopK,
    TopLogprobs,
    TopP,
)
from components.llms.typing import FormattedInput, GenerateOutput

READ_SECONDS = 120.0
NO_NAME = "tgi"
"""What a server of one model takes for its name."""

StopSequences = Annotated[
    list[str] | None, Field(max_length=4, description="Up to four texts at which the answer ends.")
]
RepetitionPenalty = Annotated[float | None, Field(gt=0, description="Above 1 the model repeats itself less.")]


class InferenceEndpointsLLM(CompatibleLLM):
    """A model through Hugging Face: by model id, by the name of a dedicated endpoint, or by address."""

    preset_id: ClassVar[str] = "huggingface"
    source: ClassVar[str] = "https://huggingface.co/docs/inference-providers"

    model_id: Annotated[RuntimeParameter[str], Hint("ui", "model")] = None
    """The model's id on the Hub, such as meta-llama/Llama-3.3-70B-Instruct; `model` is accepted too."""
    provider: RuntimeParameter[str] = None
    """Who serves it, such as groq or together; where it is not set, Hugging Face chooses."""
    bill_to: Incidental[RuntimeParameter[str]] = None
    """The organization that pays."""
    endpoint_name: RuntimeParameter[str] = None
    """The name of a dedicated endpoint, in place of a model id."""
    endpoint_namespace: RuntimeParameter[str] = None
    """The user or organization that the endpoint belongs to; yours where it is not set."""
    model_display_name: Incidental[str | None] = None
    """The name that results show."""

    _is_routed: bool = PrivateAttr(default=False)
    _dedicated_url: tuple[Any, str] | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _model_is_model_id(cls, data: Any) -> Any:
        if isinstance(data, dict) and "tokenizer_id" in data:
            if data["tokenizer_id"] is not None:
                raise ValueError("takes no tokenizer_id, as the server applies the chat template. Leave it out")
            data = {name: value for name, value in data.items() if name != "tokenizer_id"}
        if isinstance(data, dict) and "model" in data and "model_id" not in data:
            data = {("model_id" if name == "model" else name): value for name, value in data.items()}
        return data

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = bool(self.endpoint_name) + bool(self.model_id or self.base_url or self.connection)
        if given != 1:
            raise ValueError(
                "give exactly one of model_id, endpoint_name and base_url (a model_id may go with base_url)"
            )
        return self

    @property
    def model_name(self) -> str:
        return self.model_display_name or self.model_id or self.endpoint_name or self.base_url or NO_NAME

    @property
    def endpoint(self) -> Endpoint:
        endpoint = super().endpoint
        if self.bill_to:
            endpoint.headers["X-HF-Bill-To"] = self.bill_to
        else:
            endpoint.headers.pop("X-HF-Bill-To", None)
        return endpoint

    @property
    def site(self) -> Site:
        if not self.endpoint_name:
            return super().site
        asked = (self.endpoint_name, self.endpoint_namespace)
        if self._dedicated_url is None or self._dedicated_url[0] != asked:
            self._dedicated_url = asked, self._find_endpoint()
        url = self._dedicated_url[1]
        return Site(url, url, self.preset)

    @property
    def is_free(self) -> bool:
        return not self.endpoint_name and super().is_free

    @property
    def provider_id(self) -> str:
        served_by = self.provider or (self.model_id or "").partition(":")[2]
        return f"huggingface_{served_by}" if served_by and not self._is_direct else ""

    @validate_call
    async def agenerate(
        self,
        input: FormattedInput,
        num_generations: int = 1,
        max_new_tokens: MaxNewTokens = 128,
        temperature: Temperature = None,
        top_p: TopP = None,
        top_k: TopK = None,
        stop_sequences: StopSequences = None,
        seed: Seed = None,
        logprobs: Logprobs = None,
        top_logprobs: TopLogprobs = None,
        frequency_penalty: Penalty = None,
        presence_penalty: Penalty = None,
        repetition_penalty: RepetitionPenalty = None,
        response_format: ResponseFormat = None,
        extra_body: ExtraBody = None,
    ) -> GenerateOutput:
        """`num_generations` answers to messages, or completions of a bare text."""
        options = {
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "stop": stop_sequences,
            "seed": seed,
            "logprobs": logprobs,
            "top_logprobs": top_logprobs,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "repetition_penalty": repetition_penalty,
        }
        question = Question(
            split_input(input)[0], max_new_tokens, options, self._form(input), response_format, extra_body
        )
        return await self.ask(question, num_generations)

    def load(self) -> None:
        super().load()
        if not self._is_direct:
            self._routed("/chat/completions", {"messages": []})
            self._is_routed = True

    def request(self, question: Question, count: int = 1) -> tuple[str, dict[str, Any]]:
        path, body = super().request(question, count)
        body["model"] = self.model_id or NO_NAME
        if self._is_direct and question.form and body.get("response_format") == {"type": "json_object"}:
            # How text-generation-inference, which most dedicated endpoints run, is held to a schema.
            body["response_format"] = {"type": "json_object", "value": question.form.schema}
        return path, body

    @property
    def _is_direct(self) -> bool:
        """Whether the address is known without asking the Hub who serves the model."""
        return bool(self.endpoint_name) or self._known_site.url != self.preset.base_url

    async def _send(self, path: str, body: dict[str, Any]) -> Any:
        from components.llms.http import post_json

        endpoint = self.endpoint
        if self._is_direct:
            root = endpoint.site.url
            url, headers = f"{root if root.endswith('/v1') else f'{root}/v1'}{path}", endpoint.headers
        elif self._is_routed and path == "/chat/completions":
            url, headers, body = self._routed(path, body)
        else:
            url, headers, body = await asyncio.to_thread(self._routed, path, body)
        seconds = self.timeout or READ_SECONDS
        reply = await post_json(url, headers=headers, body=body, timeout=seconds, provider=endpoint.site.title)
        return reply.data

    def _routed(self, path: str, body: dict[str, Any]) -> tuple[str, SecretHeaders, dict[str, Any]]:
        """The request as the provider wants it; the Hub is asked once for the model's name there. Blocks."""
        from huggingface_hub.inference._providers import PROVIDERS, get_provider_helper

        if self.provider and self.provider != "auto" and self.provider not in PROVIDERS:
            raise ConfigError(f"'{self.provider}' is no provider. Known are {', '.join(sorted(PROVIDERS))}.")
        task, given = ("conversational", "messages") if path == "/chat/completions" else ("text-generation", "prompt")
        rest = {name: value for name, value in body.items() if name not in (given, "model")}
        headers = {name: value for name, value in self.endpoint.headers.items() if name != "Authorization"}
        prepared = on_hub(
            self.model_id or "",
            lambda: get_provider_helper(self.provider, task=task, model=self.model_id).prepare_request(  # type: ignore[arg-type]
                inputs=body.get(given),
                parameters=rest,
                headers=headers,
                model=self.model_id,
                api_key=bearer(self.endpoint.headers),
            ),
        )
        return prepared.url, SecretHeaders(prepared.headers), cast(dict[str, Any], prepared.json)

    def _find_endpoint(self) -> str:
        """The address of the dedicated endpoint. Blocks."""
        from huggingface_hub import HfApi

        key = bearer(open_endpoint(self.preset, super().site, self.api_key, {}).headers)
        found = on_hub(
            f"endpoint {self.endpoint_name}",
            lambda: HfApi(token=key).get_inference_endpoint(
                self.endpoint_name or "", namespace=self.endpoint_namespace
            ),
        )
        if not found.url:
            raise WrongAddress(
                f"The endpoint '{self.endpoint_name}' is {found.status}. Start it at https://ui.endpoints.huggingface.co.",
                provider=self.preset.title,
            )
        return str(found.url).rstrip("/")


def bearer(headers: Mapping[str, str]) -> str | None:
    """The key in headers."""
    return headers.get("Authorization", "").removeprefix("Bearer ") or None
