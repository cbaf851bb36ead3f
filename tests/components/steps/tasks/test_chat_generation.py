"""ChatGeneration: conversations go to the model as they are."""

import pytest

from components.errors import ConfigError
from components.steps.tasks import ChatGeneration
from tests.components.steps.scripted import ScriptedLLM

CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]


def test_a_conversation_goes_to_the_model_as_it_is():
    llm = ScriptedLLM()
    [row] = next(ChatGeneration(llm=llm).process([{"messages": CHAT}]))
    assert llm.asked == [CHAT]
    assert row["generation"] == "an answer"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("Hello", "holds str"),
        ([], "holds nothing"),
        (["Hello"], "Message 1 .* no role"),
        ([{"role": "user"}], "Message 1 .* no content"),
        ([{"role": "robot", "content": "x"}], "role 'robot'"),
        ([{"role": "user", "content": 3}], "content that is no text"),
        ([*CHAT, {"role": "assistant", "content": "Hi"}], "last message .* by the assistant"),
    ],
)
def test_a_conversation_that_cannot_be_answered_says_why(messages, message):
    with pytest.raises(ConfigError, match=message):
        next(ChatGeneration(llm=ScriptedLLM()).process([{"messages": messages}]))
