"""What a good clinician says to the synthetic patient that comes with chiasm, in ten turns."""

GOOD = [
    "Good morning, my name is Doctor Meyer. What brings you to me today?", "Do you smoke?", "When did it start?",
    "Does it go away when you rest?", "Does the pain spread anywhere else?", "That must be hard for you.",
    "Do you smoke cigarettes?", "Has anybody in your family had trouble with the heart?",
    "Do you take any medicine? Do you have allergies?", "Let me summarise what I have heard.",
]  # fmt: skip
