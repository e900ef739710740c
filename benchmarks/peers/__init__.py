"""Other methods, each with the settings that suit it best, and what each is told."""

from peers.given import Answer, Given, Peer, best
from peers.registry import NOT_APPLICABLE, peers_for

__all__ = ["NOT_APPLICABLE", "Answer", "Given", "Peer", "best", "peers_for"]
