"""Routing functions: which of the next steps get a batch of rows."""

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, overload

from components.errors import ConfigError, StillroomError, UnknownComponent, did_you_mean
from components.steps.step import AnyStep

Choice = Callable[[list[str]], list[str]]
P = ParamSpec("P")


@dataclass(frozen=True)
class RoutingBatchFunction:
    """Chooses, for each batch, which of the next steps get it: `step >> routing >> [one, another]`."""

    function: Choice
    name: str
    description: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_saveable: bool = False
    """Made by a named factory and its arguments, which a file can hold; other functions are code, which it cannot."""

    def __call__(self, steps: list[str]) -> list[str]:
        return self.function(steps)

    def route(self, steps: Sequence[str], batch_number: int) -> list[str]:
        """The steps that get this batch, in the order of `steps`.

        Raises: ConfigError when the function fails, or chooses no step or one that is not there.
        """
        where = f"The routing function '{self.name}', asked about batch {batch_number},"
        try:
            chosen = self.function(list(steps))
        except StillroomError:
            raise
        except Exception as error:
            raise ConfigError(f"{where} failed: {type(error).__name__}: {error}") from error
        if isinstance(chosen, str) or not isinstance(chosen, (list, tuple, set)):
            raise ConfigError(f"{where} must return a list of step names, not {type(chosen).__name__}.")
        if not chosen:
            raise ConfigError(f"{where} chose no step, so its rows would be lost. It must choose at least one.")
        for name in chosen:
            if name not in steps:
                raise ConfigError(f"{where} chose {name!r}, which does not come next.{did_you_mean(str(name), steps)}")
        return [name for name in steps if name in chosen]

    def after(self, step: AnyStep) -> "RoutedStep":
        """The left half of `step >> routing >> [one, another]`."""
        return RoutedStep(step, self)

    def dump(self) -> dict[str, Any]:
        """The function as plain data: the name of its factory and the arguments."""
        return {"use": self.name, **self.arguments}


@dataclass(frozen=True)
class RoutedStep:
    """A step and the routing function for its rows, waiting for the steps to choose among."""

    step: AnyStep
    router: RoutingBatchFunction

    def __rshift__(self, steps: list[AnyStep]) -> list[AnyStep]:
        if not isinstance(steps, (list, tuple)):
            raise ConfigError("A routing function chooses among steps: write `step >> routing >> [one, another]`.")
        self.step.connect(*steps, routing_batch_function=self.router)
        return steps


@overload
def routing_batch_function(function: Choice, /) -> RoutingBatchFunction: ...
@overload
def routing_batch_function(
    function: str | None = None, /, *, description: str | None = None
) -> Callable[[Choice], RoutingBatchFunction]: ...


def routing_batch_function(
    function: Choice | str | None = None, /, *, description: str | None = None
) -> RoutingBatchFunction | Callable[[Choice], RoutingBatchFunction]:
    """Make a routing function of one that takes the names of the next steps and returns those that get the batch."""
    if callable(function):
        return RoutingBatchFunction(function, _name(function), description or inspect.getdoc(function) or "")
    said = description or function or ""

    def decorate(decorated: Choice) -> RoutingBatchFunction:
        return RoutingBatchFunction(decorated, _name(decorated), said or inspect.getdoc(decorated) or "")

    return decorate


FACTORIES: dict[str, Callable[..., RoutingBatchFunction]] = {}


def routing_factory(make: Callable[P, Choice]) -> Callable[P, RoutingBatchFunction]:
    """A function with arguments that makes routing functions; files hold its name and the arguments."""
    signature = inspect.signature(make)

    @wraps(make)
    def factory(*args: P.args, **kwargs: P.kwargs) -> RoutingBatchFunction:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ConfigError(f"Routing function '{make.__name__}': {error}.") from error
        function = make(*bound.args, **bound.kwargs)
        said = inspect.getdoc(make) or ""
        return RoutingBatchFunction(function, make.__name__, said, dict(bound.arguments), is_saveable=True)

    FACTORIES[make.__name__] = factory
    return factory


def build_routing(data: Mapping[str, Any]) -> RoutingBatchFunction:
    """A routing function from plain data, as `dump` writes it.

    Raises: UnknownComponent for a name that is no factory; ConfigError for arguments it does not take.
    """
    name = str(data.get("use", ""))
    if name not in FACTORIES:
        raise UnknownComponent(
            f"There is no routing function '{name}'.{did_you_mean(name, FACTORIES)} "
            f"A file can hold {', '.join(FACTORIES)}; other routing functions are code and need a script."
        )
    return FACTORIES[name](**{str(key): value for key, value in data.items() if key != "use"})


@routing_factory
def sample_n_steps(n: int) -> Choice:
    """Sends each batch to `n` of the next steps, chosen at random."""
    if type(n) is not int or n < 1:
        raise ConfigError(f"sample_n_steps needs a whole number of steps, 1 or more, not {n!r}.")

    def sample(steps: list[str]) -> list[str]:
        if n > len(steps):
            raise ConfigError(f"sample_n_steps({n}) cannot choose among {len(steps)} steps. Connect more, or lower n.")
        return random.sample(steps, n)

    return sample


def _name(function: Choice) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
