"""Fitted models as one ONNX file: the algebra of every stored part, written as a graph that any runtime reads."""
