"""The rules of the specification, and the scenarios, other tests, judges and mutants for each rule.

`just rules` prints a table. `just rules L3 C5` lists what covers the rules L3 and C5. The script reads sources and runs
no tests.
"""

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SPECIFICATION = ROOT / "elevator" / "specification.md"
SCENARIOS = ROOT / "tests" / "scenarios"
JUDGES = ROOT / "elevator" / "simulation"
MUTANTS = ROOT / "tests" / "world" / "test_mutants.py"

GROUP = re.compile(r"^## ([A-Z]): ", re.MULTILINE)
RULE = re.compile(r"^- ([A-Z]\d+): ((?:.+\n)(?:  .+\n)*)", re.MULTILINE)
NAME = r"[GLDCAS]\d{1,2}"
CITATION = re.compile(rf"\(({NAME}(?:,\s+{NAME})*)\)")


class Mention(NamedTuple):
    """A mention of a rule in a file, with the name of the test or mutant. For a citation, `name` is empty."""

    rule: str
    file: Path
    name: str = ""


def read_rules() -> list[tuple[str, str]]:
    """Return the name and text of each rule, in the order of the specification."""
    return [(name, " ".join(text.split())) for name, text in RULE.findall(SPECIFICATION.read_text())]


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def marks(source: str) -> Iterator[tuple[str, str]]:
    """Yield (rule, name) for each rule that a `pytest.mark.rule` in *source* names.

    The name is that of the marked test, or the key of the dict entry that contains the mark.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name):
                marked = [(name, each) for each in node.decorator_list]
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                marked = [(str(key.value), value) for key, value in pairs if isinstance(key, ast.Constant)]
            case _:
                continue
        for name, where in marked:
            for call in ast.walk(where):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.rule":
                    yield from ((str(ast.literal_eval(rule)), name) for rule in call.args)


def citations(source: str) -> Iterator[str]:
    """Yield the rules cited in comments and docstrings of *source*, such as (L3) or (C1, C5)."""
    prose = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    prose += [token.string for token in tokens if token.type == tokenize.COMMENT]
    for text in prose:
        for cited in CITATION.findall(text):
            yield from re.findall(NAME, cited)


@cache
def all_marks() -> list[Mention]:
    return [Mention(rule, file, name) for file in python_files("tests") for rule, name in marks(file.read_text())]


@cache
def all_citations() -> list[Mention]:
    return [Mention(rule, file) for file in python_files("elevator", "tests") for rule in citations(file.read_text())]


def all_mutants() -> list[Mention]:
    """Return the mutants and the rules that they break, from the table BREAKS in test_mutants.py."""
    for node in ast.parse(MUTANTS.read_text()).body:
        match node:
            case ast.AnnAssign(target=ast.Name("BREAKS"), value=ast.expr() as value):
                table: Mapping[str, str] = ast.literal_eval(value)
                return [Mention(rule, MUTANTS, name) for rule, names in table.items() for name in names.split()]
            case _:
                pass
    raise LookupError(f"no table BREAKS in {MUTANTS}")


def coverage() -> dict[str, dict[str, list[str]]]:
    """Return the table: for each rule and each column, the names of the scenarios, tests, judges or mutants."""
    found: dict[str, dict[str, list[str]]] = {
        rule: {"scenarios": [], "other tests": [], "judges": [], "mutants": []} for rule, _ in read_rules()
    }
    covered: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list), found)
    for rule, file, name in all_marks():
        covered[rule]["scenarios" if file.parent == SCENARIOS else "other tests"].append(name)
    for rule, file, _ in all_citations():
        if file.parent == JUDGES and file.stem not in covered[rule]["judges"]:
            covered[rule]["judges"].append(file.stem)
    for rule, _, name in all_mutants():
        covered[rule]["mutants"].append(name)
    return {rule: covered[rule] for rule in found}


def main() -> None:
    table, texts = coverage(), dict(read_rules())
    wanted = sys.argv[1:]
    if unknown := [rule for rule in wanted if rule not in texts]:
        sys.exit(f"no such rule: {' '.join(unknown)}")
    for rule in wanted:
        print(f"{rule}: {texts[rule]}")
        for column, names in table[rule].items():
            print(f"  {column}:", *(names or ["none"]), sep="\n    ")
    if not wanted:
        print("rule  scenarios  other tests  mutants  judges")
        for rule, row in table.items():
            counts = f"{len(row['scenarios']):9}  {len(row['other tests']):11}  {len(row['mutants']):7}"
            print(f"{rule:4}  {counts}  {', '.join(row['judges'])}".rstrip())


if __name__ == "__main__":
    main()
