"""The proof: a whole group under virtual time, with every fault that a seed can draw.

Start with world.py, which runs the program's own `turn`, wire format, records and hardware codecs. simulated_node.py is
one node, with a module each for its process, its disk, its server and its connection to that; links.py is
the network between them. faults.py says what can go wrong, plans.py and chains.py draw it from a seed, and injection.py
lets it happen. attacker.py forges datagrams, ghost.py claims calls that it never serves.

The judges learn of everything from one stream of events (events.py); observed.py keeps what it has told last of each
node. Two judge safety, in every run and all the time: call_safety.py (what was pressed, stored, promised and served)
and car_safety.py (doors and motors, and programs that are new or stood still). Two judge conduct, where no fault has
touched a car or the group for a while: car_conduct.py and group_conduct.py; health.py says where that is. campaign.py
runs seed after seed and shrinks those that fail.

The package building simulates elevators for real programs in real time; here the nodes run inside the simulation, two
hundred times as fast. Imports a node's turn, wire format, records and codecs, and building for its elevators and
passengers. A seed must replay to the byte: no clock, no unordered iteration, no generator that the plan did not seed.

Decisions
---------
Judges run in two phases. While faults last, only safety is judged, against what was truly pressed, stored and served.
Timing and conduct are judged of cars and groups that no fault has touched for CAR_MS or GROUP_MS. Before, conduct was
judged during faults too, with an excuse for each way in which a fault may delay or mislead a program. Most regressions
that random runs found were missing excuses.

A fault that lasts for long, such as a dead node or a blocked door, does not keep the group from being judged. The
others must have noticed after GROUP_MS, and do without it. So take-over is judged (G3), but not to the millisecond:
scenarios and benchmarks measure that.

A car that cannot serve must say so (car_conduct.py), and each lit call must be claimed by a car in service
(group_conduct.py). Before, one judge worked out which car could serve which call at each moment.

Each press is counted: a node notes as many as its panel says have gone down. Before, the judge looked for each call
with its press, and had to know why one may be missing.

A judge looks into a program only at the end of a turn. What leaves the program in a turn is told after it, so a judge
never compares a new world with an old program. A turn that brings only signs of life is not told at all.

Tried and dropped: judging each part of a group that is cut on its own (safety and the end of the run are enough, and
no mutant needed it); presses after all faults have healed, to have more conduct to judge (runs without faults and calm
stretches have enough); how often nodes take each other for dead while datagrams are lost.
"""
