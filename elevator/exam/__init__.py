"""Examines any controller that speaks the elevator server's protocol.

A test starts simulated elevators and a copy of the controller for each, injects faults, and judges what the panels and
cars do. Each controller runs on a machine of its own: a network namespace (sandbox.py). A switch in this process
connects the machines. It can lose, delay, duplicate, damage and block their packets (switch.py). Where namespaces are
not allowed, all controllers run on this machine, and the tests that need a network are skipped.

Tests act, wait and check through the test rig (rig.py). Meanwhile, judge.py checks the rules that apply at every
moment. The modules tests_*.py contain the tests, catalogue.py lists them, and examiner.py runs each in a group that
setup.py prepares. results.py defines the results, and report.py and report_page.py show them.

Decisions:
- The exam judges a controller only from outside: by the panels and the cars, by its requests to the elevator server,
  and by whether it exits. So the exam can examine any controller, and need not know how a controller works.
- The exam is fair. A check that the course does not demand is marked *beyond*, and its failure does not fail the test.
  The exam accepts a lit lamp on the panel of a dead controller, an idle car that parks, and a search for the bottom
  floor at startup.
- Time limits are extended by TOLERANCE_MS for delays of the rig itself. If the rig is late by more than LATE_MS, the
  machine is overloaded. The exam then repeats the test once. The result says so, and whether the rig was late again.
"""
