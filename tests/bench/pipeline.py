"""A child process that runs one pipeline against the fast server and prints what it took, as JSON."""

import json
import resource
import sys
import tempfile
import time

BEGAN = time.time()


def main(base_url: str, rows: int, concurrency: int) -> None:
    cpu_before = time.process_time()
    from components.llms import OpenAILLM
    from components.pipeline.engine import Engine
    from components.pipeline.graph import Graph
    from components.pipeline.ledger import Ledger
    from components.pipeline.running import RunOptions, create_run
    from components.pipeline.spec import PipelineSpec
    from components.steps.tasks import TextGeneration
    from tests.fakes import Numbers

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        graph = Graph()
        graph.add(Numbers(name="rows", count=rows))
        graph.add(TextGeneration(name="generate", llm=OpenAILLM(model="bench", base_url=base_url)))
        graph.connect("rows", "generate")
        options = RunOptions(concurrency=concurrency, use_cache=False)
        run_id = create_run(ledger, graph, PipelineSpec.of(graph, "bench"), options)
        ready, cpu_ready = time.time(), time.process_time()
        state = Engine(graph, ledger, run_id).work()
        done, cpu_done = time.time(), time.process_time()
        step = ledger.steps(run_id)[1]
        ledger.close()
    figures = {
        "state": state,
        "ok": step.ok,
        "start_wall": ready - BEGAN,
        "start_cpu": cpu_ready - cpu_before,
        "wall": done - ready,
        "cpu": cpu_done - cpu_ready,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
