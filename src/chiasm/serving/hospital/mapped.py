"""The model that hospitals' standards ask, and the mapping that fits it, also after another version was loaded."""

from __future__ import annotations

from chiasm.serving.faults import refused
from chiasm.serving.hospital.mapping import CodeMap, HospitalKeys, MappingError, fitting
from chiasm.serving.loaded import Loaded
from chiasm.serving.service import Service


class Mapped:
    """A mapping file beside a service.

    Raises:
        MappingError: it does not fit the model.
        Refused: 404, there is no such model.
    """

    def __init__(self, keys: HospitalKeys, service: Service) -> None:
        self._keys, self.service = keys, service
        loaded = self._loaded()
        self._digest, self._mapping = loaded.digest, fitting(keys, loaded.reads)

    def _loaded(self) -> Loaded:
        return self.service.shelf.get(self._keys.model or None, None)

    def now(self) -> tuple[Loaded, CodeMap]:
        """Return the model of now and the mapping that fits it.

        Raises:
            Refused: 503, the mapping does not fit the version that was loaded since.
        """
        loaded = self._loaded()
        if loaded.digest != self._digest:
            try:
                self._digest, self._mapping = loaded.digest, fitting(self._keys, loaded.reads)
            except MappingError:
                what = (
                    "the mapping does not fit the version of the model that was loaded: mend the mapping, or the model"
                )
                raise refused(503, "unfit-mapping", what, retry_after=60) from None
        return loaded, self._mapping
