"""A process of its own that works on a local job until it is done or killed.

python -m tests.components.llms.batch.working http://127.0.0.1:9/v1 local_0123
"""

import sys

from components.llms import OpenAILLM
from components.llms.batch.local import LocalBatch

if __name__ == "__main__":
    provider = LocalBatch(OpenAILLM(model="m", base_url=sys.argv[1], api_key="k"))
    while not provider.get(sys.argv[2]).has_ended:
        pass
