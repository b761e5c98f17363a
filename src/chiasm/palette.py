"""One look: the colours, type and marks of every page and picture, named once, for both schemes.

Pages take them as variables of CSS (`stylesheet`), pictures as constants. Text on its ground has a contrast of 4.5 or
more, marks of 3; colours of series are those of Okabe and Ito, which the colour-blind tell apart.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff", "ink": "#1f2933", "quiet": "#5f6b76", "line": "#d5dbe0", "wash": "#f3f5f7",
    "shade": "#1f293326", "tone": "#4a5560", "tint": "#f0f2f4", "on-tone": "#ffffff", "leak": "#b3261e",
    "leak-tint": "#fdf0f0", "accepted": "#9a6a00", "needed": "#8a3b00", "sheet": "transparent", "accent": "#006d55",
    "low": "#0072b2", "high": "#c24e00",
}  # fmt: skip
DARK = {
    "paper": "#14181c", "ink": "#e4e8ec", "quiet": "#a9b4be", "line": "#3d474f", "wash": "#1e242a",
    "shade": "#00000080", "tone": "#b3bfca", "tint": "#1d232a", "on-tone": "#14181c", "leak": "#ff8a80",
    "leak-tint": "#33191b", "accepted": "#e0b050", "needed": "#ffb27a", "sheet": "#eef0f2", "accent": "#5fd6b4",
    "low": "#79c7f0", "high": "#ffa96b",
}  # fmt: skip
# Of a word of the verdict: its tone and its tint, in light and in dark.
VERDICTS = {
    "pays": ("#006d55", "#eaf5f1", "#5fd6b4", "#10261f"),
    "does-not-pay": ("#9a4300", "#fbf1e9", "#ffa96b", "#2b1d11"),
    "predicts-more-patients": ("#00608a", "#e9f3f8", "#79c7f0", "#10222e"),
    "cannot-tell": ("#44546a", "#eef1f5", "#b3c1d3", "#1c232c"),
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CODE_FONT = "ui-monospace, 'SF Mono', Menlo, Consolas, monospace"
# Sizes of what stands in a text, by that of the text.
TYPE = {"h1": "1.55em", "h2": "1.25em", "h3": "1.02em", "small": ".88em"}
# Of pictures, which lie on light paper in both schemes.
INK, QUIET, FAINT, WASH = LIGHT["ink"], LIGHT["quiet"], LIGHT["line"], LIGHT["wash"]
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
SINGLE, COMBINED, CHANGED, _, LIGHTER, _ = SERIES
GAINS = "#d9e6dc"  # what would be worth having
FOR, AGAINST = "#b2182b", "#2166ac"  # the ends of the diverging map RdBu


def variables(scheme: str) -> str:
    """Return declarations of CSS: every colour of a scheme (`light` or `dark`); in the light one type and fonts too."""
    dark = scheme == "dark"
    own = dict(DARK if dark else LIGHT)
    for word, (tone, tint, dark_tone, dark_tint) in VERDICTS.items():
        own |= {word: dark_tone if dark else tone, f"{word}-tint": dark_tint if dark else tint}
    if not dark:
        own |= TYPE | {"font": FONT, "code-font": CODE_FONT}
    return " ".join(f"--{name}: {value};" for name, value in own.items())


def stylesheet(light: str = ":root", dark: str = "") -> str:
    """Return CSS that declares the palette.

    Args:
        light: the selector under which the light scheme holds, and type and fonts.
        dark: that of the dark one; empty: where the reader's machine asks for it, on a screen.
    """
    tones = "\n".join(f".{word} {{ --tone: var(--{word}); --tint: var(--{word}-tint); }}" for word in VERDICTS)
    late = f"{dark} {{ {variables('dark')} }}"
    if not dark:
        late = f"@media screen and (prefers-color-scheme: dark) {{\n:root {{ {variables('dark')} }}\n}}"
    return f"{light} {{ {variables('light')} }}\n{late}\n{tones}\n"
