import subprocess
import sys

import components.llms

HEAVY = ("aiohttp", "openai", "huggingface_hub", "genai_prices", "httpx", "httpx2", "json_repair", "xllamacpp", "numpy")


def test_importing_the_models_imports_nothing_heavy():
    script = f"import sys, components.llms; print([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_name_that_is_offered_is_there_and_says_what_it_is():
    for name in components.llms.__all__:
        assert getattr(components.llms, name).__doc__, name


def test_a_script_leaves_no_connection_open_when_it_ends():
    script = """
import sys
from components.llms import OpenAILLM
from tests.servers.openai_server import OpenAIServer
with OpenAIServer() as server:
    llm = OpenAILLM(model="m", base_url=server.base_url)
    print(llm.generate_outputs([[{"role": "user", "content": "hi"}]])[0]["generations"])
"""
    shown = subprocess.run([sys.executable, "-W", "always", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "['echo: hi']"
    assert "Unclosed" not in shown.stderr and "ResourceWarning" not in shown.stderr
