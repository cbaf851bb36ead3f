import asyncio
import json

import pytest
from pydantic import BaseModel

from components.errors import (
    ConfigError,
    ContentRefused,
    ContextTooLong,
    CredentialError,
    ProviderTimeout,
    ReplyError,
    RequestRefused,
    UnknownModel,
    UnknownParameter,
)
from components.llms import OpenAILLM
from components.llms.gate import Gate, through
from components.llms.meter import metered
from components.llms.pricing import Price
from components.llms.structured import parse_json
from tests.components.llms.conftest import KEY, ask
from tests.servers.faults import Fault, Faults

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "why": {"type": "string"}},
    "required": ["label", "why"],
}


def model(server, name="gpt-4o-mini", **fields):
    llm = OpenAILLM(model=name, base_url=server.base_url, **fields)
    llm.load()
    return llm


def answers(llm, *inputs, n=1, **kwargs):
    return llm.generate_outputs(list(inputs) or [ask()], num_generations=n, **kwargs)


def bodies(server):
    return [request.body for request in server.requests]


def test_messages_are_answered_in_order_with_tokens_and_end(server):
    outputs = answers(model(server), *(ask(f"hello row-{n}") for n in range(20)))
    assert [output["generations"] for output in outputs] == [[f"echo: hello row-{n}"] for n in range(20)]
    assert outputs[0]["finish_reasons"] == ["stop"]
    assert set(outputs[0]["statistics"]) == {"input_tokens", "output_tokens"}


def test_only_what_was_set_is_sent(server):
    answers(model(server))
    assert bodies(server) == [{"model": "gpt-4o-mini", "messages": ask(), "max_tokens": 128}]


def test_all_that_was_set_is_sent(server):
    llm = model(server, service_tier="flex")
    answers(
        llm,
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=["END"],
        seed=7,
        logprobs=True,
        top_logprobs=2,
        max_new_tokens=32,
        extra_body={"user": "me"},
    )
    body = bodies(server)[0]
    del body["model"], body["messages"]
    assert body == {
        "max_tokens": 32,
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "stop": ["END"],
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 2,
        "service_tier": "flex",
        "user": "me",
    }


def test_values_from_a_command_line_are_coerced(server):
    llm = model(server, generation_kwargs={"temperature": "0.5", "max_new_tokens": "9"})
    answers(llm, **llm.get_generation_kwargs())
    assert (bodies(server)[0]["temperature"], bodies(server)[0]["max_tokens"]) == (0.5, 9)


def test_a_bare_text_is_completed(server):
    output = answers(model(server), "tell me", logprobs=True, max_new_tokens=9)[0]
    assert output["generations"] == ["echo: tell me"]
    assert len(output["logprobs"][0]) == 4
    assert server.requests[0].path == "/v1/completions"
    assert bodies(server)[0]["prompt"] == "tell me"


def test_echo_is_for_bare_text(server):
    assert answers(model(server), "tell me", echo=True)[0]["generations"] == ["tell meecho: tell me"]
    answers(model(server), echo=True)
    assert "echo" not in bodies(server)[1]


def test_several_answers_are_one_call_and_the_tokens_are_counted_once(server):
    output = answers(model(server), n=3)[0]
    assert len(output["generations"]) == 3
    assert len(server.requests) == 1
    assert output["statistics"]["input_tokens"][1:] == [0, 0]


def test_a_server_that_refuses_n_is_asked_one_by_one_and_asked_for_n_only_once(server):
    server.behavior.has_n = False
    llm = model(server)
    assert len(answers(llm, n=3)[0]["generations"]) == 3
    assert [body.get("n") for body in bodies(server)] == [3, None, None, None]
    answers(llm, n=3)
    assert [body.get("n") for body in bodies(server)[4:]] == [None, None, None]


def test_a_server_that_ignores_n_is_asked_for_the_rest_with_other_seeds(server):
    from tests.servers.openai_server import OpenAIServer

    class Deaf(OpenAIServer):
        def application(self):
            generate = self.routes.replies
            self.routes.replies = lambda body, record: generate({**body, "n": 1}, record)
            return super().application()

    with Deaf() as deaf:
        output = answers(model(deaf), n=3, seed=5)[0]
        assert len(output["generations"]) == 3
        assert [(body.get("n"), body["seed"]) for body in bodies(deaf)] == [(3, 5), (None, 6), (None, 7)]


def test_each_answer_of_a_one_by_one_server_goes_through_the_gate(server):
    server.behavior.has_n = False
    llm = model(server)
    answers(llm, n=2)

    async def again():
        with through(Gate()), metered() as meter:
            await llm.complete(ask(), 4)
        return meter.attempts

    assert asyncio.run(again()) == 4


def test_reasoning_models_get_no_parameter_that_they_refuse(server, caplog):
    llm = model(server, "gpt-5-mini")
    for _ in range(3):
        answers(llm, temperature=0.2, top_p=0.5, stop="x", logprobs=True, max_new_tokens=64)
    for body in bodies(server):
        assert body == {"model": "gpt-5-mini", "messages": ask(), "max_completion_tokens": 64}
    warned = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(warned) == 4


