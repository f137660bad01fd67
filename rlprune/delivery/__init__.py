"""What is handed over: a smaller module, a compact file, an ONNX graph."""
