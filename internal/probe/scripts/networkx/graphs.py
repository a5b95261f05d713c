"""networkx finds paths, flows and communities, reads and writes graphs, and dispatches to its backends."""
# versions: >=3.4
import importlib.metadata
import io
import pickle

import networkx as nx


def check(ok, what):
    if not ok:
        raise SystemExit("networkx: " + what)


check(importlib.metadata.version("networkx") == nx.__version__, "metadata and module disagree on the version")
g = nx.Graph()
g.add_weighted_edges_from([("a", "b", 1), ("b", "c", 2), ("a", "c", 9), ("d", "e", 1)])
check(nx.shortest_path(g, "a", "c", weight="weight") == ["a", "b", "c"] and nx.number_connected_components(g) == 2, "paths")
check(sorted(nx.minimum_spanning_tree(g).edges) == [("a", "b"), ("b", "c"), ("d", "e")] and nx.is_tree(nx.bfs_tree(g, "a")), "trees")
d = nx.DiGraph([(1, 2), (2, 3), (1, 3)])
nx.set_edge_attributes(d, 2, "capacity")
check(nx.maximum_flow_value(d, 1, 3) == 4 and list(nx.topological_sort(d)) == [1, 2, 3] and nx.is_directed_acyclic_graph(d), "flow or order")
club = nx.karate_club_graph()
check(len(club) == 34 and len(nx.community.greedy_modularity_communities(club)) == 3 and max(nx.degree_centrality(club), key=nx.degree_centrality(club).get) == 33, "communities")
check(nx.is_isomorphic(nx.petersen_graph(), nx.relabel_nodes(nx.petersen_graph(), {n: n + 10 for n in range(10)})) and nx.diameter(nx.hypercube_graph(3)) == 3, "isomorphism")
check(nx.coloring.greedy_color(nx.cycle_graph(4)) and nx.max_weight_matching(nx.path_graph(4)) and nx.density(nx.complete_graph(5)) == 1, "colours or matching")
check(len(nx.graph_atlas_g()) == 1253, "the atlas")
for write, read in ((nx.write_graphml_xml, nx.read_graphml), (nx.write_gml, nx.read_gml), (nx.write_gexf, nx.read_gexf), (nx.write_edgelist, nx.read_edgelist)):
    buffer = io.BytesIO()
    write(g, buffer)
    buffer.seek(0)
    check(set(map(frozenset, read(buffer).edges)) == set(map(frozenset, g.edges)), write.__name__)
check(nx.utils.graphs_equal(nx.node_link_graph(nx.node_link_data(g, edges="links"), edges="links"), g) and nx.utils.graphs_equal(pickle.loads(pickle.dumps(g)), g), "JSON or pickle")
check("networkx" in nx.config.backends or hasattr(nx.shortest_path, "orig_func"), "backends")
try:
    nx.shortest_path(g, "a", "d")
    raise SystemExit("networkx: there is a path where none is")
except nx.NetworkXNoPath:
    pass