def test_defaults_that_were_written_out_are_no_reason_to_warn(server, caplog):
    answers(model(server, "gpt-5-mini"), temperature=1, top_p=1, frequency_penalty=0, logprobs=False)
    assert "left out" not in caplog.text


def test_a_model_told_not_to_reason_gets_what_was_set(server):
    server.behavior.reasoning = ()
    answers(model(server, "gpt-5.1"), temperature=0.2, reasoning_effort="none")
    assert bodies(server)[0]["temperature"] == 0.2


def test_a_reasoning_model_under_another_name_is_learned_from_its_refusals(server):
    server.behavior.reasoning = ("deployment-",)
    llm = model(server, "deployment-7")
    assert answers(llm, temperature=0.2, max_new_tokens=64)[0]["generations"] == ["echo: hello row-1"]
    assert len(server.requests) == 3
    answers(llm, temperature=0.2, max_new_tokens=64)
    assert len(server.requests) == 4
    assert bodies(server)[3] == {"model": "deployment-7", "messages": ask(), "max_completion_tokens": 64}


@pytest.mark.parametrize("name", ["seed", "temperature", "service_tier", "reasoning_effort", "logprobs"])
def test_a_refused_parameter_is_left_out_and_remembered(server, name):
    server.behavior.refuses = (name,)
    given = {"seed": 3, "temperature": 0.5, "reasoning_effort": "low", "logprobs": True}
    llm = model(server, service_tier="flex")
    for _ in range(2):
        answers(llm, **given)
    assert [name in body for body in bodies(server)] == [True, False, False]


def test_what_was_learned_of_one_model_is_not_held_against_another(server):
    server.behavior.refuses = ("seed",)
    answers(model(server), seed=3)
    server.behavior.refuses = ()
    answers(model(server, "gpt-4o"), seed=3)
    assert bodies(server)[-1]["seed"] == 3


def test_a_parameter_of_ones_own_is_never_left_out(server):
    server.behavior.refuses = ("seed",)
    with pytest.raises(RequestRefused, match="seed"):
        answers(model(server), extra_body={"seed": 3})
    assert len(server.requests) == 1


def test_a_reasoning_model_that_only_thought_says_what_to_raise(server):
    server.behavior.reply = lambda body: "a long enough answer"
    with pytest.raises(ReplyError, match="Raise max_new_tokens"):
        answers(model(server, "gpt-5-mini"), max_new_tokens=4)


def test_a_form_is_asked_for_by_its_schema(server):
    output = answers(model(server), (ask(), {"format": "json", "schema": SCHEMA}), max_new_tokens=500)[0]
    wanted = bodies(server)[0]["response_format"]
    assert (wanted["type"], wanted["json_schema"]["strict"]) == ("json_schema", True)
    value, repaired = parse_json(output["generations"][0], output["finish_reasons"][0], SCHEMA)
    assert value["label"] in ("good", "bad") and not repaired


def test_the_models_own_form_holds_for_every_row_without_one(server):
    class Verdict(BaseModel):
        label: str

    output = answers(model(server, structured_output=Verdict), max_new_tokens=500)[0]
    assert parse_json(output["generations"][0], "stop", Verdict)[0]["label"]


def test_a_server_without_schemas_is_asked_for_json_then_in_the_prompt_alone(server):
    server.behavior.has_json_schema = False
    server.behavior.reads_schema_in_prompt = True
    llm = model(server)
    wanted = (ask(), {"schema": SCHEMA})
    parse_json(answers(llm, wanted, max_new_tokens=500)[0]["generations"][0], "stop", SCHEMA)
    server.behavior.has_json_object = False
    parse_json(answers(llm, wanted, max_new_tokens=500)[0]["generations"][0], "stop", SCHEMA)
    answers(llm, wanted, max_new_tokens=500)
    asked = [(body.get("response_format") or {}).get("type") for body in bodies(server)]
    assert asked == ["json_schema", "json_object", "json_object", None, None]


def test_one_schema_that_is_refused_does_not_spoil_the_others(server):
    llm = model(server)
    first = llm.habits
    bad = {"type": "object", "title": "bad", "properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"]}
    bad["$defs"] = {"x": {"type": "object", "properties": {"b": {"type": "string", "default": ""}}}}
    answers(llm, (ask(), {"schema": SCHEMA}), max_new_tokens=500)
    assert first.rung == 0


def test_a_response_format_of_ones_own_is_sent_as_it_is(server):
    answers(model(server, structured_output=SCHEMA), ask("say json"), response_format={"type": "json_object"})
    assert bodies(server)[0]["response_format"] == {"type": "json_object"}
    assert bodies(server)[0]["messages"] == ask("say json")


