"""Everything that can go wrong, as one tree. The class decides what the engine does; messages are for the person.

StillroomError
├─ ConfigError                   a pipeline, field or parameter is wrong; nothing was started
│  ├─ UnknownComponent           no component of that name in the catalog
│  ├─ UnknownParameter           no parameter of that name; names the closest
│  ├─ MissingColumn              a step needs a column that nothing before it makes
│  ├─ TemplateError              a prompt template is broken or not allowed
│  └─ MissingPackage             an extra is not installed; names the command
├─ DataFileError                 a file cannot be read; names file, row or column
├─ ProviderError                 a call to a model failed
│  ├─ CredentialError            no key, or refused; pauses the run
│  ├─ QuotaExhausted             no credit left; pauses the run
│  ├─ UnknownModel               the provider has no such model; pauses the run
│  ├─ WrongAddress               no API answers at base_url; pauses the run
│  ├─ RateLimited                retried, obeying retry_after
│  ├─ ProviderDown               5xx, dropped or malformed reply; retried with jitter
│  │  └─ ProviderTimeout         retried likewise
│  ├─ BatchOutcomeUnknown        a batch job may or may not have been made; never tried again blindly
│  ├─ BatchGone                  the provider knows no such batch job or file
│  └─ RequestRefused             the provider refuses this row's request; the row fails
│     ├─ ContextTooLong
│     └─ ContentRefused          a safety filter or a refusal
├─ ReplyError                    the model answered in the wrong form; the row fails
│  └─ NotInLabels                the answer is none of the labels; the row needs review
├─ CapReached                    the next call could pass the spending cap
├─ LedgerError                   the database cannot be opened or written
├─ RunConflict                   the run is being worked on elsewhere, or is in the wrong state
├─ RunPaused                     the provider refuses the key, the account or the model; carries run_id
└─ OfflineBatchError
   └─ OfflineBatchNotFinished    the batch runs on; carries jobs_ids
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from components.states import Reason


class StillroomError(Exception):
    """Something a person can act on; the message says what and how."""

    @property
    def message(self) -> str:
        return str(self)


class ConfigError(StillroomError, ValueError):
    """A pipeline, a field or a parameter is wrong."""


class UnknownComponent(ConfigError):
    """No component of that name."""


class UnknownParameter(ConfigError):
    """No parameter of that name."""


class MissingColumn(ConfigError):
    """A step needs a column that nothing before it makes."""


class TemplateError(ConfigError):
    """A prompt template is broken or uses something templates may not."""


class MissingPackage(ConfigError):
    """An optional package is needed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an optional package. Install it with: pip install "stillroom[{extra}]"')


class DataFileError(StillroomError):
    """A data file cannot be read as it is."""


class ProviderError(StillroomError):
    """A call to a model failed."""

    reason = Reason.PROVIDER_ERROR
    is_retryable = False
    pauses_run = False
    statistics: Mapping[str, list[int]] = MappingProxyType({})
    """Tokens that were counted for it all the same."""
    may_be_paid = False
    """The answer may have been made and charged for, though it never arrived whole."""

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        parameter: str = "",
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.retry_after = retry_after
        self.parameter = parameter


class CredentialError(ProviderError):
    """No key, or the provider refused it."""

    reason = Reason.BAD_KEY
    pauses_run = True


class QuotaExhausted(ProviderError):
    """The account has no credit left."""

    reason = Reason.BAD_KEY
    pauses_run = True


class UnknownModel(ProviderError):
    """The provider has no such model."""

    pauses_run = True


class WrongAddress(ProviderError):
    """What answers at the address is no API for models."""

    pauses_run = True


class RateLimited(ProviderError):
    """Too many requests for this account."""

    reason = Reason.RATE_LIMIT
    is_retryable = True


class ProviderDown(ProviderError):
    """A server error, a dropped connection or a reply that is no reply."""

    is_retryable = True


class ProviderTimeout(ProviderDown):
    """No reply in time."""

    reason = Reason.TIMEOUT


class RequestRefused(ProviderError):
    """The provider refuses this request."""


class ContextTooLong(RequestRefused):
    """The prompt is longer than the model can read."""

    reason = Reason.CONTEXT_TOO_LONG


class ContentRefused(RequestRefused):
    """A safety filter or the model itself declined."""

    reason = Reason.REFUSED


class BatchOutcomeUnknown(ProviderError):
    """A batch job may or may not have been made."""


class BatchGone(ProviderError):
    """The provider knows no such batch job or file under this key."""


class ReplyError(StillroomError, ValueError):
    """The model answered in the wrong form."""

    reason = Reason.UNPARSEABLE
    statistics: Mapping[str, list[int]] = MappingProxyType({})


class CutOff(ReplyError):
    """The answer stops at its token limit."""

    reason = Reason.CUT_OFF

    def __init__(self, message: str = "The answer was cut off at its token limit. Raise max_new_tokens.") -> None:
        super().__init__(message)


class NotInLabels(ReplyError):
    """The answer is none of the labels."""

    reason = Reason.NOT_IN_LABELS


class CapReached(StillroomError):
    """The next call could pass the spending cap."""

    reason = Reason.CAPPED


class LedgerError(StillroomError):
    """The database cannot be opened or written."""


class RunConflict(StillroomError):
    """The run is being worked on elsewhere, or is in the wrong state for this."""


class RunPaused(StillroomError):
    """The run rests until the key, the account or the model is put right."""

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class OfflineBatchError(StillroomError):
    """An offline batch cannot go on."""


class OfflineBatchNotFinished(OfflineBatchError):
    """The batch is still running; `jobs_ids` says which."""

    def __init__(self, jobs_ids: tuple[str, ...]) -> None:
        self.jobs_ids = jobs_ids
        super().__init__(f"Batch generation with jobs_ids={jobs_ids} is not finished")


DistilabelOfflineBatchGenerationNotFinishedException = OfflineBatchNotFinished


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A closing ` Did you mean 'x'?`, or nothing when no name is near."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
