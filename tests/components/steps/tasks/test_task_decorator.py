"""`@task`: a function and a docstring make a task."""

import pytest

from components.errors import ConfigError, ReplyError, TemplateError
from components.steps.tasks import task
from tests.components.steps.scripted import ScriptedLLM


@task(inputs=["topic", "tone"], outputs=["poem", "lines"])
def Poet(output, input):
    """Writes a poem.

    ---
    system_prompt: |
        You are a poet.
    user_message_template: |
        A {tone} poem about {topic}, in {{braces}}.
    ---
    """
    return {"poem": output, "lines": output.count("\n") + 1}


def make(docstring):
    def Made(output, input):
        return {"a": output}

    Made.__doc__ = docstring
    return task(inputs=["topic"], outputs=["a"])(Made)


def prompt(user):
    return f"---\nsystem_prompt: S\nuser_message_template: {user!r}\n---"


def test_the_function_reads_the_answer_and_the_docstring_is_the_prompt():
    llm = ScriptedLLM().answering("one\ntwo")
    [row] = next(Poet(llm=llm).process([{"topic": "{tone} sea", "tone": "sad"}]))
    assert (row["poem"], row["lines"], row["topic"]) == ("one\ntwo", 2, "{tone} sea")
    assert llm.asked == [
        [
            {"role": "system", "content": "You are a poet."},
            {"role": "user", "content": "A sad poem about {tone} sea, in {braces}."},
        ]
    ]


def test_the_task_is_named_and_described_like_the_function():
    made = Poet(llm=ScriptedLLM())
    assert (Poet.__name__, Poet.__doc__, made.name) == ("Poet", "Writes a poem.", "poet_0")
    assert made.get_inputs() == {"topic": True, "tone": True}
    assert made.get_outputs() == {"poem": True, "lines": True, "model_name": True}


@pytest.mark.parametrize(
    "user",
    ["{topic.__class__}", "{topic[0]}", "{topic!r}", "{topic:>9}", "{}", "{0}", "{tpoic}", "{topic", "{topic.real}"],
)
def test_only_a_plain_column_may_stand_in_braces(user):
    with pytest.raises(TemplateError):
        make(prompt(user))


def test_a_placeholder_that_is_no_input_is_named_with_the_closest():
    with pytest.raises(TemplateError, match=r"'\{tpoic\}', which is no input\. Did you mean 'topic'\?"):
        make(prompt("{tpoic}"))


@pytest.mark.parametrize(
    "docstring",
    [
        None,
        "No YAML here.",
        "---\n- a\n---",
        "---\nsystem_prompt: S\n---",
        "---\na: [\n---",
        "---\nsystem_prompt: 3\n---",
    ],
)
def test_a_docstring_without_both_prompts_is_an_error(docstring):
    with pytest.raises(ConfigError, match="docstring"):
        make(docstring)


def test_an_answer_that_the_function_cannot_read_fails_the_row_alone():
    @task(inputs=["topic"], outputs=["number"])
    def Count(output, input):
        """---
        system_prompt: ""
        user_message_template: "{topic}"
        ---"""
        return {"number": int(output)}

    llm = ScriptedLLM().answering(lambda asked, _: asked[-1]["content"])
    rows = next(Count(llm=llm).process([{"topic": "1"}, {"topic": "two"}, {"topic": "3"}]))
    assert [row["number"] for row in rows] == [1, None, 3]
    assert "ValueError" in rows[1]["distilabel_metadata"]["error_count_0"]
    assert [message["role"] for message in llm.asked[0]] == ["user"]


def test_a_function_that_forgets_a_column_is_an_error():
    @task(inputs=["topic"], outputs=["title", "text"])
    def Half(output, input):
        """---
        system_prompt: S
        user_message_template: "{topic}"
        ---"""
        return {"titel": output}

    with pytest.raises(ConfigError, match=r"no column 'title'\. Did you mean 'titel'\?"):
        next(Half(llm=ScriptedLLM()).process([{"topic": "x"}]))


def test_a_reply_error_of_the_function_is_kept():
    @task(inputs=["topic"], outputs=["a"])
    def Strict(output, input):
        """---
        system_prompt: S
        user_message_template: "{topic}"
        ---"""
        raise ReplyError("Not good enough.")

    [row] = next(Strict(llm=ScriptedLLM()).process([{"topic": "x"}]))
    assert row["distilabel_metadata"]["error_strict_0"] == "Not good enough."


def test_a_changed_prompt_or_function_is_another_identity():
    llm = ScriptedLLM()
    one, same, other = (make(prompt(user))(llm=llm) for user in ("{topic}", "{topic}", "{topic}!"))
    assert one.signature() == same.signature()
    assert one.signature() != other.signature()
