"""The specification: each rule has scenarios and mutants, and nothing names a rule that does not exist."""

import re
from collections import Counter

from rules import (
    GROUP,
    SCENARIOS,
    SPECIFICATION,
    all_citations,
    all_marks,
    all_mutants,
    citations,
    coverage,
    marks,
    python_files,
    read_rules,
)

RULES = [name for name, _ in read_rules()]

TESTED_ELSEWHERE = {
    "C12": "The supervisor and the elevator server stop the motor: scenarios run one process without either.",
    "S1": "Seals are opened before a node hears a datagram: scenarios hand datagrams to the node.",
    "S3": "Foreign bytes reach the serial port: scenarios use the elevator server's protocol.",
}
"""Rules that no scenario can show, with the reason. Other tests carry their marker."""

WITHOUT_MUTANT = {
    "G2": "A list of failures, which the world injects while its judges check the other rules.",
    "C12": "Outside the core: the world has no supervisor.",
    "A4": "No mutant yet: the judges ignore where idle cars wait.",
    "S1": "Outside the core: the world's network opens no seals with a key.",
    "S2": "No mutant yet: it would be in the decoders, and the world's attacker would have to find it.",
    "S3": "Outside the core: the world has no serial line.",
}
"""Rules that no mutant breaks, with the reason. This table should shrink."""


def test_each_rule_has_a_name_of_its_own_in_the_group_of_its_letter() -> None:
    assert [rule for rule, times in Counter(RULES).items() if times > 1] == []
    sections = GROUP.split(SPECIFICATION.read_text())[1:]
    groups = dict(zip(sections[::2], sections[1::2], strict=True))
    assert [rule for rule in RULES if f"\n- {rule}: " not in groups[rule[0]]] == []


def test_everything_that_names_a_rule_names_an_existing_one() -> None:
    mentions = [*all_marks(), *all_citations(), *all_mutants()]
    assert len(mentions) > 100
    assert [mention for mention in mentions if mention.rule not in RULES] == []


def test_each_rule_has_a_scenario_or_another_test() -> None:
    table = coverage()
    assert [rule for rule, row in table.items() if not row["scenarios"]] == sorted(TESTED_ELSEWHERE, key=RULES.index)
    assert [rule for rule in TESTED_ELSEWHERE if not table[rule]["other tests"]] == []


def test_each_rule_has_a_mutant() -> None:
    bare = [rule for rule, row in coverage().items() if not row["mutants"]]
    assert bare == sorted(WITHOUT_MUTANT, key=RULES.index)


def test_each_scenario_names_its_rules_in_its_markers_only() -> None:
    functions = re.compile(r"^def (test_\w+)", re.MULTILINE)
    scenarios = [name for file in SCENARIOS.glob("*.py") for name in functions.findall(file.read_text())]
    marked = {mention.name for mention in all_marks()}
    # These two belong to the table of scenarios with transcripts. Its entries have the markers.
    tables = {"test_transcript_matches_the_golden_file", "test_every_golden_file_has_a_scenario"}
    assert [name for name in scenarios if name not in marked | tables] == []
    assert [name for name, times in Counter(scenarios).items() if times > 1] == []
    tests = [name for file in python_files("tests") for name in functions.findall(file.read_text())]
    assert [name for name in tests if re.match(r"test_[gldcas]\d+_", name)] == []


def test_citations_are_names_alone_in_parentheses() -> None:
    source = '''
"""A lamp lights (L3), and a
car stops (C1,
    C5)."""
x = 1  # The door stays open (D2).
y = "(G1)"
# On paper (A4 or larger), like G2, in f(S1).
'''
    assert sorted(citations(source)) == ["C1", "C5", "D2", "L3", "S1"]


def test_markers_belong_to_their_function_or_entry() -> None:
    source = """
@pytest.mark.rule("L1", "L2")
def test_one(): ...
TABLE = {"two": Scenario("about", rules=pytest.mark.rule("G4"))}
"""
    assert sorted(marks(source)) == [("G4", "two"), ("L1", "test_one"), ("L2", "test_one")]
