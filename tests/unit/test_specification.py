"""The specification: each rule has scenarios and mutants, or a reason why not. Citations name only existing rules."""

import re
from collections import Counter

import pytest
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

pytestmark = pytest.mark.xdist_group("specification")  # Read all files in one process only: it caches them.

RULES = [name for name, _ in read_rules()]

TESTED_ELSEWHERE = {
    "C12": "The supervisor and the elevator server stop the motor, and scenarios run neither.",
    "S1": "Seals are checked before a datagram reaches a node, and scenarios deliver datagrams without seals.",
    "S3": "Foreign bytes arrive at the serial port, and scenarios use the elevator server's protocol.",
}
"""Rules without a scenario, each with the reason. Other tests have markers for these rules."""

WITHOUT_MUTANT = {
    "G2": "It lists the failures that the simulated world injects.",
    "C6": "Random plans rarely repeat presses at an open door for long enough. A plan in test_regressions.py does.",
    "C12": "The simulated world has no supervisor.",
    "A4": "The judges do not yet check where idle cars wait.",
    "S1": "Simulated heartbeats are delivered without a seal. test_attacker.py breaks the checks of seals and replays.",
    "S2": "The mutant would be in a decoder, and the simulated attacker would have to find it.",
    "S3": "The simulated world has no serial line.",
}
"""Rules that no mutant breaks, each with the reason. If you can, write a mutant instead of adding a rule here."""


def test_each_rule_has_a_unique_name_and_belongs_to_the_group_of_its_letter() -> None:
    assert [rule for rule, times in Counter(RULES).items() if times > 1] == []
    sections = GROUP.split(SPECIFICATION.read_text())[1:]
    groups = dict(zip(sections[::2], sections[1::2], strict=True))
    assert [rule for rule in RULES if f"\n- {rule}: " not in groups[rule[0]]] == []


def test_markers_citations_and_mutants_name_existing_rules() -> None:
    mentions = [*all_marks(), *all_citations(), *all_mutants()]
    assert len(mentions) > 100
    assert [mention for mention in mentions if mention.rule not in RULES] == []


def test_each_rule_has_a_scenario_or_another_test() -> None:
    table = coverage()
    assert [rule for rule, row in table.items() if not row["scenarios"]] == sorted(TESTED_ELSEWHERE, key=RULES.index)
    assert [rule for rule in TESTED_ELSEWHERE if not table[rule]["other tests"]] == []


def test_each_rule_without_a_mutant_is_listed_with_a_reason() -> None:
    uncovered = [rule for rule, row in coverage().items() if not row["mutants"]]
    assert uncovered == sorted(WITHOUT_MUTANT, key=RULES.index)


def test_each_scenario_has_a_unique_name_and_a_marker_and_no_test_name_begins_with_a_rule() -> None:
    functions = re.compile(r"^def (test_\w+)", re.MULTILINE)
    scenarios = [name for file in SCENARIOS.glob("*.py") for name in functions.findall(file.read_text())]
    marked = {mention.name for mention in all_marks()}
    # These two tests use the table of golden scenarios, whose entries have the markers.
    tables = {"test_transcript_matches_the_golden_file", "test_each_scenario_has_a_golden_file_and_vice_versa"}
    assert [name for name in scenarios if name not in marked | tables] == []
    assert [name for name, times in Counter(scenarios).items() if times > 1] == []
    tests = [name for file in python_files("tests") for name in functions.findall(file.read_text())]
    assert [name for name in tests if re.match(r"test_[gldcas]\d+_", name)] == []


def test_citation_consists_of_rule_names_in_parentheses() -> None:
    source = '''
"""A lamp lights (L3), and a
car stops (C1,
    C5)."""
x = 1  # The door stays open (D2).
y = "(G1)"
# On paper (A4 or larger), like G2, in f(S1).
'''
    assert sorted(citations(source)) == ["C1", "C5", "D2", "L3", "S1"]


def test_marker_belongs_to_its_function_or_table_entry() -> None:
    source = """
@pytest.mark.rule("L1", "L2")
def test_one(): ...
TABLE = {"two": Scenario("about", rules=pytest.mark.rule("G4"))}
"""
    assert sorted(marks(source)) == [("G4", "two"), ("L1", "test_one"), ("L2", "test_one")]
