"""Conversations with a synthetic patient that are open in a service: kept in memory alone, and only for a while."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from chiasm.language.conversation.persona import Persona
from chiasm.language.conversation.rubric import Score, score
from chiasm.language.conversation.speech import Listener, Voice
from chiasm.language.conversation.talk import Conversation, Speaker, Turn
from chiasm.serving.faults import refused

MOST = 64
EACH = 8
"""Conversations of one caller; there are `MOST` in all."""
IDLE_SECONDS = 1_800.0


LOG = logging.getLogger(__name__)


@dataclass
class Open:
    """An open conversation: whose it is, and when it was last used; `lock` is held while a turn is made."""

    conversation: Conversation
    owner: str
    used: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_unused(self) -> bool:
        """True if nothing was said in it, and nothing is being said."""
        return not self.conversation.turns and not self.lock.locked()


class Talks:
    """The open conversations with one persona.

    Args:
        persona: who is talked with.
        listener: turns recordings into words; None: only what is written is taken.
        voice: turns answers into recordings; None: they are written alone.
        speaker: says what the patient says in words of its own.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        persona: Persona,
        listener: Listener | None = None,
        voice: Voice | None = None,
        speaker: Speaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.persona, self.listener, self.voice, self.speaker = persona, listener, voice, speaker
        self._clock, self._open, self._guard = clock, dict[str, Open](), threading.Lock()
        self._sound = threading.Lock()  # one recording is heard or spoken at a time

    def begin(self, owner: str) -> tuple[str, bytes | None]:
        """Open a conversation: its name, and what the patient says first as a recording.

        Of a caller who has as many as one may have, the one in which nothing was said for longest makes room.

        Raises:
            Refused: 429, the caller has as many as one may have, in all of which something was said; 503, as many are
                open as there may be.
        """
        with self._guard:
            now = self._clock()
            self._open = {name: own for name, own in self._open.items() if now - own.used < IDLE_SECONDS}
            self._require_room(owner)
            if len(self._open) >= MOST:
                raise refused(503, "too-many-talks", f"{MOST} conversations are open: try again later", retry_after=60)
            name = secrets.token_hex(16)
            self._open[name] = Open(Conversation(self.persona, self.speaker), owner, now)
        return name, self._spoken(self.persona.opens)

    def say(self, name: str, owner: str, said: str | bytes) -> tuple[Turn, bytes | None]:
        """Say something in a conversation, as words or as a recording: the turn, and the answer as a recording.

        A voice that fails takes nothing from a turn that was made: the answer is written alone.

        Raises:
            Refused: 404 without such a conversation of this caller, 409 while a turn of it is made, 422 for what cannot
                be heard.
        """
        own = self._of(name, owner)
        if not own.lock.acquire(blocking=False):
            raise refused(409, "talking", "the patient is answering already: wait for it")
        try:
            turn = own.conversation.hear(self._heard(said) if isinstance(said, bytes) else said)
        except ValueError as error:
            raise refused(422, "not-heard", str(error)) from None
        finally:
            own.lock.release()
        return turn, self._spoken(turn.says)

    def score(self, name: str, owner: str) -> tuple[Conversation, Score]:
        """End a conversation: what was said, and its score.

        Raises:
            Refused: 404, there is no such conversation of this caller.
        """
        own = self._of(name, owner)
        with self._guard:
            self._open.pop(name, None)
        return own.conversation, score(own.conversation)

    def _require_room(self, owner: str) -> None:
        own = [name for name, one in self._open.items() if one.owner == owner]
        if len(own) < EACH:
            return
        idle = [name for name in own if self._open[name].is_unused]
        if not idle:
            raise refused(
                429, "own-talks", f"{EACH} conversations of yours are open: end one of them, or try again later",
                retry_after=60,
            )  # fmt: skip
        del self._open[min(idle, key=lambda name: self._open[name].used)]

    def _of(self, name: str, owner: str) -> Open:
        with self._guard:
            own = self._open.get(name)
            if own is None or own.owner != owner or self._clock() - own.used >= IDLE_SECONDS:
                raise refused(404, "no-talk", "there is no such conversation, or it has ended: begin another one")
            own.used = self._clock()
            return own

    def _heard(self, recording: bytes) -> str:
        if self.listener is None:
            raise ValueError("this service hears no recordings: write what you say")
        with self._sound:
            heard = self.listener(recording)
        if not heard.strip():
            raise ValueError("no word was heard in the recording: speak again, or write")
        return heard

    def _spoken(self, words: str) -> bytes | None:
        if self.voice is None:
            return None
        try:
            with self._sound:
                return self.voice(words)
        except Exception as error:  # of whatever library speaks; what was said stands and is told
            LOG.warning("the voice failed (%s): an answer is written alone", type(error).__name__)
            return None
