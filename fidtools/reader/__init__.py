"""The reader: Fusion-in-Decoder on any encoder–decoder of `transformers`, and the attention scores it gives passages.

Each passage is encoded on its own, the encodings of a question are joined without their padding, and the decoder
attends to all of them (Izacard & Grave, section 3.1). Nothing of the library is overridden.
"""
