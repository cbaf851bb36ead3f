import json
import random

import pytest

from components.llms.batch.json_stream import items


def pieces(text, sizes):
    raw = text.encode()
    at = 0
    for size in sizes:
        yield raw[at : at + size]
        at += size
    yield raw[at:]


WHOLE = {
    "id": "b-1",
    "note": 'a "results": [ in a text, and ü𝄞\\',
    "results": [{"n": 1, "t": "ä\u2028"}, [2, [3]], "x", 4, None, True, 1.5e3],
    "after": {"results": [9]},
    "last": 12345,
}


@pytest.mark.parametrize("seed", range(20))
def test_the_items_come_out_whole_however_the_pieces_are_cut(seed):
    chance = random.Random(seed)
    text = json.dumps(WHOLE, ensure_ascii=bool(seed % 2), indent=seed % 3 or None)
    fields = {}
    found = list(items(pieces(text, [chance.randrange(1, 9) for _ in range(40)]), "results", fields))
    assert found == WHOLE["results"]
    assert fields == {name: value for name, value in WHOLE.items() if name != "results"}


@pytest.mark.parametrize("given", [{}, {"results": []}, {"results": None}, {"id": 1}])
def test_there_may_be_nothing_in_it(given):
    fields = {}
    assert list(items(iter([json.dumps(given).encode()]), "results", fields)) == []
    assert fields == {name: value for name, value in given.items() if value != []}


@pytest.mark.parametrize("text", ["", "[1]", '{"results": [1, 2', '{"results": [1 2]}', "<html>", '{"a": 1'])
def test_what_is_not_whole_is_said_to_be_so(text):
    with pytest.raises(ValueError):
        list(items(iter([text.encode()] if text else []), "results", {}))


def test_a_number_may_be_cut_in_the_middle():
    assert list(items(iter([b'{"results": [12', b"34, 5", b"6]}"]), "results", {})) == [1234, 56]
