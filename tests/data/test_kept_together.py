import numpy as np
import pytest

from tinysight.data.kept_together import connected_components


def by_hand(num_nodes, edges):
    """Return the components by spreading each node's smallest neighbour until nothing changes."""
    smallest = list(range(num_nodes))
    while True:
        before = list(smallest)
        for one, other in edges:
            smallest[one] = smallest[other] = min(smallest[one], smallest[other])
        if smallest == before:
            return smallest


@pytest.mark.parametrize("seed", range(12))
def test_components_of_random_graphs(seed):
    rng = np.random.default_rng(seed)
    num_nodes = int(rng.integers(1, 60))
    edges = rng.integers(0, num_nodes, (int(rng.integers(0, 60)), 2))
    np.testing.assert_array_equal(connected_components(num_nodes, edges), by_hand(num_nodes, edges))


def test_a_long_chain_in_any_order_is_one_component():
    order = np.random.default_rng(0).permutation(100_000)
    edges = np.stack([order[:-1], order[1:]], axis=1)
    assert not connected_components(100_000, edges).any()
    assert len(np.unique(connected_components(100_000, edges[1:]))) == 2
