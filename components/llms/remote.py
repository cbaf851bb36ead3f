"""What all language models behind an address share: what they cost, and how they are asked, now or in a batch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from pydantic import Field, field_validator

from components.component import Incidental, RuntimeParameter
from components.errors import ProviderError, ReplyError, RequestRefused
from components.llms.addressed import OPENED, Addressed
from components.llms.batch.local import is_local_reply, tokens_of
from components.llms.learned import Habits, habits_of
from components.llms.llm import AsyncLLM
from components.llms.output import merge_outputs, nth, split_input
from components.llms.pricing import Price
from components.llms.structured import Form, Rung, form_of
from components.llms.typing import FormattedInput, GenerateOutput

LESSONS = 10
"""How many things a server may refuse of one request, one after the other, before its refusal is final."""


class Withheld(BaseException):
    """A request that was made but not sent."""

    def __init__(self, path: str, body: dict[str, Any]) -> None:
        super().__init__(path)
        self.path = path
        self.body = body


_withholding: ContextVar[bool] = ContextVar("withholding", default=False)


class RemoteLLM(Addressed, AsyncLLM):
    """A model behind an address."""

    max_retries: Incidental[RuntimeParameter[int]] = Field(6, ge=0)
    """How often a call that failed at the provider is tried again, where you set it; waiting for a place is no try."""
    structured_output: RuntimeParameter[Any] = None
    """The form of the answer: a JSON Schema or a pydantic model, also as {"format": "json", "schema": …}."""

    @field_validator("structured_output")
    @classmethod
    def _form_is_known(cls, asked: Any) -> Any:
        form_of(asked)
        return asked

    @property
    def attempts(self) -> int | None:
        """How often a call is tried, where somebody said so; else the run decides."""
        return None if self.max_retries is None or "max_retries" not in self.model_fields_set else self.max_retries + 1

    @property
    def price(self) -> Price | None:
        if self.input_price is not None and self.output_price is not None:
            return Price(self.input_price, self.output_price)
        if self.is_free:
            return Price(0, 0)
        listed = self.provider_id
        return Price.look_up(listed, self.model_name, self.service) if listed else None

    @property
    def habits(self) -> Habits:
        """What the server turned out not to take."""
        return habits_of(self.endpoint.account, self.model_name)

    def load(self) -> None:
        import components.llms.http  # noqa: F401 - the first call need not wait for it

        super().load()
        self.__dict__.pop(OPENED, None)
        self.endpoint  # noqa: B018 - a missing key is told before the first call
        self.price  # noqa: B018 - the price list is read here, not on the event loop

    def unload(self) -> None:
        self.__dict__.pop(OPENED, None)
        super().unload()

    def most_tokens(self, input: FormattedInput, num_generations: int, kwargs: Mapping[str, Any]) -> tuple[int, int]:
        read, written = super().most_tokens(input, num_generations, kwargs)
        form = self._form(input)
        return read + (len(form.text) // 3 if form else 0), written

    @property
    def has_batch_api(self) -> bool:
        """Whether the provider takes batch jobs for it; else they are done on this machine."""
        return False

    def batch_requests(
        self, input: FormattedInput, num_generations: int, kwargs: Mapping[str, Any]
    ) -> list[tuple[str, dict[str, Any]]]:
        if not self.has_batch_api:
            return super().batch_requests(input, num_generations, kwargs)
        count = num_generations if self.gives_many else 1
        return [self._unsent(input, count, nth(kwargs, at)) for at in range(0, num_generations, count)]

    def batch_usage(self, path: str, reply: dict[str, Any], num_generations: int) -> tuple[int, int]:
        if is_local_reply(reply):
            return super().batch_usage(path, reply, num_generations)
        try:
            output = self._read(reply, num_generations)
        except (ProviderError, ReplyError) as error:
            return tokens_of(error.statistics)
        return tokens_of(output["statistics"])

    def batch_output(self, replies: Sequence[dict[str, Any]], num_generations: int) -> GenerateOutput:
        if is_local_reply(replies[0]):
            return super().batch_output(replies, num_generations)
        count = num_generations if len(replies) == 1 else 1
        outputs: list[GenerateOutput | BaseException] = []
        for reply in replies:
            try:
                outputs.append(self._read(reply, count))
            except (ProviderError, ReplyError) as error:
                outputs.append(error)
        given = sum(1 if isinstance(output, BaseException) else len(output["generations"]) for output in outputs)
        short = ReplyError("The provider gave fewer answers than it was asked for.")
        return merge_outputs([*outputs, *[short] * (num_generations - given)])

    def _unsent(self, input: FormattedInput, count: int, kwargs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The request of an online call, caught on its way out, so that there is but one way to make it."""
        token = _withholding.set(True)
        call = self.agenerate(input, num_generations=count, **kwargs)
        try:
            call.send(None)
        except Withheld as made:
            return made.path, made.body
        finally:
            _withholding.reset(token)
            call.close()
        raise AssertionError("a call waits for nothing before it sends its request")

    def _read(self, reply: Mapping[str, Any], count: int) -> GenerateOutput:
        """A reply to one request as an output. Raises: ReplyError, ContentRefused."""
        raise NotImplementedError

    def _form(self, input: FormattedInput) -> Form | None:
        """The form of the answer: the input's own, else the model's."""
        asked = split_input(input)[1]
        return form_of(asked if asked is not None else self.structured_output)

    def _rung(self, form: Form) -> Rung:
        """How to ask this server for a form, going by what is known of it."""
        preset, habits = self.endpoint.site.preset, self.habits
        rung = max(habits.rung, habits.rungs.get(form.digest, 0))
        if not form.is_object:
            return Rung.PROMPT
        if rung == Rung.JSON_SCHEMA and not preset.has_json_schema:
            rung = Rung.JSON_OBJECT
        if rung == Rung.JSON_OBJECT and not preset.has_json_object:
            rung = Rung.PROMPT
        return Rung(rung)

    async def _insist(
        self, request: Callable[[], tuple[str, dict[str, Any]]], form: Form | None = None, kept: Collection[str] = ()
    ) -> Any:
        """Send what `request` makes, made anew without each thing that the server turns out not to take.

        `form` is the form asked for, unless the caller asked in words of its own; `kept` are fields never left out.
        """
        for lesson in range(LESSONS):
            path, body = request()
            if _withholding.get():
                raise Withheld(path, body)
            rung = self._rung(form) if form is not None else None
            try:
                return await self._send(path, body)
            except RequestRefused as error:
                if type(error) is not RequestRefused or lesson == LESSONS - 1:
                    raise
                stepped_down = form is not None and rung is not None and self.habits.learn_rung(error, form, rung)
                if not stepped_down and not self.habits.learn(error, body.keys() - kept):
                    raise
        raise AssertionError("unreachable")
