"""All tests of the exam, in the order in which it runs them."""

from elevator.exam.tests_failures import TESTS as FAILURES
from elevator.exam.tests_group import TESTS as GROUP
from elevator.exam.tests_network import TESTS as NETWORK
from elevator.exam.tests_single import TESTS as SINGLE

TESTS = {test.name: test for test in (*SINGLE, *GROUP, *FAILURES, *NETWORK)}
