"""The bench that examines any controller of the elevator server's protocol.

A test starts simulated elevators and a copy of the controller for each, hurts them, and judges what their panels, cars
and network show. Each controller runs on a machine of its own: a network namespace (sandbox.py). A switch in this
process joins the machines. It can lose, delay, repeat, damage and cut what they send (switch.py).

bench.py is what a test sees: it acts, waits and checks. conduct.py judges during every test what must never happen. The
modules tests_*.py have the tests, catalogue.py lists them, and examiner.py runs each in a group that setup.py makes.
results.py defines what an exam finds, and report.py and report_page.py show it.

Decisions:
- The bench judges only what anyone in the laboratory could see: panels, cars and the network. So it can examine any
  controller, and it cannot be wrong about what a controller meant.
- It is fair. A check that the course does not demand is marked *beyond* and fails nothing. A lit lamp on the panel of a
  dead controller, an idle car that parks, and a search for the bottom floor at startup are no faults.
- Every time limit includes TOLERANCE_MS for the bench itself. If the bench was late by more than LATE_MS, the machine
  was overloaded; the test is repeated once and then marked.
"""
