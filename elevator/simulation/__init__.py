"""The proof: a whole group under virtual time, with every fault that a seed can draw.

Start with world.py, which runs the program's own `turn`, wire format, records and hardware codecs against a simulated
network, disks, shafts and processes. faults.py draws a plan from a seed; attacker.py forges datagrams. The judges:
safety.py (what holds whatever fails), car_conduct.py (what a car owes) and group_service.py (what a group owes);
health.py tells them which parts are in order. campaign.py runs seed after seed and shrinks those that fail.

The package building simulates elevators for real programs in real time; here the nodes run inside the simulation, two
hundred times as fast. Imports everything that a node is made of but processes, and building for its shafts. A seed must
replay to the byte: no clock, no unordered iteration, no random number that the plan did not draw.
"""