def test_a_bare_text_cannot_be_held_to_a_form(server):
    with pytest.raises(ConfigError, match="needs messages"):
        answers(model(server, structured_output=SCHEMA), "tell me")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.BAD_KEY, CredentialError),
        (Fault.UNKNOWN_MODEL, UnknownModel),
        (Fault.CONTEXT_TOO_LONG, ContextTooLong),
        (Fault.CONTENT_POLICY, ContentRefused),
        (Fault.FILTERED, ContentRefused),
        (Fault.REFUSAL, ContentRefused),
        (Fault.EMPTY_CHOICES, ReplyError),
        (Fault.NULL_CONTENT, ReplyError),
        (Fault.TOOL_CALLS, ReplyError),
        (Fault.HUGE, ReplyError),
    ],
)
def test_what_cannot_be_helped_fails_at_once_in_one_sentence(server, fault, kind):
    server.behavior.faults = Faults(rows={"row-1": fault})
    with pytest.raises(kind) as caught:
        answers(model(server))
    assert len(server.requests) == 1
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_faults_that_pass_are_tried_again(server):
    server.behavior.faults = Faults(rows={"row-1": [Fault.RATE_LIMIT_MS, Fault.SERVER_ERROR, Fault.DROPPED]})
    assert answers(model(server))[0]["generations"] == ["echo: hello row-1"]
    assert len(server.requests) == 4


def test_the_time_to_wait_can_be_set(server):
    server.behavior.faults = Faults(rows={"row-1": Fault.TIMEOUT})
    with pytest.raises(ProviderTimeout, match=r"within 0\.05 seconds"):
        asyncio.run(model(server, timeout=0.05).agenerate(ask()))


def test_a_cut_answer_says_that_it_was_cut(server):
    server.behavior.faults = Faults(rows={"row-1": Fault.TRUNCATED})
    assert answers(model(server))[0]["finish_reasons"] == ["length"]


def test_a_server_on_this_machine_is_free_unless_a_price_is_set(server):
    assert model(server).price == Price(0, 0)
    assert model(server, input_price=1, output_price=2).price == Price(1, 2)


def test_the_list_price_is_found_and_an_unknown_one_stays_unknown():
    assert OpenAILLM(model="gpt-4o-mini", api_key=KEY).price == Price(0.15, 0.6)
    assert OpenAILLM(model="no-such-model", api_key=KEY).price is None
    assert OpenAILLM(model="gpt-4o-mini", base_url="https://llm.example.org/v1", api_key=KEY).price is None


def test_flex_is_cheaper_where_the_provider_says_so():
    usual, flex = (OpenAILLM(model="gpt-5-mini", api_key=KEY, service_tier=tier).price for tier in (None, "flex"))
    assert flex.input == pytest.approx(usual.input / 2)


def test_a_price_can_be_asked_for_without_a_key():
    assert OpenAILLM(model="gpt-4o-mini").price == Price(0.15, 0.6)


def test_the_cap_sets_aside_the_schema_and_the_longest_answer():
    llm = OpenAILLM(model="m", api_key=KEY)
    plain = llm.most_tokens(ask(), 1, {})
    assert plain[1] == 128
    assert llm.most_tokens(ask(), 2, {"max_new_tokens": 50})[1] == 100
    assert llm.most_tokens(ask(), 1, {"extra_body": {"max_completion_tokens": 9_000}})[1] == 9_000
    assert llm.most_tokens((ask(), {"schema": SCHEMA}), 1, {})[0] > plain[0] + 30


def test_pictures_and_names_in_messages_are_passed_on(server):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    message = {"role": "user", "name": "ann", "content": [{"type": "text", "text": "what is it?"}, picture]}
    answers(model(server), [message])
    assert bodies(server)[0]["messages"] == [message]


def test_parameters_out_of_bounds_are_told_by_name():
    with pytest.raises(ConfigError, match="'temperature' input should be less than or equal to 2"):
        OpenAILLM(model="m", generation_kwargs={"temperature": 3})
    with pytest.raises(UnknownParameter, match="Did you mean 'temperature'"):
        OpenAILLM(model="m", generation_kwargs={"temprature": 1})


def test_a_saved_model_has_no_key_and_comes_back_as_it_was():
    llm = OpenAILLM(model="m", api_key=KEY, base_url="http://localhost:8000/v1", generation_kwargs={"seed": 3})
    saved = llm.dump()
    assert KEY not in json.dumps(saved)
    assert "api_key" not in saved
    assert saved.pop("use") == "OpenAILLM"
    assert OpenAILLM(**saved).dump() == llm.dump()


def test_address_key_and_patience_are_no_part_of_the_identity_but_the_form_is():
    base = OpenAILLM(model="m")
    same = OpenAILLM(model="m", api_key=KEY, base_url="http://localhost:1/v1", timeout=3, max_retries=0)
    assert base.signature() == same.signature()
    assert base.signature() != OpenAILLM(model="m", structured_output=SCHEMA).signature()
    assert base.signature() != OpenAILLM(model="m", generation_kwargs={"seed": 1}).signature()


def test_it_works_inside_a_running_loop(server):
    async def inside():
        return model(server).generate_outputs([ask()])

    assert asyncio.run(inside())[0]["generations"] == ["echo: hello row-1"]
