"""Articles in JATS to rows: five of PubMed Central against what their XML says, read by eye, and made ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_articles import BY, article, figure

from chiasm.pretraining.articles.jats import Article, read_article
from chiasm.pretraining.articles.licences import allows, licence_of
from chiasm.pretraining.articles.sentences import sentence_at
from chiasm.readers.reading import ReadError

# Read from the XML: the article's number and DOI, its licence, and of each figure id, label, graphic, how its caption
# begins and ends, and the sections of the paragraphs that refer to it.
KNOWN = {
    "1471-2180-11-174": ("PMC3166277", "10.1186/1471-2180-11-174", "CC-BY-2.0", [
        ("F1", "Figure 1", "1471-2180-11-174-1", "Schematic presentation of two models of holin hole formation. Holin",
         "from Wang et al. [28] and White et al. [40].",
         ["Background", "Discussion", "Methods / Sample preparation and lysis time determination"]),
        ("F2", "Figure 2", "1471-2180-11-174-2", "Samples of a lysis recording and frequency distributions of",
         "The bin size was 2 min. Additional data are shown in Tables 1 and 2.", ["Results"]),
        ("F3", "Figure 3", "1471-2180-11-174-3", "Factors influencing λ lysis time stochasticity. (A) Effect of",
         "open circles, MLT; close circles, SD; closed triangles, CV.",
         ["Results / Effect of allelic variation in holin sequence", "Results / Effect of late promoter pR' activity",
          "Results / Effect of Host Growth Rates", "Discussion / Manipulation of holin production rate"]),
        ("F4", "Figure 4", "1471-2180-11-174-4", "Effects of tKCN (timing of KCN addition). (A) On time delay tL - t",
         "SD against tKCN (y = 13.24 - 0.28x + 0.01(x - 36.57)2).",
         ["Results / Effects of KCN Addition"] * 2 + ["Discussion / Effect of energy poison KCN"] * 2),
    ]),
    "1472-6831-8-11": ("PMC2329613", "10.1186/1472-6831-8-11", "CC-BY-2.0", []),
    "ehp-116-1694": ("PMC2599765", "10.1289/ehp.11570", "public-domain", [
        ("f1-ehp-116-1694", "Figure 1", "ehp-116-1694f1", "Exposure to PBDE-47 depressed circulating concentrations",
         "T3 in males (B). *p < 0.05 compared with control.",
         ["Results / Plasma thyroid hormones", "Results / TR transcripts in the liver"]),
        ("f2-ehp-116-1694", "Figure 2", "ehp-116-1694f2", "Dietary exposure to PBDE-47 altered relative transcripts",
         "levels are expressed relative to template RNA levels. *p < 0.05 compared with control.",
         ["Results / Pituitary gene transcripts"]),
        ("f3-ehp-116-1694", "Figure 3", "ehp-116-1694f3", "Dietary PBDE-47 exposure elevated mRNA levels for TRα in",
         "levels are normalized to 18S. *p < 0.05 compared to control.",
         ["Results / TR and BTEB mRNAs in the brain"] * 2),
    ]),
    "pntd.0002065": ("PMC3585041", "10.1371/journal.pntd.0002065", "CC-BY", [
        ("pntd-0002065-g001", "Figure 1", "pntd.0002065.g001",
         "Location of the study areas. Figure 1 shows the map of the Zambézia Province, Mozambique indicating",
         "namely Zambeze, Cuacua and Chire Rivers are highlighted in blue.",
         ["Materials and Methods / Site description"]),
    ]),
    "pone.0046493": ("PMC3460867", "10.1371/journal.pone.0046493", "CC-BY", [
        ("pone-0046493-g001", "Figure 1", "pone.0046493.g001", "Chemical structure of inhibitors. Chemical structures",
         "SIS, Inc. (http://www.sisweb.com/referenc/tools/exactmass.htm).", ["Introduction"]),
        ("pone-0046493-g002", "Figure 2", "pone.0046493.g002", "Inhibition of Lip-HSL proteins by MmPPOX. A, SDS-PAGE",
         "defined as the inhibitor molar excess leading to 50% enzymes residual activities.",
         ["Results / Expression and purification of recombinant proteins", "Results / In vitro inhibition studies"]),
        ("pone-0046493-g003", "Figure 3", "pone.0046493.g003", "Protein-inhibitor adducts studies using mass",
         "left parts, but identical vertical scales were chosen for the right parts.",
         ["Results / Mass spectrometry analyses"] * 2 + ["Discussion"]),
        ("pone-0046493-g004", "Figure 4", "pone.0046493.g004", "Antimycobacterial activity of MmPPOX and THL. Suscep",
         "THL and >20 (around 25) and between 10–20 µg/mL for MmPPOX, respectively.",
         ["Results / Effect of MmPPOX on mycobacterial growth"]),
    ]),
}  # fmt: skip


@pytest.fixture
def read(shared_data: Path) -> dict[str, Article]:
    folder = shared_data / "wings" / "jats-articles"
    if not folder.is_dir():
        pytest.skip("the articles of PubMed Central are not here")
    return {own.stem: read_article(own.read_bytes()) for own in folder.glob("*.nxml")}


def test_rows_of_five_articles_are_those_of_their_xml(read: dict[str, Article]) -> None:
    assert sorted(read) == sorted(KNOWN)
    for name, (pmc, doi, licence, figures) in KNOWN.items():
        own = read[name]
        assert (own.pmc, own.doi, own.licence.name) == (pmc, doi, licence)
        assert len(own.figures) == len(figures)
        for found, (key, label, graphic, begins, ends, sections) in zip(own.figures, figures, strict=True):
            assert (found.id, found.label, found.graphics) == (key, label, (graphic,))
            assert found.caption.startswith(begins) and found.caption.endswith(ends)
            assert found.licence == own.licence
            assert [mention.section for mention in found.mentions] == sections


def test_a_caption_and_the_sentences_about_its_figure_whole(read: dict[str, Article]) -> None:
    (only,) = read["pntd.0002065"].figures
    assert only.title == "Location of the study areas."
    assert only.caption == (
        "Location of the study areas. Figure 1 shows the map of the Zambézia Province, Mozambique indicating the "
        "location of the study areas. In 2007, the collection points for the baseline study were in 5 districts namely "
        "Maganja da Costa, Mocuba, Mopeia, Morrumbala and Nicoadala (black rectangle). In 2010, the study was carried "
        "out in different locations of the Mopeia (red circle) and in Nicoadala districts. Three perennial rivers that "
        "drain the Mopeia district namely Zambeze, Cuacua and Chire Rivers are highlighted in blue."
    )
    assert only.mentions[0].sentences == (
        "In September 2010 samples were collected only in Mopeia and Nicoadala districts (Fig. 1).",
    )
    second = read["1471-2180-11-174"].figures[1].mentions[0].sentences
    assert len(second) == 2 and second[0].endswith("Escherichia coli l lysogens (Figure 2A).")
    assert second[1].endswith("phage (Table 1; Figure 2B).")


BODY = f"""
<sec><title>Results</title>
  <p id="p1">See Figs. <xref ref-type="fig" rid="a">1</xref>&#x2013;<xref ref-type="fig" rid="c">3</xref>. Not here.</p>
  <p>Before <list><list-item><p>An item on <xref ref-type="fig" rid="b">Fig. 2</xref></p></list-item></list> after,
     <xref ref-type="fig" rid="a">one</xref> and <xref ref-type="fig" rid="c">three</xref>, as Smith et al. show.</p>
  <p>A table, <xref ref-type="table" rid="t">1</xref>, and a figure that is nowhere,
     <xref ref-type="fig" rid="z">9</xref>.</p>
  {figure("a", "Of <bold>a</bold>: see <xref ref-type='fig' rid='b'>2</xref>", "a.tif")}
  <fig-group><caption><p>Both.</p></caption>
    <fig id="b"><caption><title>Left</title><p>x<sub>1</sub></p></caption>
      <alternatives><graphic xlink:href="b1"/><graphic xlink:href="b2"/></alternatives></fig>
    <fig id="c"><graphic xlink:href="c1"/><graphic xlink:href="c2"/>
      <permissions><license license-type="x"><license-p>All rights reserved.</license-p></license></permissions></fig>
  </fig-group></sec>"""


def test_groups_parts_ranges_and_licences_of_a_figure() -> None:
    found = read_article(article(BODY, floats=figure("d", "Late.")))
    a, b, c, d = found.figures
    assert found.title == "A made article"
    assert [own.caption for own in (a, b, c, d)] == ["Of a: see 2", "Both. Left x1", "Both.", "Late."]
    assert [own.graphics for own in (a, b, c, d)] == [("a.tif",), ("b1",), ("c1", "c2"), ("d",)]
    assert [own.licence.name for own in (a, b, c, d)] == ["CC-BY-4.0", "CC-BY-4.0", "not recognised", "CC-BY-4.0"]
    assert [[m.paragraph[:4] for m in own.mentions] for own in (a, b, c, d)] == [
        ["See ", "Befo"], ["See ", "An i"], ["See ", "Befo"], []
    ]  # fmt: skip
    assert a.mentions[0].sentences == ("See Figs. 1–3.",)
    assert a.mentions[1].paragraph == "Before after, one and three, as Smith et al. show."


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ('<license xlink:href="https://creativecommons.org/licenses/by-nc-nd/4.0/"/>', "CC-BY-NC-ND-4.0"),
        ('<license><license-p>CC BY-SA 3.0</license-p></license>', "CC-BY-SA-3.0"),
        ("<license><p>Creative Commons Attribution Non-Commercial License 2.5</p></license>", "CC-BY-NC"),
        ("<license><p>Creative Commons Attribution License, for non-commercial use</p></license>", "CC-BY-NC"),
        ('<license><p>by <ext-link xlink:href="http://creativecommons.org/licenses/by/4.0/"/>; the data: '
         '<ext-link xlink:href="http://creativecommons.org/publicdomain/zero/1.0/"/></p></license>', "CC-BY-4.0"),
        ('<license><p xmlns:ali="a"><ali:license_ref>https://creativecommons.org/publicdomain/zero/1.0/'
         "</ali:license_ref></p></license>", "CC0-1.0"),
        ("<license><p>Not in the public domain.</p></license>", "not recognised"),
        ("<copyright-statement>2020 The Authors</copyright-statement>", "none stated"),
    ],
)  # fmt: skip
def test_licences_by_link_and_by_words(words: str, name: str) -> None:
    assert read_article(article("", licence=words)).licence.name == name


def test_a_family_allows_its_versions_and_a_version_itself_alone() -> None:
    licence = read_article(article("", licence=BY)).licence
    assert allows("cc-by", licence) and allows("CC-BY-4.0", licence)
    assert not allows("CC-BY-2.0", licence) and not allows("CC-BY-NC", licence) and not allows("CC", licence)
    assert licence_of(None).name == "none stated"


def test_a_sentence_ends_where_a_reader_would_end_it() -> None:
    text = "Seen in Fig. 2 by J. Smith et al. before. It rose (p = 0.5). 12 of 20 did! \u201cWhy?\u201d No end"
    for part in ("Seen in", "It rose", "12 of", "No end"):
        found = sentence_at(text, text.index(part) + 2)
        assert found.startswith(part) and len(found) < 45
    assert sentence_at(text, 0) == "Seen in Fig. 2 by J. Smith et al. before."


BROKEN = {
    "cut": (article(BODY)[:-200], "damaged or cut off"),
    "no article": (b"<book/>", "no article in JATS"),
    "empty": (b"", "damaged or cut off"),
    "entity": (article("&x;", doctype='<!DOCTYPE article [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "entities"),
    "entity of nowhere": (article("&nbsp;", doctype='<!DOCTYPE article SYSTEM "a.dtd">'), "entities"),
    "deep": (article("<sec>" * 300 + "</sec>" * 300), "nested too deeply"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_and_hostile_xml_is_refused(name: str) -> None:
    data, words = BROKEN[name]
    with pytest.raises(ReadError, match=words):
        read_article(data)
