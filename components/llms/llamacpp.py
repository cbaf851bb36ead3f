"""A model inside this process, by llama.cpp: no account, no server, no network."""

from concurrent.futures import Executor
from contextvars import copy_context
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator, validate_call

from components.component import DataFile, Incidental, RuntimeParameter
from components.errors import ConfigError
from components.llms import chat
from components.llms.gguf import fetch_gguf, log_progress
from components.llms.llamacpp_engine import Engine, Lease, Settings, threads_for
from components.llms.llm import LLM
from components.llms.output import merge_outputs, nth, split_input
from components.llms.parameters import (
    Logprobs,
    MaxNewTokens,
    Penalty,
    Seed,
    StopTexts,
    Temperature,
    TopK,
    TopLogprobs,
    TopP,
)
from components.llms.structured import Rung, form_of
from components.llms.typing import FormattedInput, GenerateOutput
from components.vault import current_vault

MinP = Annotated[float | None, Field(ge=0, le=1, description="Leave out words much less likely than the likeliest.")]
RepeatPenalty = Annotated[float | None, Field(gt=0, description="Above 1 the model repeats itself less.")]
MoreParameters = Annotated[dict[str, Any] | None, Field(description="More parameters of llama.cpp, as it names them.")]


class LlamaCppLLM(LLM):
    """A model on this machine: a GGUF file of yours, or one from the Hugging Face Hub."""

    source: ClassVar[str] = "https://github.com/ggml-org/llama.cpp"
    is_local: ClassVar[bool] = True

    model_path: RuntimeParameter[DataFile] = None
    """The GGUF file on this machine."""
    repo_id: RuntimeParameter[str] = None
    """Or the repository on the Hub that has it."""
    filename: RuntimeParameter[str] = None
    """The file in the repository; may hold `*`, as in `*Q4_K_M.gguf`."""
    revision: str | None = None
    """The branch, tag or commit of the repository."""
    n_ctx: int = Field(4096, ge=32)
    """The longest conversation, prompt and answer together, in tokens."""
    n_gpu_layers: Incidental[RuntimeParameter[int]] = -1
    """How many layers to put on the graphics card; -1 for all that fit."""
    n_threads: Incidental[RuntimeParameter[int]] = Field(None, ge=1)
    """How many processor cores to use; half of them where it is not set."""
    n_parallel: Incidental[int] = Field(4, ge=1, le=64)
    """How many rows to work on at the same time; each takes memory for its own conversation."""
    n_batch: Incidental[int] = Field(2048, ge=1)
    """How many tokens of a prompt to read at once."""
    chat_format: RuntimeParameter[str] = None
    """The chat template, by llama.cpp's name such as chatml, or written out; the model's own where it is not set."""
    seed: RuntimeParameter[int] = None
    """Where the dice start, unless the generation parameters say so."""
    verbose: Incidental[RuntimeParameter[bool]] = False
    """Let llama.cpp print what it does."""
    structured_output: RuntimeParameter[Any] = None
    """The form of the answer, enforced word by word: a JSON Schema or a pydantic model."""

    _lease: Lease | None = PrivateAttr(default=None)

    @field_validator("structured_output")
    @classmethod
    def _form_is_known(cls, asked: Any) -> Any:
        form_of(asked)
        return asked

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if bool(self.model_path) == bool(self.repo_id):
            raise ValueError("give either model_path, or repo_id with filename")
        if self.repo_id and not self.filename:
            raise ValueError(f"say which file of {self.repo_id} to use, in filename")
        return self

    @property
    def model_name(self) -> str:
        return Path(self.model_path).stem if self.model_path else f"{self.repo_id}/{self.filename}"

    @property
    def account(self) -> str:
        return f"{type(self).__name__} {self.model_path or self.repo_id}"

    @property
    def threads(self) -> Executor:
        return threads_for(self.n_parallel)

    def load(self) -> None:
        super().load()
        self._engine()

    def unload(self) -> None:
        if self._lease is not None:
            self._lease.end()
            self._lease = None
        super().unload()

    @validate_call
    def generate(
        self,
        inputs: list[FormattedInput],
        num_generations: int = 1,
        max_new_tokens: MaxNewTokens = 128,
        temperature: Temperature = None,
        top_p: TopP = None,
        top_k: TopK = None,
        min_p: MinP = None,
        frequency_penalty: Penalty = None,
        presence_penalty: Penalty = None,
        repeat_penalty: RepeatPenalty = None,
        stop: StopTexts = None,
        seed: Seed = None,
        logprobs: Logprobs = None,
        top_logprobs: TopLogprobs = None,
        extra_generation_kwargs: MoreParameters = None,
    ) -> list[GenerateOutput]:
        """`num_generations` answers to each prompt."""
        options = {
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "min_p": min_p,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "repeat_penalty": repeat_penalty,
            "stop": stop,
            "seed": self.seed if seed is None else seed,
            "logprobs": logprobs,
            "top_logprobs": top_logprobs,
        }
        engine = self._engine()

        def answer(input: FormattedInput) -> GenerateOutput:
            answers = (
                self._answer(engine, input, max_new_tokens, nth(options, at), extra_generation_kwargs)
                for at in range(num_generations)
            )
            return merge_outputs(list(answers)) if num_generations > 1 else next(answers)

        if len(inputs) == 1:
            return [answer(inputs[0])]
        return [call.result() for call in [self.threads.submit(copy_context().run, answer, one) for one in inputs]]

    def _answer(
        self,
        engine: Engine,
        input: FormattedInput,
        max_tokens: int,
        options: dict[str, Any],
        extra: dict[str, Any] | None,
    ) -> GenerateOutput:
        prompt, asked = split_input(input)
        form = form_of(asked if asked is not None else self.structured_output)
        if isinstance(prompt, str):
            if form is not None:
                raise ConfigError("Structured output needs messages, not a bare text to complete.")
            body = chat.text_body(self.model_name, prompt, max_tokens=max_tokens, options=options, extra=extra)
            return chat.parse_text(engine.complete(body))
        wanted = form.response_format(Rung.JSON_SCHEMA, is_strict=False) if form is not None else None
        body = chat.chat_body(
            self.model_name, prompt, max_tokens=max_tokens, options=options, response_format=wanted, extra=extra
        )
        return chat.parse_chat(engine.chat(body))

    def _engine(self) -> Engine:
        engine = self._lease.engine if self._lease is not None else None
        if engine is None:
            self._lease = Lease(
                Settings(
                    self._file(),
                    self.n_ctx,
                    self.n_parallel,
                    -1 if self.n_gpu_layers is None else self.n_gpu_layers,
                    self.n_threads,
                    self.n_batch,
                    self.chat_format,
                    bool(self.verbose),
                )
            )
            engine = self._lease.engine
            assert engine is not None
        return engine

    def _file(self) -> Path:
        if self.model_path:
            return Path(self.model_path).expanduser().resolve()
        key = current_vault().environment_key("HF_TOKEN", "https://huggingface.co", "https://huggingface.co")
        return fetch_gguf(
            self.repo_id or "",
            self.filename or "",
            revision=self.revision,
            token=key.get_secret_value() if key else None,
            on_progress=log_progress(self.model_name),
        )
