"""A pipeline of a script: made in a `with` block, checked as a whole, run from any thread."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from components.errors import ConfigError, UnknownParameter, did_you_mean
from components.pipeline import drawing, older_arguments
from components.pipeline.checks import check
from components.pipeline.graph import Graph
from components.pipeline.problem import raise_errors
from components.pipeline.routing import RoutingBatchFunction
from components.pipeline.spec import PipelineSpec
from components.steps.building import Builder, pipeline_being_built
from components.steps.step import AnyStep, GlobalStep
from components.vault import FileVault, ScriptVault, Vault, current_vault, lend

if TYPE_CHECKING:
    from components.pipeline.distiset import Distiset

LONGEST_NAME = 100

log = logging.getLogger("stillroom.pipeline")


class LoadStages(NamedTuple):
    """The steps that can work at the same time, stage by stage, and the last steps of each stage."""

    stages: list[list[str]]
    last_steps: list[list[str]]


class Pipeline:
    """Steps that pass rows on to one another: `with Pipeline() as pipeline: load >> generate`."""

    def __init__(
        self,
        name: str | None = None,
        description: str | None = None,
        cache_dir: str | Path | None = None,
        enable_metadata: bool = False,
        requirements: list[str] | None = None,
    ) -> None:
        """`requirements`: packages that must be installed, as requirements.txt names them.

        `cache_dir` is an argument of older scripts, and refused.
        Raises: ConfigError, also where a package is missing.
        """
        older_arguments.refuse(cache_dir=cache_dir)
        older_arguments.require(requirements or [])
        self.graph = Graph()
        self.description = description or ""
        self.enable_metadata = enable_metadata
        self.requirements = list(requirements or [])
        self.is_from_file = False
        """Its addresses are a file's, so keys of the environment are sent to their own providers alone."""
        self._name = name
        self._outer: list[Builder | None] = []

    @property
    def name(self) -> str:
        """The name it was given, or one made of the names of its steps."""
        return self._name or "_".join(["pipeline", *self.graph.steps])[:LONGEST_NAME]

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline as plain data."""
        return PipelineSpec.of(self.graph, self.name, self.description)

    @property
    def signature(self) -> str:
        """A hash of all that can change the results: the steps, their code and how they are connected."""
        parts = [f"{name} {step.signature()}" for name, step in sorted(self.graph.steps.items())]
        parts += [f"{one} -> {other}" for one, other in sorted(self.graph.edges)]
        parts += [f"{name}: {router.dump()}" for name, router in sorted(self.graph.routers.items())]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()

    def __enter__(self) -> Self:
        self._outer.append(pipeline_being_built.get())
        pipeline_being_built.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pipeline_being_built.set(self._outer.pop())

    def add_step(self, step: AnyStep) -> None:
        """Add a step that was made outside of the `with` block."""
        self.graph.add(step)
        step.__dict__["pipeline"] = self

    def unused_name(self, stem: str) -> str:
        """`stem_0`, or the first number that no step has."""
        return self.graph.unused_name(stem)

    def connect(self, upstream: AnyStep, downstream: list[AnyStep], routing: RoutingBatchFunction | Any = None) -> None:
        """Send the rows of a step to others; a routing function chooses among them for each batch.

        Raises: ConfigError when one of them is not of this pipeline, and as `Graph.connect` does.
        """
        if routing is not None and not isinstance(routing, RoutingBatchFunction):
            raise ConfigError("A routing function needs @routing_batch_function above it.")
        for step in (upstream, *downstream):
            if self.graph.steps.get(step.name) is not step:
                raise ConfigError(f"Step '{step.name}' is not in this pipeline. Make it in the same `with` block.")
        for step in downstream:
            self.graph.connect(upstream.name, step.name)
        if routing is not None:
            self.graph.route(upstream.name, routing)

    def run(
        self,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        use_cache: bool = True,
        storage_parameters: Mapping[str, Any] | None = None,
        use_fs_to_pass_data: bool = False,
        dataset: Any = None,
        dataset_batch_size: int = 50,
        logging_handlers: list[logging.Handler] | None = None,
        load_groups: Any = None,
        *,
        cap: float | None = None,
        concurrency: int = 64,
    ) -> "Distiset":
        """Run the pipeline to its end and return what it made; works in any thread and inside a running event loop.

        `parameters`: for each step by name, runtime parameters of this run, coerced to their types.
        `use_cache`: take over results of earlier runs for rows that did not change.
        `dataset`: rows for the first steps: a list of dicts, a DataFrame or a Dataset.
        `cap`: US dollars this run may spend. `concurrency`: calls in flight at most.
        `dataset_batch_size`: how many rows of `dataset` are handed on at a time.
        `logging_handlers`: get the log as well.
        The other arguments are those of older scripts, and refused.

        Raises: ConfigError before anything starts; RunPaused when a provider refuses the key, the account or the model.
        """
        from components.pipeline.running import run_pipeline

        older_arguments.refuse(
            storage_parameters=storage_parameters, use_fs_to_pass_data=use_fs_to_pass_data, load_groups=load_groups
        )
        with _logging_to(logging_handlers or []), lend(self._vault()):
            return run_pipeline(
                self,
                parameters=parameters,
                use_cache=use_cache,
                dataset=dataset,
                dataset_batch_size=dataset_batch_size,
                cap=cap,
                concurrency=concurrency,
            )

    def dry_run(
        self,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        batch_size: int = 1,
        dataset: Any = None,
    ) -> "Distiset":
        """Run the first `batch_size` rows of each source and return what came of them."""
        from components.pipeline.running import run_pipeline

        with lend(self._vault()):
            return run_pipeline(self, parameters=parameters, use_cache=False, dataset=dataset, dry_run_rows=batch_size)

    def graph_for(
        self, parameters: Mapping[str, Mapping[str, Any]], dataset: Any = None, dataset_batch_size: int = 50
    ) -> Graph:
        """The steps as one run will use them: copies with its parameters set and its rows put in front, checked.

        Raises: UnknownParameter, MissingColumn or another ConfigError with everything that is wrong.
        """
        graph = self._configured(parameters)
        if dataset is not None:
            _put_in_front(graph, dataset, dataset_batch_size)
        problems = check(graph)
        raise_errors(problems)
        for problem in problems:
            log.warning(problem.message)
        return graph

    def get_runtime_parameters_info(self) -> dict[str, list[dict[str, Any]]]:
        """For each step: name, description, schema and state of every runtime parameter."""
        return {name: step.get_runtime_parameters_info() for name, step in self.graph.steps.items()}

    def get_load_stages(self, load_groups: Any = None) -> LoadStages:
        """The steps in stages; one that needs all rows begins a stage of its own. `load_groups` is refused."""
        older_arguments.refuse(load_groups=load_groups)
        stage_of: dict[str, int] = {}
        for name in self.graph.order():
            before = self.graph.predecessors(name)
            wait = [stage_of[one] + isinstance(self.graph.steps[one], GlobalStep) for one in before]
            stage_of[name] = max(wait, default=0) + (isinstance(self.graph.steps[name], GlobalStep) and bool(before))
        stages: list[list[str]] = [[] for _ in range(max(stage_of.values(), default=-1) + 1)]
        for name, stage in stage_of.items():
            stages[stage].append(name)
        last_steps = [[name for name in stage if not set(self.graph.successors(name)) & set(stage)] for stage in stages]
        return LoadStages(stages, last_steps)

    def dump(self) -> dict[str, Any]:
        """The content of a pipeline file; never with keys."""
        return self.spec.document()

    def save(self, path: str | Path, format: Literal["yaml", "json"] | None = None) -> None:
        """Write a file that `from_file`, the app and the command line read.

        Raises: ConfigError when a routing function of your own is in the way, as no file can hold code.
        """
        own = [
            f"'{router.name}' after step '{name}'"
            for name, router in self.graph.routers.items()
            if not router.is_saveable
        ]
        if own:
            raise ConfigError(
                f"The pipeline could not be saved: the routing function {own[0]} is code, which no file holds. "
                "Use sample_n_steps, or keep the pipeline as a script."
            )
        if self.requirements:
            log.warning("A pipeline file names no packages, so `requirements` was left out of it.")
        self.spec.save(path, format)

    @classmethod
    def from_spec(cls, spec: PipelineSpec) -> Self:
        """A pipeline from its plain data."""
        pipeline = cls(name=spec.name or None, description=spec.description)
        pipeline.graph = spec.build()
        pipeline.is_from_file = True
        for step in pipeline.graph.steps.values():
            step.__dict__["pipeline"] = pipeline
        return pipeline

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A pipeline from the content of a file, as `dump` gives it; one of the older library is taken over."""
        return cls.from_spec(PipelineSpec.from_data(data))

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """A pipeline from a YAML file."""
        return cls.from_spec(PipelineSpec.read(path, "yaml"))

    @classmethod
    def from_json(cls, path: str | Path) -> Self:
        """A pipeline from a JSON file."""
        return cls.from_spec(PipelineSpec.read(path, "json"))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """A pipeline from a YAML or JSON file, by the ending of its name."""
        return cls.from_spec(PipelineSpec.read(path))

    def draw(
        self, path: str | Path = "pipeline.svg", top_to_bottom: bool = False, show_edge_labels: bool = True
    ) -> Path:
        """Draw the pipeline as .svg, or as Mermaid text (.mmd, .md, .txt), without the network; returns the path."""
        path = Path(path)
        endings = {".svg": drawing.svg, ".mmd": drawing.mermaid, ".md": drawing.mermaid, ".txt": drawing.mermaid}
        if path.suffix.lower() not in endings:
            raise ConfigError(f"A pipeline is drawn as .svg or .mmd, not '{path.suffix}'. Choose another name.")
        draw = endings[path.suffix.lower()]
        text = draw(self.graph, top_to_bottom=top_to_bottom, show_edge_labels=show_edge_labels)
        path.write_text(f"```mermaid\n{text}```\n" if path.suffix.lower() == ".md" else text, encoding="utf-8")
        return path

    def _vault(self) -> Vault:
        vault = current_vault()
        return FileVault() if self.is_from_file and isinstance(vault, ScriptVault) else vault

    def _configured(self, parameters: Mapping[str, Mapping[str, Any]]) -> Graph:
        if not isinstance(parameters, Mapping):
            raise ConfigError(f"The parameters of a run are a group for each step by name, not {parameters!r}.")
        for name, values in parameters.items():
            if name not in self.graph.steps:
                raise UnknownParameter(f"There is no step '{name}' to set.{did_you_mean(name, self.graph.steps)}")
            if not isinstance(values, Mapping):
                raise ConfigError(f"Step '{name}' takes a group of parameters, not {values!r}.")
        steps = self.graph.steps.items()
        return self.graph.with_steps(
            {name: step.with_runtime_parameters(parameters.get(name) or {}) for name, step in steps}
        )


def _put_in_front(graph: Graph, dataset: Any, batch_size: int) -> None:
    from components.steps.load import make_generator_step

    if graph.sources():
        raise ConfigError(
            f"The pipeline has a source already: '{graph.sources()[0]}'. Remove it, or leave out dataset."
        )
    first = graph.roots()
    source = make_generator_step(dataset, batch_size=batch_size, name=graph.unused_name("dataset"))
    graph.add(source)
    for name in first:
        graph.connect(source.name, name)


@contextmanager
def _logging_to(handlers: Iterable[logging.Handler]) -> Iterator[None]:
    logger = logging.getLogger("stillroom")
    attached = list(handlers)
    for handler in attached:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in attached:
            logger.removeHandler(handler)
