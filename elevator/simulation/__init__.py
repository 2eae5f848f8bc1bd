"""The simulated world: a whole group in virtual time, with random faults and passengers, checked by judges.

One integer, the seed, determines everything that happens in a run, unless options change its plan. `elevator soak` runs
many seeds. A failing seed can be replayed exactly, and shrunk to a few faults and presses that make it fail. Names such
as G3 refer to the rules in elevator/specification.md.

The nodes run the production code: `turn`, the wire format, the records, the codec of the elevator server, and the
clients of the recorder and the panel. Only their surroundings are simulated. The elevators and the passengers come from
the package `building`, which also runs them in real time, for real processes. Here the nodes run inside the simulation,
many times as fast as real time. `elevator soak` prints how many times.

- faults.py defines the kinds of faults and the `Plan` of a run; plans.py and chains.py draw a plan from a seed.
- world.py runs one plan. It advances virtual time from event to event. Start reading there.
- simulated_node.py is one node. Its process, disk, elevator server and server connection each have their own module:
  simulated_process.py, simulated_disk.py, simulated_server.py and simulated_panel.py.
- links.py is the network. attacker.py creates datagrams that the nodes must reject. ghost.py is a node whose car never
  moves.
- injection.py begins and ends faults at a node.
- events.py defines the events of a run, and what all its parts share. observed.py keeps what the judges remember about
  each node, and determines when faults affect a car or the group.
- call_safety.py and car_safety.py judge safety throughout every run. car_service.py and group_service.py judge timing
  and behaviour, and apply most rules only while no fault affects the car or the group.
- campaign.py runs seeds in parallel, and shrinks a plan that fails.

A seed must replay byte for byte. So nothing in a run reads a real clock or depends on the order of a set. The plan
seeds every random generator.

Decisions
---------
Safety is judged all the time, against what was really pressed, stored and served. Most rules of timing and behaviour
are judged only while no fault affects the car or the group. An earlier version judged them during faults too. It needed
an exception for each way in which a fault can delay or mislead a node. Most failures in random runs then came from a
missing exception, not from a bug in a node.

The group is judged even during a long fault of one node, such as a crash or a blocked door. GROUP_MS after it begins,
the other nodes must have noticed it and their cars must have taken over the node's hall calls (G3). Scenarios and
benchmarks measure how quickly they do so.

A car that cannot serve calls must report that it is out of service (car_service.py). Each lit hall call must be claimed
by a car in service (group_service.py). So the judges need not compute which car could serve which call.

A node must register as many presses as its panel has reported. An earlier judge looked for the call of each press
instead. It had to know every reason why a call could be missing.

A simulated node performs the outputs of a turn only after the turn, so the judges see no state within a turn. They
receive the event of the turn first, then the events that its outputs cause. So when a judge sees an output, it already
knows the state that caused the output. A turn that only extends the timeouts of peers has no `TurnTaken`, but may send
a heartbeat.

Two ideas were tried and dropped. Judging each part of a partitioned group on its own is not necessary, because the
other checks catch every mutant. Nor is pressing buttons after the last fault, because fault-free periods give the
judges enough to check.
"""
