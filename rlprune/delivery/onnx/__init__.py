"""Networks as ONNX: export, few bits, int8, folding, templates."""
