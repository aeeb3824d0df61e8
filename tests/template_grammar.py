"""Random templates: a grammar of bodies and answer choices over the columns of the kit's tables."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from compiled_kit import make
from instructify.templates import Template

LITERALS = (
    *("a", "b", "Yes", "no", "x", ", ", " ", "", "|", "|||", "||", "{{", "é", "%s", "two words", "\\n", "1"),
    *("\u00a0", "\\u2028", "0", "-1", "None"),
)
DATA = (
    *("", " ", "a", "Text: ", "\n", "  \n", " x ", "{", "}", "{ }", "|", "||", "{'a'}", "%", "\\", '"', "é"),
    *(
        "\u00a0",
        "\u3000",
        "\x85",
        "{# note #}",
        "\n  ",
        "{{ '{{' }}",
        "\t",
        "\r\n",
        "{% raw %}{{ x }}{% endraw %}",
    ),
)
TEXT_FILTERS = (
    "lower", "upper", "trim", "title", "capitalize", "string", "truncate(2)", "truncate(2048)",
    "truncate(3, true, '')",
    "replace('a', 'b')", "replace('', '-')", "replace('a', '')", "default('d')", "default('d', true)",
    "center(6)",
    "indent(2)", "reverse", "replace('o', text)", "trim('a')", "e", "tojson", "d(other)",
    "fit", "josa('을')", "nfc",
)  # fmt: skip
LOOKED_UP = (
    "{true: 'yes', false: 'no'}[flag]", "{0: 'zero', 1: 'one'}[label]", "{'a': 'x', 'b': 'y'}[text]",
    "{'a': 1, 'b': 2}[other]", "['no', 'yes'][flag]", "text[1:3]", "text[:0]", "other[2:]", "'abc'[1:]",
    "words[0:-1] | join", "['a', 'b', 'c'][0:-1] | join(', ')", "num | replace(1, 'x')",
    "none | replace(none, '')", "text.split(other) | join('/')", "text.split('a')[0]",
    "rec.name | capitalize | lower", "', '.join(words)", "'-'.join(answer_choices)", "text | int",
    "num | int - 1", "[text, other][label | int]", "label + 1", "num - label", "[text, other][label - 1]",
)  # fmt: skip
TEXT_METHODS = (
    "lower()", "upper()", "strip()", "strip('a ')", "lstrip()", "rstrip('.')", "replace('a', 'b')", "title()",
    "replace('', 'x')", "replace('|', '/')", "join(words)", "capitalize()", "ljust(5)",
    "replace(other, '<>')",
    "removeprefix('a')", "format(1)", "replace('a', 'b', 1)",
)  # fmt: skip
LIST_FILTERS = (
    "list", "sort", "unique | list", "reverse | list", "map('upper') | list", "map('length') | list",
    "select | list", "reject('none') | list", "select('string') | list", "map('string') | list",
    "most_frequent",
    "map('default', 'd') | list", "select('equalto', text) | list", "map('int') | list", "batch(2) | list",
    "map(text) | list", "map('choice') | list", "select('in', words) | list", "sort(reverse=true)",
    "list | sort",
)  # fmt: skip
TESTS = (
    "none", "not none", "defined", "not defined", "string", "number", "mapping", "iterable", "sequence",
    "odd",
    "even", "boolean", "integer", "float", "true", "eq('a')", "in(words)", "divisibleby(2)", "gt 1",
    "ne(num)",
    "lower", "sameas none", "undefined", "escaped",
)  # fmt: skip
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "==", "==")
LOOP = (
    "index",
    "index0",
    "first",
    "last",
    "length",
    "revindex",
    "previtem",
    "nextitem",
    "revindex0",
    "depth",
)
KINDS = ("text", "number", "truth", "items", "record")


class Grammar:
    """Writes random template texts; every choice is Hypothesis's, so that it can shrink them."""

    def __init__(self, rng: random.Random, strict: bool, has_choices: bool, depth: int) -> None:
        self._rng = rng
        self._depth = depth
        self._strict = strict
        self._has_choices = has_choices
        self._names: list[tuple[str, str]] = []
        self._loops = 0

    def _pick(self, values: Sequence[str]) -> str:
        return self._rng.choice(values)

    def _chance(self, one_in: int) -> bool:
        return self._rng.randrange(one_in) == 1

    def expression(self, kind: str, depth: int) -> str:
        """Return an expression that mostly has a value of this kind."""
        if self._chance(40):
            kind = self._pick(KINDS)
        names = [name for name, known in self._names if known in (kind, "any")]
        if names and self._chance(3):
            return self._pick(names)
        written: str = getattr(self, f"_{kind}")(depth)
        return written

    def _text(self, depth: int) -> str:
        simple = [
            "text",
            "other",
            "rec.name",
            "rec['name']",
            "words[0]",
            "rec.inner.x",
            "rec['inner'].x",
            "class",
        ]
        simple += [
            "recs[0].k",
            "words[-1]",
            "text[:2]",
            "rec.tags[1]",
            "nested[0][0]",
            "rec['items']",
            "text[0]",
        ]
        if self._has_choices:
            simple += [
                "answer_choices[label]",
                "answer_choices[0]",
                "answer_choices[1]",
                "answer_choices[num]",
                "answer_choices | options",
            ]
        if depth <= 0 or self._chance(2):
            return self._pick(simple) if not self._chance(5) else self._literal()
        return self._made_text(depth - 1)

    def _made_text(self, depth: int) -> str:
        write = self.expression
        form = self._rng.randint(0, 16)
        if form == 15:
            return self._pick(LOOKED_UP)
        if form == 16:
            formats = "'%s'", "'%d of %s'", "'%.1f%%'", "'%0.2f and %5d'"
            given = [write("number", depth) for _ in range(self._rng.randint(0, 2))]
            return f"({self._pick(formats)} | format({', '.join(given)}))"
        if form <= 1:
            return f"{self._argument('text', depth)} | {self._pick(TEXT_FILTERS)}"
        if form == 2:
            return f"{self._argument('text', depth)}.{self._pick(TEXT_METHODS)}"
        if form == 3:
            return f"({write('text', depth)} ~ {write(self._pick(KINDS), depth)})"
        if form == 4:
            return f"({write('text', depth)} if {write('truth', depth)} else {write('text', depth)})"
        if form == 5:
            return f"({write('text', depth)} if {write('truth', depth)})"
        if form in (6, 7):
            return f"{self._argument('items', depth)} | join({self._literal() if self._chance(2) else ''})"
        if form == 8:
            return f"{self._argument('items', depth)} | {self._pick(('first', 'last', 'choice', 'random'))}"
        if form == 9:
            return f"{self._argument('items', depth)}[{write('number', depth)}]"
        if form == 10:
            return f"{{'a': 'first', 'b': {write('text', depth)}, 1: 'n'}}[{write('text', depth)}]"
        if form == 11:
            return f"({write('text', depth)} + {write('text', depth)})"
        if form == 12:
            return f"{self._argument('text', depth)} | string"
        if form == 13:
            return f"'%s and %s' % ({write('text', depth)}, {write('number', depth)})"
        return f"({write('text', depth)} {self._pick(('or', 'and'))} {write('text', depth)})"

    def _number(self, depth: int) -> str:
        simple = [
            "num",
            "label",
            "0",
            "1",
            "2",
            "-1",
            "rec.n",
            "nums[0]",
            "recs[0].v",
            "3.5",
            "rec['n']",
            "real",
        ]
        simple += ["none", "99999999999999999999", "true", "text | length", "words | length", "1.0"]
        if self._loops:
            simple += [f"loop.{name}" for name in LOOP]
        if depth <= 0 or self._chance(2):
            return self._pick(simple)
        write, form = self.expression, self._rng.randint(0, 9)
        if form <= 1:
            operator = self._pick(("+", "-", "*", "/", "//", "%", "**"))
            return f"({write('number', depth - 1)} {operator} {write('number', depth - 1)})"
        if form == 2:
            name = self._pick(("length", "sum", "max", "min", "count"))
            return f"{self._argument('items', depth - 1)} | {name}"
        if form == 3:
            filters = (
                "int",
                "float",
                "round",
                "round(1)",
                "abs",
                "int(-1)",
                "round(0, 'floor')",
                "default(1)",
            )
            return f"{self._argument('number', depth - 1)} | {self._pick(filters)}"
        if form == 4:
            return (
                f"{self._argument('text', depth - 1)} | {self._pick(('int', 'float', 'length', 'wordcount'))}"
            )
        if form == 5:
            methods = ("find('a')", "index('a')", "count('o')", "split().index('x')", "split(' ') | length")
            return f"{self._argument('text', depth - 1)}.{self._pick(methods)}"
        if form == 6:
            return f"{self._argument('items', depth - 1)}.index({write('text', depth - 1)})"
        if form == 7:
            return f"{{'a': 0, 'b': 1, 'one': 2}}[{write('text', depth - 1)}]"
        if form == 8:
            return f"(-{write('number', depth - 1)})"
        return (
            f"({write('number', depth - 1)} if {write('truth', depth - 1)} else {write('number', depth - 1)})"
        )

    def _truth(self, depth: int) -> str:
        if depth <= 0:
            simple = [
                "flag",
                "text",
                "words",
                "num",
                "label == 0",
                "label == 1",
                "text == 'a'",
                "real > 1",
                "nums",
            ]
            if self._loops:
                simple += ["loop.first", "loop.last", "not loop.last", "loop.index == 2"]
            return self._pick(simple)
        write, form = self.expression, self._rng.randint(0, 9)
        if form <= 3:
            kinds = ("text", "text", "number", "number", "items", "truth")
            kind = self._pick(kinds)
            other = kind if not self._chance(4) else self._pick(kinds)
            operator = self._pick(COMPARISONS)
            if operator.endswith("in"):
                other = self._pick(("items", "text"))
            return f"({write(kind, depth - 1)} {operator} {write(other, depth - 1)})"
        if form == 4:
            operators = self._pick(COMPARISONS), self._pick(COMPARISONS)
            first, second, third = (write("number", depth - 1) for _ in range(3))
            return f"({first} {operators[0]} {second} {operators[1]} {third})"
        if form == 5:
            return f"({write('truth', depth - 1)} {self._pick(('and', 'or'))} {write('truth', depth - 1)})"
        if form == 6:
            return f"(not {write('truth', depth - 1)})"
        if form <= 8:
            return f"({self._argument(self._pick(KINDS), depth - 1)} is {self._pick(TESTS)})"
        return f"({self._pick(('missing', 'text', 'self', 'rec.missing', 'loop'))} is {self._pick(TESTS)})"

    def _items(self, depth: int) -> str:
        simple = [
            "words",
            "nums",
            "rec.tags",
            "rec['tags']",
            "nested[0]",
            "rec.inner.ys",
            "recs | map(attribute='k')",
        ]
        simple += [
            "['A', 'B']",
            "[text, other]",
            "['a', 'b', 'one']",
            "range(3)",
            "range(num)",
            "(text, 'x')",
            "[]",
        ]
        simple += ["words[1:]", "words[:num]", "words[::-1]", "nums[1:2]", "recs | map(attribute='v') | list"]
        if self._has_choices:
            simple += ["answer_choices", "answer_choices"]
        if depth <= 0 or self._chance(2):
            return self._pick(simple)
        write, form = self.expression, self._rng.randint(0, 7)
        if form <= 1:
            return f"{self._argument('items', depth - 1)} | {self._pick(LIST_FILTERS)}"
        if form == 2:
            arguments = ("", "' '", "'a'", "'|'", "'o', 1")
            return f"{self._argument('text', depth - 1)}.split({self._pick(arguments)})"
        if form == 3:
            return f"[{write('text', depth - 1)}, {write(self._pick(KINDS), depth - 1)}]"
        if form == 4:
            test = self._pick(("'k', 'equalto', text", "'v'", "'v', 'gt', num", "'k', 'none'", "'missing'"))
            return f"recs | {self._pick(('selectattr', 'rejectattr'))}({test}) | list"
        if form == 5:
            return f"({write('items', depth - 1)} + {write('items', depth - 1)})"
        if form == 6:
            start, stop = write("number", depth - 1), write("number", depth - 1)
            return f"{self._argument('items', depth - 1)}[{start}:{stop}]"
        return f"[{write('items', depth - 1)}, {write('items', depth - 1)}] | choice"

    def _record(self, depth: int) -> str:
        simple = (
            "rec",
            "recs[0]",
            "rec.inner",
            "{'a': 1, 'b': text}",
            "recs",
            "nested",
            "missing",
            "rec.missing",
        )
        return self._pick(
            (*simple, "dict(a=num, b=text)", "text.x", "none", "rec.items", "rec.keys() | list")
        )

    def _argument(self, kind: str, depth: int) -> str:
        """Return an expression that an operator of any precedence may follow."""
        text = self.expression(kind, depth)
        return (
            text
            if text.replace("_", "").replace(".", "").isalnum() and not text[0].isdigit()
            else f"({text})"
        )

    def _literal(self) -> str:
        text = self._pick(LITERALS).replace("'", "")
        return f"'{text}'"

    # statements

    def body(self) -> str:
        """Return a body that mostly prints two parts."""
        before = self.block(self._depth)
        after = self._after()
        separator = (
            self._pick(("|||", " ||| ", "\n|||\n", "|||", "|||"))
            if self._strict or not self._chance(16)
            else ""
        )
        if not self._strict and self._chance(8):
            truth = self.expression("truth", 1)
            if self._chance(2):
                return f"{{% if {truth} %}}{before}{separator}{after}{{% endif %}}"
            return f"{before}{{% if {truth} %}} a {separator} b{{% else %}} c {separator}{after}{{% endif %}}"
        return before + separator + after

    def _after(self) -> str:
        if self._has_choices and not self._chance(5):
            index = self._pick(
                ("label", "label", "num", "0", "1", "label - 1", "rec.n", "nums[0]", "-1", "none")
            )
            return f"{{{{ answer_choices[{index}] }}}}"
        return self.block(self._depth) if self._chance(2) else f"t{{{{ {self.expression('text', 1)} }}}}"

    def block(self, depth: int) -> str:
        """Return a few statements."""
        count = self._rng.randint(1, 3 if depth == self._depth else 2)
        return "".join(self._statement(depth) for _ in range(count))

    def _statement(self, depth: int) -> str:
        form = self._rng.randint(0, 15 if depth else 6)
        if form <= 1:
            return self._pick(DATA)
        if form <= 6:
            left, right = ("{{-" if self._chance(8) else "{{"), ("-}}" if self._chance(8) else "}}")
            kind = self._pick(("text", "text", "text", "number", "items", "truth", "record"))
            return f"{left} {self.expression(kind, self._depth)} {right}"
        if form <= 8:
            return self._if(depth)
        if form <= 11:
            return self._for(depth)
        if form <= 13:
            return self._set(depth)
        if form == 14:
            return self._change()
        return f"{{% set {self._bind('text')} %}}{self.block(depth - 1)}{{% endset %}}"

    def _if(self, depth: int) -> str:
        text = f"{{% if {self.expression('truth', self._depth)} %}}{self.block(depth - 1)}"
        if self._chance(4):
            text += f"{{% elif {self.expression('truth', 1)} %}}{self.block(depth - 1)}"
        if not self._chance(3):
            text += (
                f"{{%- else %}}{self.block(depth - 1)}"
                if self._chance(6)
                else f"{{% else %}}{self.block(depth - 1)}"
            )
        return text + "{% endif %}"

    def _for(self, depth: int) -> str:
        forms = (
            ("{0}", "items"), ("{0}, {1}", "zip(words, nums)"), ("{0}", "range(words | length)"),
            ("{0}, {1}", "rec.items()"), ("{0}", "recs"), ("{0}, {1}", "zip(words, answer_choices)"),
            ("{0}", "rec"), ("({0}, {1}), text", "zip(zip(words, words), nums)"), ("{0}", "text"),
            ("{0}", "items"),
            ("{0}", "words"), ("{0}", "answer_choices"), ("{0}", "range(num)"), ("{0}", "dict(a=1, b=text)"),
        )  # fmt: skip
        target, iterable = self._rng.choice(forms)
        iterable = self.expression("items", 1) if iterable == "items" else iterable
        known = len(self._names)
        target = target.format(self._bind("any"), self._bind("text"))
        condition = f" if {self.expression('truth', 1)}" if self._chance(5) else ""
        self._loops += 1
        body = self.block(depth - 1)
        if self._chance(6):
            inner = f"{{% for q in words %}}{{{{ up.{self._pick(LOOP)} }}}}{{{{ q }}}}{{% endfor %}}"
            body = f"{{% set up = loop %}}{body}{inner}"
        self._loops -= 1
        del self._names[known:]
        other = f"{{% else %}}{self.block(depth - 1)}" if self._chance(5) else ""
        return f"{{% for {target} in {iterable}{condition} %}}{body}{other}{{% endfor %}}"

    def _set(self, depth: int) -> str:
        if self._chance(5):
            change = (
                f"{{% set ns.v = {self._pick(('ns.v ~ text', 'ns.v + 1', 'num', 'words', 'loop.index'))} %}}"
            )
            loop = (
                f"{{% for w in words %}}{change}{{{{ ns.v }}}}{{% endfor %}}" if self._chance(2) else change
            )
            made = f"{{% set ns = namespace(v={self.expression('number', 0)}, l=[]) %}}"
            loop += "{% set ns.l = ns.l + [text] %}{{ ns.l | join }}" if self._chance(2) else ""
            return f"{made}{loop}{{{{ ns.v }}}}"
        if self._chance(6):
            return f"{{% set {self._bind('text')}, {self._bind('number')} = text, num %}}"
        kind = self._pick(KINDS)
        value = self.expression(kind, self._depth)
        return f"{{% set {self._bind(kind)} = {value} %}}"

    def _bind(self, kind: str) -> str:
        name = self._pick(("x", "y", "z", "item", "text", "w"))
        self._names.append((name, kind))
        return name

    def _change(self) -> str:
        changes = (
            "words.append(text)", "rec.tags.append('t')", "rec.update({'name': 'N'})", "words.pop()",
            "nums.sort()",
            "nums.pop(0)", "answer_choices.append('more')", "answer_choices.pop()", "words.insert(0, 'i')",
            "rec.pop('name')", "words.extend(words)", "recs.reverse()", "words.clear()",
            "rec['tags'].remove('a')",
        )  # fmt: skip
        return f"{{% set _ = {self._pick(changes)} %}}"

    # answer choices

    def choices(self) -> str | tuple[str, ...]:
        """Return answer choices of any kind that the dialect has."""
        if self._strict:
            if self._chance(2):
                lists = (
                    "words",
                    "['A', 'B']",
                    "[text, other]",
                    "rec.tags",
                    "words | unique | list",
                    "nested[0]",
                )
                return self._pick(lists) if self._chance(2) else self.expression("items", 2)
            texts = (
                "A",
                "B",
                "{{ text }}",
                " no ",
                "{{ other | trim }}",
                "{{ words[0] }}",
                "{{ rec.name }}",
                "A",
            )
            return tuple(self._pick(texts) for _ in range(self._rng.randint(1, 3)))
        forms = (
            "A ||| B", "A|||B|||A", " a |||", "{{ text }} ||| {{ other }}", "{{ words | join('|||') }}",
            "Yes",
            "{{ words | join(' ||| ') }}", "{% for w in words %}{{ w }}|||{% endfor %}z",
            "{{ [text, 'b'] | join('|||') }}",
            "A ||| {{ text }} ||| {{ rec.name }}", "{{ ['A', 'B'] | choice }} ||| C",
            "{{ text }}|||{{ num }}",
            "{% if flag %}A ||| B{% else %}B ||| A{% endif %}", "{{ rec.tags | join('|||') }}",
            "{{ nested[0] | join('|||') }}",
        )  # fmt: skip
        if self._chance(4):
            return f"{{{{ {self.expression('text', 2)} }}}} ||| {{{{ {self.expression('text', 1)} }}}}"
        return self._pick(forms)


def template_of(rng: random.Random) -> Template:
    """Return a template of either dialect; most compile, and about half are plain enough for kernels."""
    strict, has_choices = rng.random() < 0.5, rng.random() < 0.4
    grammar = Grammar(rng, strict, has_choices, rng.choice((0, 0, 1, 1, 2)))
    choices = grammar.choices() if has_choices else None
    rationale = grammar.block(1) if strict and rng.random() < 0.15 else None
    truncate = not strict and rng.random() < 0.15
    body = grammar.body()
    return make(body, "strict" if strict else "promptsource", choices, rationale, truncate)


def templates() -> st.SearchStrategy[Template]:
    """Generate templates; every choice is Hypothesis's, so that it can shrink them."""
    return st.randoms(use_true_random=False).map(template_of)
