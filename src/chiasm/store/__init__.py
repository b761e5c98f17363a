"""The token store: what a frozen encoder gave, kept by what was read and by whom."""

from chiasm.store.token_store import TokenStore, default_store

__all__ = ["TokenStore", "default_store"]
