"""From any ONNX to a served engine, with proof that it still sees the same lesions."""
