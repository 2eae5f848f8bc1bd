"""The proof: a whole group under virtual time, with every fault that a seed can draw.

Start with world.py, which runs the program's own `turn`, wire format, records and hardware codecs. simulated_node.py is
one node, with a module each for its process, its disk, its server and what its program does at its panel; links.py is
the network between them. faults.py says what can go wrong, plans.py and chains.py draw it from a seed, and injection.py
lets it happen. attacker.py forges datagrams, ghost.py claims calls that it never serves. The judges: safety.py (what
holds whatever fails), car_conduct.py (what a car owes) and group_service.py (what a group owes); health.py tells them
which parts are in order. campaign.py runs seed after seed and shrinks those that fail.

The package building simulates elevators for real programs in real time; here the nodes run inside the simulation, two
hundred times as fast. Imports everything that a node is made of but processes, and building for its shafts. A seed must
replay to the byte: no clock, no unordered iteration, no random number that the plan did not draw.
"""
