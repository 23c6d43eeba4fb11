"""What one client, and all clients together, may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a server. What exceeds one is answered with a status of 4xx."""

    k: int = 100
    """Passages per question."""
    queries: int = 1024
    """Questions per request."""
    characters: int = 4096
    """Characters per question."""
    passages: int = 10_000
    """Questions times passages of a request, and of the requests that are searched together."""
    read_passages: int = 1000
    """Questions times passages of a request that is read."""
    pending: int = 64
    """Requests that wait or are worked on."""
    connections: int = 256
    """Open connections."""
    body_bytes: int = 1 << 20
    """Bytes of a request's body."""
    receive_seconds: float = 10.0
    """Time to receive a request's head, and again its body."""
    window_seconds: float = 0.003
    """Time to wait for more requests before a batch is searched."""
