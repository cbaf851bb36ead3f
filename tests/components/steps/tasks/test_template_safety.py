"""What prompt templates may not do: reach Python, take the machine down, make much of little."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import TemplateError
from components.steps.tasks.template_rules import FILTER_OPTIONS
from components.steps.tasks.templates import ENVIRONMENT, ITEMS, compile_template

ROW = {"text": "Hello there", "count": 3, "score": 2.456, "tags": ["a", "b"]}

ESCAPES = [
    "{{ text.__class__ }}",
    "{{ text['__class__'] }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ text | attr('__class__') }}",
    "{{ text|attr('__cla' ~ 'ss__') }}",
    "{{ text['__cl' ~ 'ass__'] }}",
    "{{ text['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ text.format(text) }}",
    "{{ '{0.__class__}' | format(text) }}",
    "{{ '%s' % text }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner() }}",
    "{{ namespace(a=1) }}",
    "{{ range(10) }}",
    "{{ dict(a=1) }}",
    "{{ config }}",
    "{{ request.application }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends 'base' %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}",
    "{% call text() %}{% endcall %}",
    "{% set x = text.__class__ %}{{ x }}",
    "{% block system %}You are root{% endblock %}",
    "{% with x = text %}{{ x }}{% endwith %}",
    "{% filter upper %}{{ text }}{% endfilter %}",
    "{{ tags | map(attribute='__class__') | list }}",
    "{{ tags | select('callable') }}",
    "{{ tags | join(attribute='__class__') }}",
    "{{ text | pprint }}",
    "{{ text is callable }}",
    "{{ text[count] }}",
    "{{ tags[:1] }}",
    "{{ text.upper() }}",
    "{{ loop }}",
    "{% for x in tags %}{{ loop.previtem }}{% endfor %}",
    "{% for x in tags recursive %}{{ loop(x) }}{% endfor %}",
    "{% for _x in tags %}{{ _x }}{% endfor %}",
    "{{ varargs }}",
    "{{ kwargs }}",
    "{{ row }}",
    "{{ row['__class__'] }}",
    "{{ \uff54ext }}",
    "{{ text | safe }}",
    "{{ text | default(text.__class__) }}",
    "{{ {'a': text} }}",
]

BOMBS = [
    "{{ 'a' * 1000000000 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ '%1000000000d' % 1 }}",
    "{% for a in tags %}{% for b in tags %}{% for c in tags %}x{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(1000000000) %}x{% endfor %}",
    "{% for a in 'aaaa' %}x{% endfor %}",
    "{{ text ~ text ~ text }}",
    "{{ [0] * 1000000000 }}",
    "{{ text | center(1000000000) }}",
    "{{ text | indent(1000000000) }}",
    "{{ text | wordwrap(1) }}",
    "{{ text | tojson(1000000000) }}",
    "{{ tags | batch(1000000000) }}",
    "{{ 1000000000 + 1 }}",
    "{{ " + "not " * 20_000 + "text }}",
    "{{ " + "(" * 20_000 + "text" + ")" * 20_000 + " }}",
    "{{ text" + ".a" * 20_000 + " }}",
    "{{ text" + " | trim" * 5_000 + " }}",
    "{{ text }}" * 4_000,
    "{{ " + "9" * 10_000 + " }}",
    "{% if text %}" * 50 + "{% endif %}" * 50,
    "x" * 50_001,
]

AMPLIFIERS = [
    "{{ text" + " | replace('e', 'eeeeeeeeeeeeeeeeeeee')" * 8 + " }}",
    "{{ text | replace('', 'x') }}",
    "{{ long | join('" + "-" * 1000 + "') }}",
    "{% for x in long %}" + "y" * 1000 + "{% endfor %}",
    "{{ score | round(1000000000) }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_no_template_reaches_python(text):
    with pytest.raises(TemplateError):
        compile_template(text, ROW)


@pytest.mark.parametrize("text", BOMBS)
def test_a_template_that_could_take_the_machine_down_is_refused_before_it_runs(text):
    with pytest.raises(TemplateError):
        compile_template(text, ROW)


@pytest.mark.parametrize("text", AMPLIFIERS)
def test_a_template_cannot_make_much_of_little(text):
    row = ROW | {"long": ["x"] * 1000}
    with pytest.raises(TemplateError):
        compile_template(text, row).render(row)


@pytest.mark.parametrize("name", ["upper", "items", "keys", "__class__", "format"])
def test_the_attributes_of_values_are_out_of_reach_even_when_the_check_is_not_asked(name):
    for value in ("text", {"a": 1}, [1], 3, None, open):
        assert type(ENVIRONMENT.getattr(value, name)).__name__ == "Missing"
        assert type(ENVIRONMENT.getitem(value, name)).__name__ == "Missing"


def test_the_environment_has_no_globals_and_only_the_listed_filters():
    assert ENVIRONMENT.globals == {}
    assert set(ENVIRONMENT.filters) == {*FILTER_OPTIONS, ITEMS}


PIECES = [
    "{{",
    "}}",
    "{%",
    "%}",
    "text",
    "tags",
    "for",
    "in",
    "if",
    "end",
    "endif",
    "endfor",
    "|",
    "upper",
    "join",
    ".",
]
PIECES += [
    "(",
    ")",
    "[",
    "]",
    "'",
    "__class__",
    "1",
    "loop",
    "row",
    "==",
    "*",
    " ",
    "\n",
    "else",
    "set",
    "=",
    "~",
    "{#",
    "#}",
]


@given(st.lists(st.sampled_from(PIECES), max_size=25))
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_is_either_a_prompt_or_a_template_error(pieces):
    try:
        made = compile_template(" ".join(pieces), ROW).render(ROW)
    except TemplateError:
        return
    assert "object at 0x" not in made and "<bound" not in made and "<class" not in made
