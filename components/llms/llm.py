"""The contract of a model: messages in, generations out."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, cast

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from components.component import Component, Incidental, RuntimeParameter, explain
from components.errors import ConfigError, ReplyError, UnknownParameter, did_you_mean
from components.llms.batch.local import LocalBatch, local_output, local_requests, tokens_of
from components.llms.batch.protocol import BatchProvider
from components.llms.gate import current_gate
from components.llms.generation import longest_answer, model_of_parameters
from components.llms.loop import run_in_background
from components.llms.output import as_output, merge_outputs, nth
from components.llms.pricing import Price, estimate_tokens
from components.llms.prompts import check_prompt
from components.llms.typing import FormattedInput, GenerateOutput, HiddenState


class LLM(Component, ABC):
    """A model that answers a list of prompts at once, such as one that runs on this machine."""

    category: ClassVar[str] = "Models"

    generation_kwargs: RuntimeParameter[dict[str, Any]] = {}
    """How the model writes: temperature, length and so on."""
    use_offline_batch_generation: Incidental[RuntimeParameter[bool]] = False
    """Send all rows as a batch job, at half price where the provider offers it, and collect the answers later."""
    offline_batch_generation_block_until_done: Incidental[RuntimeParameter[int]] = Field(None, ge=1)
    """Wait for the batch job, asking every this many seconds."""
    jobs_ids: Incidental[tuple[str, ...] | None] = None
    """The provider's ids of the batch jobs; set it to adopt jobs that exist already."""
    input_price: Incidental[float | None] = Field(None, ge=0)
    """US dollars per million input tokens, where the price list does not know the model or you pay another price."""
    output_price: Incidental[float | None] = Field(None, ge=0)
    """US dollars per million output tokens."""

    is_local: ClassVar[bool] = False
    """Runs on this machine: no rate limits, so a fixed number of calls in flight, and no price."""
    is_rehearsal: ClassVar[bool] = False
    """Answers are made up from examples; marked wherever they show."""

    _is_loaded: bool = PrivateAttr(default=False)
    _logger: logging.Logger = PrivateAttr(default_factory=lambda: logging.getLogger("stillroom.llm"))

    @property
    @abstractmethod
    def model_name(self) -> str:
        """The model's name, as results show it."""

    @abstractmethod
    def generate(self, inputs: Any, num_generations: int = 1, *args: Any, **kwargs: Any) -> Any:
        """`num_generations` answers to each input, in the order of the inputs."""

    @property
    def account(self) -> str:
        """Whose rate limit calls count against; models of one account and name share one window."""
        return type(self).__name__

    @property
    def is_near(self) -> bool:
        """Whether it runs on this machine, in this process or as a server."""
        return self.is_local

    @property
    def provider_id(self) -> str:
        """The provider's name in the price list; empty where there is none."""
        return ""

    @property
    def price(self) -> Price | None:
        """What tokens cost; None where nobody knows."""
        if self.input_price is not None and self.output_price is not None:
            return Price(self.input_price, self.output_price)
        if self.is_local:
            return Price(0, 0)
        return Price.look_up(self.provider_id, self.model_name) if self.provider_id else None

    def most_tokens(self, input: FormattedInput, num_generations: int, kwargs: Mapping[str, Any]) -> tuple[int, int]:
        """The most tokens a call reads and writes; with its price, what the spending cap sets aside for it."""
        given = kwargs.get("max_new_tokens") or kwargs.get("max_tokens") or longest_answer(self.generation_model())
        return estimate_tokens(input), int(given) * num_generations

    @property
    def threads(self) -> Executor | None:
        """The threads that `generate` runs in; None for the loop's own."""
        return None

    def load(self) -> None:
        """Get ready to answer; call it before using a model on its own."""
        self._logger = logging.getLogger(f"stillroom.llm.{self.model_name}")
        self._is_loaded = True

    def unload(self) -> None:
        """Give back what `load` took."""
        self._is_loaded = False

    def get_last_hidden_states(self, inputs: Any) -> list[HiddenState]:
        """The hidden state of the last token of each input."""
        singular = getattr(type(self), "get_last_hidden_state", None)
        if singular is not None:
            return cast(list[HiddenState], singular(self, inputs))
        raise NotImplementedError(f"{type(self).__name__} gives no hidden states.")

    def generate_outputs(
        self, inputs: Sequence[FormattedInput], num_generations: int = 1, **kwargs: Any
    ) -> list[GenerateOutput]:
        """Answers to all inputs, one item per input and in their order; `kwargs` go before `generation_kwargs`.

        Raises: OfflineBatchNotFinished, with the ids of the jobs, while an offline batch runs on; ConfigError for a
        parameter that does not fit, and for a single prompt, whose letters or messages would be asked one by one.
        """
        if isinstance(inputs, str) or any(isinstance(one, Mapping) for one in inputs):
            raise ConfigError(
                f"{type(self).__name__} takes a list of prompts. Put a single prompt into a list: [prompt]."
            )
        if not isinstance(num_generations, int) or num_generations < 1:
            raise ConfigError(f"{self._title()}: num_generations is a whole number from 1 on, not {num_generations!r}.")
        for number, prompt in enumerate(inputs, start=1):
            check_prompt(prompt, f"{self._title()}, prompt {number}")
        parameters = {**self.get_generation_kwargs(), **self._fitting(kwargs)}
        for name, field in self.generation_model().model_fields.items():
            if field.is_required() and name not in parameters:
                raise ConfigError(f"{self._title()} needs a value for the generation parameter '{name}'.")
        if self.use_offline_batch_generation:
            return self._offline_batch(inputs, num_generations, parameters)
        return [
            as_output(item, type(self).__name__)
            for item in self._checked(self.generate(inputs, num_generations, **parameters), inputs)
        ]

    async def complete(self, input: FormattedInput, num_generations: int = 1, **kwargs: Any) -> GenerateOutput:
        """The answer to one input, through the gate that retries, limits and counts calls."""

        async def call() -> GenerateOutput:
            work = partial(copy_context().run, self.generate, [input], num_generations, **kwargs)
            outputs = await asyncio.get_running_loop().run_in_executor(self.threads, work)
            return as_output(self._checked(outputs, [input])[0], type(self).__name__)

        return await current_gate().call(self, input, num_generations, kwargs, call)

    def get_generation_kwargs(self) -> dict[str, Any]:
        """The generation parameters that were set, as the model takes them."""
        return dict(self.generation_kwargs or {})

    @classmethod
    def generation_model(cls) -> type[BaseModel]:
        """The generation parameters as a pydantic model: types, defaults, bounds and descriptions."""
        method = cls.agenerate if issubclass(cls, AsyncLLM) else cls.generate
        return model_of_parameters(f"{cls.__name__}GenerationParameters", method)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core, handler)
        target = handler.resolve_ref_schema(schema)
        if "generation_kwargs" in target.get("properties", {}):
            inner = cls.generation_model().model_json_schema()
            description = target["properties"]["generation_kwargs"].get("description", "")
            target["properties"]["generation_kwargs"] = inner | {
                "title": "Generation parameters",
                "description": description,
                "runtime": True,
                "default": {},
            }
        return schema

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        if self.generation_kwargs:
            self._set_runtime_parameter("generation_kwargs", self.generation_kwargs)

    def _runtime_parameters(self) -> Any:
        for name, value in super()._runtime_parameters():
            if name == "generation_kwargs":
                fields = self.generation_model().model_fields
                yield name, {key: not field.is_required() for key, field in fields.items()}
            else:
                yield name, value

    def _nested_info(self, name: str) -> list[dict[str, Any]]:
        model = self.generation_model()
        properties = model.model_json_schema().get("properties", {})
        return [
            {
                "name": key,
                "optional": not field.is_required(),
                "description": field.description or "",
                "schema": properties.get(key, {}),
            }
            for key, field in model.model_fields.items()
        ]

    def _set_runtime_parameter(self, name: str, value: Any) -> None:
        if name != "generation_kwargs":
            super()._set_runtime_parameter(name, value)
            return
        if not isinstance(value, Mapping):
            raise ConfigError(f"{self._title()}: 'generation_kwargs' takes a group of parameters, not {value!r}.")
        setattr(self, name, self._fitting({**(self.generation_kwargs or {}), **value}))

    def _fitting(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Generation parameters coerced to their types. Raises: UnknownParameter, ConfigError."""
        model = self.generation_model()
        if model.model_config.get("extra") == "forbid":
            for key in parameters:
                if key not in model.model_fields:
                    raise UnknownParameter(
                        f"{self._title()} has no generation parameter '{key}'.{did_you_mean(key, model.model_fields)}"
                    )
        # One by one, because a parameter that the model requires may be given later, when the run begins.
        checked = model.model_construct()
        wrong = []
        for key, given in parameters.items():
            try:
                model.__pydantic_validator__.validate_assignment(checked, key, given)
            except ValidationError as error:
                wrong.append(explain(model, error, self._title()))
        if wrong:
            raise ConfigError(" ".join(wrong))
        return {key: getattr(checked, key) for key in parameters}

    def batch_provider(self) -> BatchProvider:
        """Batch jobs with this model: at its provider, else in the background of this machine.

        Raises: CredentialError without a key.
        """
        return LocalBatch(self)

    def batch_requests(
        self, input: FormattedInput, num_generations: int, kwargs: Mapping[str, Any]
    ) -> list[tuple[str, dict[str, Any]]]:
        """Path and body of the requests for one input, just as they would be sent now; one, or one a generation."""
        return local_requests(input, num_generations, kwargs)

    def batch_usage(self, path: str, reply: dict[str, Any], num_generations: int) -> tuple[int, int]:
        """Tokens read and written, as a reply counts them."""
        return tokens_of(reply.get("statistics"))

    def batch_output(self, replies: Sequence[dict[str, Any]], num_generations: int) -> GenerateOutput:
        """The replies to the requests of one input, as one output. Raises: ReplyError as the online call would."""
        return local_output(replies)

    def _offline_batch(self, inputs: Any, num_generations: int, kwargs: dict[str, Any]) -> list[GenerateOutput]:
        # Jobs are kept in the ledger, which stands above models; found by name, as no model may import it.
        offline = import_module("components.pipeline.batch.offline")
        return cast(list[GenerateOutput], offline.generate_offline(self, inputs, num_generations, kwargs))

    def _checked(self, outputs: Any, inputs: Sequence[Any]) -> list[Any]:
        if not isinstance(outputs, list) or len(outputs) != len(inputs):
            got = f"{len(outputs)} answers" if isinstance(outputs, list) else type(outputs).__name__
            raise ReplyError(
                f"{type(self).__name__}.generate returned {got} for {len(inputs)} inputs. "
                "It must return a list with one item per input."
            )
        return outputs


class AsyncLLM(LLM):
    """A model that answers one prompt at a time, many at once, such as one behind an API."""

    answers_many: ClassVar[bool] = True
    """Whether one `agenerate` gives all `num_generations`; otherwise each generation is a call of its own."""

    @property
    def gives_many(self) -> bool:
        """`answers_many`, for models that find it out while they work."""
        return self.answers_many

    @abstractmethod
    async def agenerate(self, input: Any, num_generations: int = 1, *args: Any, **kwargs: Any) -> Any:
        """`num_generations` answers to one input."""

    def generate(self, inputs: Any, num_generations: int = 1, **kwargs: Any) -> list[GenerateOutput]:
        """`num_generations` answers to each input; safe to call inside a running event loop."""

        async def all_inputs() -> list[GenerateOutput]:
            calls = [asyncio.create_task(self.complete(item, num_generations, **kwargs)) for item in inputs]
            try:
                return list(await asyncio.gather(*calls))
            finally:
                for call in calls:
                    call.cancel()

        return run_in_background(all_inputs())

    async def complete(self, input: FormattedInput, num_generations: int = 1, **kwargs: Any) -> GenerateOutput:
        gate = current_gate()

        def one(count: int, kwargs: dict[str, Any]) -> Awaitable[GenerateOutput]:
            async def call() -> GenerateOutput:
                return as_output(await self.agenerate(input, num_generations=count, **kwargs), type(self).__name__)

            return gate.call(self, input, count, kwargs, call)

        if num_generations == 1 or self.gives_many:
            return await one(num_generations, kwargs)
        calls = (one(1, nth(kwargs, at)) for at in range(num_generations))
        return merge_outputs(await asyncio.gather(*calls, return_exceptions=True))
