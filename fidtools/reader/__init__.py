"""The reader: Fusion-in-Decoder on any encoder–decoder of `transformers`, and its attention scores of passages.

Each passage is encoded by itself, the encodings of a question are concatenated without their padding, and the decoder
attends to all of them (Izacard & Grave, section 3.1). No class or method of `transformers` is overridden.
"""
