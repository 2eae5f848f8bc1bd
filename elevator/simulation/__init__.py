"""The simulated world: a whole group in virtual time, with random faults and passengers, checked by judges.

One integer, the seed, determines everything that happens in a run. `elevator soak` runs many seeds. A failing seed can
be replayed exactly and shrunk to the few faults and presses that cause the failure. Names such as G3 refer to the rules
in elevator/specification.md.

The nodes are the production code: `turn`, the wire format, the records, the hardware codecs, and the clients of the
recorder and the panel. Only their surroundings are simulated. The package `building` also simulates elevators, but for
real processes in real time. Here the nodes run inside the simulation, about 200 times as fast as real time.

- faults.py defines the kinds of faults and the `Plan` of a run; plans.py and chains.py draw a plan from a seed.
- world.py runs one plan. It advances virtual time from event to event. Start reading there.
- simulated_node.py is one node. Its process, disk, elevator server and server connection each have their own module:
  simulated_process.py, simulated_disk.py, simulated_server.py and simulated_panel.py.
- links.py is the network. attacker.py forges datagrams; ghost.py is a node whose car never moves.
- injection.py begins and ends faults at a node.
- events.py defines the events of a run. The judges learn about the run only from them; observed.py keeps the last known
  state of each node for all judges.
- call_safety.py and car_safety.py judge safety, throughout every run. car_conduct.py and group_conduct.py judge timing
  and behaviour, but only of cars and groups that faults do not affect; health.py determines which those are.
- campaign.py runs seeds in parallel and shrinks the plans that fail.

A seed must replay byte for byte. So nothing here reads a clock, iterates over unordered data or uses a random generator
that is not seeded by the plan.

Decisions
---------
Safety is judged all the time, against what was really pressed, stored and served. Timing and behaviour are judged only
while no fault affects the car or the group. An earlier version judged them during faults too, with an exception for
each way in which a fault may delay or mislead a node. Most failures found by random runs then turned out to be
exceptions that the judges lacked, not bugs in the nodes.

A long fault, such as a dead node or a blocked door, does not suspend the judgement of the group. The other nodes must
notice it within GROUP_MS. After that, the judges check that other cars take over the calls of the affected car (G3).
Scenarios and benchmarks measure precisely how quickly they do so.

A car that cannot serve calls must report that it is out of service (car_conduct.py), and a car in service must claim
each lit call (group_conduct.py). So no judge has to compute which car could serve which call, as an earlier one did.

The judges count presses: a node must register as many as its panel has reported. An earlier judge looked for the call
of each press, and so had to know every reason why that call could be missing.

The judges see the state of a node only at the end of a turn. The event of a turn precedes the events of its outputs, so
a judge never compares the new state of the world with an outdated state of the node. A turn that receives only
unchanged heartbeats has no event.

Three ideas were tried and dropped: to judge each part of a partitioned group on its own (the safety rules and the final
checks catch every mutant without it); to press buttons after the last fault (runs and periods without faults give the
judges enough to check); and to limit how often nodes falsely suspect each other during packet loss.
"""
