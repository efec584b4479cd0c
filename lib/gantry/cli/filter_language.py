"""The filter language of ``list`` commands, parsed into LUXI's filter form.

The grammar (Ganeti's), loosest binding first::

    filter     = and-term ("or" and-term)*
    and-term   = not-term ("and" not-term)*
    not-term   = "not" not-term | "(" filter ")" | comparison
    comparison = value ["not"] "in" field
               | field ("=~" | "!~") regex
               | field ("=*" | "!*") value
               | field ("==" | "=" | "!=" | "<" | "<=" | ">" | ">=") value
               | field
    value      = quoted text | whole number
    regex      = "m" delimiter text delimiter flags, the delimiter one of / # ^ |; or / text /
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gantry.cli.globs import glob_pattern

Condition = list[object]


class FilterError(Exception):
    """The text is not a filter; says what was expected where."""


class Token(NamedTuple):
    """A piece of a filter: its kind, its meaning, and where it starts."""

    kind: str
    meaning: object
    at: int


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<operator>==|=~|=\*|!=|!~|!\*|<=|>=|=|<|>)
    | (?P<bracket>[()])
    | (?P<regex>
          m(?P<delimiter>[/\#^|])(?P<pattern>(?:\\.|(?!(?P=delimiter)).)*)(?P=delimiter)
          (?P<flags>[a-z]*)
        | /(?P<bare>(?:\\.|[^/\\])*)/(?P<bareflags>[a-z]*))
    | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<number>[+-]?\d{1,18}(?![\w.]))
    | (?P<word>[A-Za-z][A-Za-z0-9_/.]*)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_KEYWORDS = ("and", "or", "not", "in")
_COMPARISONS = ("==", "=", "!=", "<", "<=", ">", ">=")
_REGEX_FLAGS = "is"
NESTING_MAX = 100
"""Deeper filters are refused at the door; LuxiD would have to recurse as deep."""


def parse_filter(text: str) -> Condition:
    """Parse a filter.

    Raises:
        FilterError: it is malformed.
    """
    return _Parser(text).whole()


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise FilterError(f"unexpected {text[start]!r} at character {start + 1} of '{text}'")
        tokens.append(_token(found))
        position = found.end()
    return [*tokens, Token("end", None, len(text))]


def _token(found: re.Match[str]) -> Token:
    kind = found.lastgroup or ""
    at = found.start(kind)
    match kind:
        case "operator" | "bracket":
            return Token(found[kind], None, at)
        case "text":
            return Token("value", re.sub(r"\\(.)", r"\1", found["text"][1:-1], flags=re.DOTALL), at)
        case "number":
            return Token("value", int(found["number"]), at)
        case "word" if found["word"] in _KEYWORDS:
            return Token(found["word"], None, at)
        case "word":
            return Token("field", found["word"], at)
        case _:
            return Token("regex", _regex(found), at)


def _regex(found: re.Match[str]) -> str:
    pattern = found["pattern"] if found["delimiter"] else found["bare"]
    flags = found["flags"] if found["delimiter"] else found["bareflags"]
    if extra := set(flags) - set(_REGEX_FLAGS):
        raise FilterError(f"unknown flag '{min(extra)}' of a regular expression; there are i and s")
    if found["delimiter"]:
        pattern = pattern.replace(f"\\{found['delimiter']}", found["delimiter"])
    else:
        pattern = pattern.replace("\\/", "/")
    try:
        re.compile(pattern)
    except re.error as error:
        raise FilterError(f"malformed regular expression '{pattern}': {error}") from None
    return f"(?{''.join(sorted(set(flags)))}){pattern}" if flags else pattern


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._any_of()
        if self._kind != "end":
            raise self._unexpected("'and', 'or' or the end")
        return condition

    @property
    def _kind(self) -> str:
        return self._tokens[self._next].kind

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _unexpected(self, wanted: str) -> FilterError:
        at = self._tokens[self._next].at
        return FilterError(f"expected {wanted} at character {at + 1} of '{self._text}'")

    def _any_of(self) -> Condition:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise FilterError(f"more than {NESTING_MAX} levels of brackets")
        terms: list[Condition] = [self._all_of()]
        while self._kind == "or":
            self._take()
            terms.append(self._all_of())
        self._depth -= 1
        return terms[0] if len(terms) == 1 else ["|", *terms]

    def _all_of(self) -> Condition:
        terms: list[Condition] = [self._negation()]
        while self._kind == "and":
            self._take()
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else ["&", *terms]

    def _negation(self) -> Condition:
        negations = 0
        while self._kind == "not":
            self._take()
            negations += 1
        if negations > NESTING_MAX:
            raise FilterError(f"more than {NESTING_MAX} negations in a row")
        condition = self._primary()
        for _ in range(negations):
            condition = ["!", condition]
        return condition

    def _primary(self) -> Condition:
        match self._kind:
            case "(":
                self._take()
                condition = self._any_of()
                self._expect(")", "')'")
                return condition
            case "value":
                return self._membership()
            case "field":
                return self._comparison()
            case _:
                raise self._unexpected("a field, a value or '('")

    def _membership(self) -> Condition:
        content = self._take().meaning
        negated = self._kind == "not"
        if negated:
            self._take()
        if self._kind != "in":
            raise self._unexpected("'in' or 'not in'")
        self._take()
        condition: Condition = ["=[]", self._expect("field", "a field"), content]
        return ["!", condition] if negated else condition

    def _comparison(self) -> Condition:
        field = self._take().meaning
        match self._kind:
            case "=~" | "!~" as operator:
                self._take()
                return _negated(
                    ["=~", field, self._expect("regex", "a regular expression")], operator
                )
            case "=*" | "!*" as operator:
                self._take()
                glob = self._expect("value", "a value")
                return _negated(["=~", field, glob_pattern(str(glob))], operator)
            case operator if operator in _COMPARISONS:
                self._take()
                return [
                    "=" if operator == "==" else operator,
                    field,
                    self._expect("value", "a value"),
                ]
            case _:
                return ["?", field]

    def _expect(self, kind: str, described: str) -> object:
        if self._kind != kind:
            raise self._unexpected(described)
        return self._take().meaning


def _negated(condition: Condition, operator: str) -> Condition:
    return ["!", condition] if operator.startswith("!") else condition
