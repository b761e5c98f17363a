"""What was once read as an answer it is not: articles, names with letters, denials, refusals, numbers, letter cases."""

from __future__ import annotations

import pytest

from chiasm.bench.figures import exact_matches
from chiasm.bench.item import Item
from chiasm.bench.marks import marked
from chiasm.bench.reply import Reply
from chiasm.language.parsing import LONGEST, folded, read_scores, read_text

FOUR = ("Pneumonia", "Beta blocker", "Ankle fracture", "Tumor")
GERMS = ("C. difficile", "E. coli", "B. cereus", "S. aureus")
CELLS = ("B7 receptor", "T cells", "B-type natriuretic peptide", "D dimer")
CHINESE = ("肺癌", "胃癌", "肝癌", "无上述")
BLOOD = ("O", "A", "B", "AB")
NUMBERS = ("1", "2", "3", "10")
ANSWER = ("yes", "no")


@pytest.mark.parametrize("said", ["{}", "{}.", "The answer is {}.", "Answer: {}", "The best option is {}", "It is {}"])
@pytest.mark.parametrize(
    "options",
    [
        FOUR, GERMS, CELLS, CHINESE, ("5 mg", ".5 mg", "50 mg", "10 mg"), ("102 CFU", "10² CFU", "10⁵ CFU", "105 CFU"),
        ("A and B", "None of the above", "Neither A nor B", "Not A"), ("Cannot be determined", "Unable to walk"),
        ("A flap is visible.", "No flap is visible."), ("Aa and AA", "aa and AA", "AA and Aa"), ("False", "True"),
        ("Gram-negative", "negative", "non-reactive", "reactive"),
    ],
)  # fmt: skip
def test_an_option_said_in_its_own_words_is_that_option(said: str, options: tuple[str, ...]) -> None:
    assert [read_text(said.format(own), options).position for own in options] == list(range(len(options)))


@pytest.mark.parametrize(
    ("options", "said"),
    [(BLOOD, "{}"), (BLOOD, "The answer is {}"), (NUMBERS, "{}"), (NUMBERS, "The answer is {}."), (NUMBERS, "{})"),
     (("AA", "Aa", "aa", "A"), "{}"), (("AA", "Aa", "aa", "A"), "The answer is {}.")],
)  # fmt: skip
def test_options_of_one_character_are_read_whole_and_after_the_answer_is(options: tuple[str, ...], said: str) -> None:
    assert [read_text(said.format(own), options).position for own in options] == list(range(len(options)))


@pytest.mark.parametrize(
    ("text", "options", "position"),
    [
        ("The answer is a fracture of the ankle", FOUR, None), ("The best option is a beta blocker.", FOUR, 1),
        ("The answer is a tumor", FOUR, 3), ("The answer is (c).", FOUR, 2), ("Answer: d", FOUR, 3),
        ("The answer is B because it fits", FOUR, 1), ("The answer is B lymphocytes", FOUR, None),
        ("The answer is D-dimer", FOUR, None), ("The answer is C3 complement", FOUR, None),
        (r"So \boxed{B}", FOUR, 1), (r"$\boxed{\text{C}}$", FOUR, 2), ("**Answer: B**", FOUR, 1),
        ("The correct answer is **B**.", FOUR, 1), ("<answer>B</answer>", FOUR, 1), ("Answer is: option B", FOUR, 1),
        ("The answer is: B. Beta blocker", FOUR, 1), ("B Beta blocker", FOUR, 1), ("A Beta blocker", FOUR, 1),
        ("Answer: A. Beta blocker", FOUR, None), ("A 胃癌", CHINESE, None), ("B。胃癌", CHINESE, 1),
        ("答案:C。", CHINESE, 2), ("选B", CHINESE, 1), ("不是肺癌", CHINESE, None), ("E. histolytica", GERMS, None),
        ("(A) or (B)", FOUR, None), ("A) and B)", FOUR, None), ("A. or B.", FOUR, None), ("A and B", FOUR, None),
        ("B/C", FOUR, None), ("Options A and B", FOUR, None), ("A) is wrong, I choose B", FOUR, 1),
        ("A) is incorrect. B) is correct.", FOUR, 1), ("A: no. B: yes.", FOUR, 1), ("Option A is wrong, so B", FOUR, 1),
        ("It cannot be A", FOUR, None), ("The wrong answer is A", FOUR, None), ("Except A, all fit", FOUR, None),
        ("C is not correct", FOUR, None), ("B isn't right", FOUR, None), ("It is not pneumonia", FOUR, None),
        ("It is not A or B", FOUR, None), ("The answer is not A, it is B", FOUR, 1),
        ("A. Actually no, B is right", FOUR, None), ("I would rule out option A. Option B is best.", FOUR, 1),
        ("A is wrong. C is wrong. D is wrong. So B.", FOUR, 1), ("B) Beta blocker, not A", FOUR, 1),
        ("There is no pneumonia, the tumor explains it", FOUR, 3), ("The tumor is unlikely, so B", FOUR, 1),
        ("Hepatitis B infection", FOUR, None), ("Hepatitis B", FOUR, None), ("Vitamin D deficiency", FOUR, None),
        ("D-dimer", FOUR, None), ("A CT scan is needed", FOUR, None), ("I", FOUR, None), ("I, for one, say C", FOUR, 2),
        ("2.5", NUMBERS, None), ("1,000", NUMBERS, None), ("10.5 mg", NUMBERS, None), ("-10", NUMBERS, None),
        ("The answer is 2.5", NUMBERS, None), ("Answer: -1", NUMBERS, None), ("10²", ("102", "10²"), 1),
        ("No image was provided.", ANSWER, None), ("No idea", ANSWER, None), ("Impossible to say yes", ANSWER, None),
        ("Not yes", ANSWER, None), ("no, yes", ANSWER, None), ("The answer is yes", ANSWER, 0), ("B. No", ANSWER, 1),
        ("Yes. No evidence speaks against it", ANSWER, 0), ("A: No", ANSWER, None), ("None", ("Nine", "Ten"), None),
    ],
)  # fmt: skip
def test_what_is_said_is_read_and_nothing_else(text: str, options: tuple[str, ...], position: int | None) -> None:
    assert read_text(text, options).position == position


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, there is no image provided, so I cannot answer.", "No idea", "I am unable to see pneumonia here",
        "As an AI I cannot answer.", "I can't see the image. Please answer yes or no?", "No image was provided.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [FOUR, ("Yes", "No")])
def test_a_refusal_is_a_way_of_its_own(text: str, options: tuple[str, ...]) -> None:
    assert read_text(text, options).way == "refused"


def test_options_are_one_where_their_text_is_exactly_the_same() -> None:
    assert folded(".5 mg") != folded("5 mg") and folded("10²") != folded("102") and folded("Ｂ") == "b"
    assert Item("1", "which genotype", ("AA", "Aa", "aa", " Aa"), (1,)).positions == (1, 3)
    assert read_scores([1.0, 1.0, 0.0], ("Aa", "AA", "aa")).way == "tied"


def test_a_text_without_a_word_matches_itself_alone() -> None:
    items = [
        Item("1", "which", answer=("The",)),
        Item("2", "which", answer=("...",)),
        Item("3", "which", answer=("B",)),
    ]
    found = exact_matches(marked(items, [Reply("1", "..."), Reply("2", "..."), Reply("3", "b.")]))
    assert found.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("part", ["( ", "A and ", "** "])
def test_a_long_answer_of_marks_is_read_in_bounded_time(part: str) -> None:
    assert read_text((part * LONGEST)[: LONGEST - 3] + " zz", FOUR).way in ("no option", "several", "answered")
