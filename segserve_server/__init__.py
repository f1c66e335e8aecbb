"""The server side of segserve: imaging, model repository, embedded Triton."""
