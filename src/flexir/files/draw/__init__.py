"""Pictures of graphs: ``draw(graph, "net.png" | "net.svg" | "net.dot")``.

DOT text needs nothing; PNG and SVG need ``pip install flextorchir[draw]``, whose wheel brings
Graphviz along.
"""

from .render import draw

__all__ = ["draw"]
