"""Load test with a gate, and the benchmark of the server against its own ceiling and against other servers."""
