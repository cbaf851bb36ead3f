import openai
import pytest

from tests.servers.batch.clients import ended, http_client, openai_client, submit, text_of
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import chat_body, jsonl, openai_lines, rows_of


def test_azure_has_null_counts_at_first_and_an_error_file_at_last():
    with OpenAIBatchServer(dialect="azure", rows={"row-1": "400"}) as server:
        assert server.base_url.endswith("/openai/v1")
        client = openai_client(server)
        batch = submit(client, openai_lines(3), endpoint="/v1/chat/completions")
        assert vars(batch.request_counts) == {"total": None, "completed": None, "failed": None}
        done = ended(client, batch)
        assert len(rows_of(text_of(client, done.error_file_id))) == 1
        server.batch.rows = {}
        done = ended(client, submit(client, openai_lines(3)))
        assert text_of(client, done.error_file_id) == ""


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xef\xbb\xbf" + jsonl(openai_lines(2)), "model_not_found"),
        (jsonl([*openai_lines(1), *openai_lines(1, job="b", model="other")]), "model_mismatch"),
        (jsonl({**line, "url": "/v1/embeddings"} for line in openai_lines(1)), "url_mismatch"),
        (jsonl([*openai_lines(1), *openai_lines(1)]), "duplicate_custom_id"),
    ],
)
def test_azure_has_its_own_names_for_what_is_wrong(content, code):
    with OpenAIBatchServer(dialect="azure") as server:
        client = openai_client(server)
        assert ended(client, submit(client, content)).errors.data[0].code == code


def test_azure_answers_on_its_classic_paths_with_its_own_key_header():
    with OpenAIBatchServer(dialect="azure", keys={"azure-key"}) as server:
        client = openai.AzureOpenAI(
            azure_endpoint=server.origin,
            api_key="azure-key",
            api_version="2024-10-21",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(verify=False),
        )
        assert client.chat.completions.create(**chat_body(1)).choices[0].message.content == "echo: row-1 hello"
        lines = [{**line, "url": "/chat/completions"} for line in openai_lines(2)]
        done = ended(client, submit(client, lines, endpoint="/chat/completions"))
        assert len(rows_of(text_of(client, done.output_file_id))) == 2
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong").files.list()


def test_groq_has_longer_windows_and_chat_alone():
    with OpenAIBatchServer(dialect="groq") as server:
        client = openai_client(server)
        file = client.files.create(file=("in.jsonl", jsonl(openai_lines(2))), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="7d", metadata={"a": "b"}
        )
        assert ended(client, batch).completion_window == "7d"
        for fields in ({"endpoint": "/v1/embeddings"}, {"completion_window": "8d"}):
            good = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            with pytest.raises(openai.BadRequestError):
                client.batches.create(**good | fields)
        assert server.provider.byte_limit == 100_000_000


def test_doubleword_names_the_output_file_before_it_is_there():
    with OpenAIBatchServer(dialect="doubleword", shuffled=False) as server:
        client = openai_client(server)
        batch = submit(client, openai_lines(3))
        plain = http_client(server, authorization="Bearer sk-test")
        url = f"/files/{batch.output_file_id}/content"
        early = plain.get(url)
        assert (early.text, early.headers["X-Incomplete"], early.headers["X-Last-Line"]) == ("", "true", "0")
        done = ended(client, batch)
        assert done.output_file_id == batch.output_file_id
        late = plain.get(url)
        assert (len(rows_of(late.text)), late.headers["X-Last-Line"]) == (3, "3")
        assert "X-Incomplete" not in late.headers
        assert set(rows_of(plain.get(f"{url}?offset=2").text)) == {"job1-2"}
