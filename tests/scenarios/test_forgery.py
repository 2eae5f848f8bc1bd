"""A node that receives forged datagrams."""

import pytest
from steps import UP, Group, settle

from elevator.simulation.simulated_node import GROUP


@pytest.mark.rule("G6", "S2")
def test_node_ignores_a_forged_acknowledgement_of_its_own_presses() -> None:
    group = Group(cars=2, at=(0, 0))
    victim = group[0].node
    entry = f"[[0,{victim.me.incarnation},{1 << 53},[]]]"
    car = '[0,1,0,"none",false,true]'
    rest = f'"up":0,"down":0,"hears":0,"rates":["",""],"version":"","calls":{entry}'
    body = f'{{"group":"{GROUP}","floors":4,"car":{car},{rest}}}'
    datagram = f"elevator3 63 5 1 0 1\n{body}".encode()
    group[0].deliver(datagram, group.now_ms + 1)
    group.run(500)
    group.press(0, UP, 2)
    group.run(100)
    assert group.lit(1) == {("up", 2)}
    settle(group)
