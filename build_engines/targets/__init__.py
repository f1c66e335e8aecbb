"""One module per target: bytes of an engine from a served graph, and the engine run on images."""
