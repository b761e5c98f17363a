"""Token store: tokens of frozen encoders, kept on disk by encoder and source content."""

from chiasm.store.token_store import TokenStore, default_store

__all__ = ["TokenStore", "default_store"]
