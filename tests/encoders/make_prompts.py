"""Write `fixtures/prompts.json`: published prompts of MAMMAL as fuse-med-ml's modular tokenizer reads them.

It runs in an environment of its own with fuse-med-ml, tokenizers and transformers, from the folder of this file:
`python make_prompts.py`. The prompts are those of the examples of biomed-multi-alignment 33ba431, with made sequences;
the tokenizers are made here, since the released ones are no part of the package.
"""

import json
import re
import tempfile
from importlib.metadata import version
from pathlib import Path

from fuse.data.tokenizers.modular_tokenizer.inject_utils import InjectorToModularTokenizerLib
from fuse.data.tokenizers.modular_tokenizer.modular_tokenizer import ModularTokenizer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

HERE = Path(__file__).parent
SMILES = r"\[[^\]]+\]|Br|Cl|%[0-9]{2}|[A-Za-z]|[0-9]|[-=#$:/\\.()+@~*>]"
BRACKETED = r"\[[^\[\]]*\]"
DRUG = "O=S(=O)(O)c1cc(S(=O)(=O)O)c2c(/N=N/c3ccccc3)c(O)ccc2c1CCl"
SPECIAL = [
    "<PAD>", "<UNK>", "<EOS>", "<MASK>", "<SCALAR>", "<EMBEDDINGS>", "<DECODER_START>",
    *[f"<SENTINEL_ID_{k}>" for k in range(10)],
    "<MOLECULAR_ENTITY>", "<MOLECULAR_ENTITY_GENERAL_PROTEIN>", "<MOLECULAR_ENTITY_SMALL_MOLECULE>",
    "<MOLECULAR_ENTITY_TCR_BETA_VDJ>", "<MOLECULAR_ENTITY_EPITOPE>", "<MOLECULAR_ENTITY_CELL_GENE_EXPRESSION_RANKED>",
    "<SEQUENCE_NATURAL_START>", "<SEQUENCE_NATURAL_END>",
    "<BINDING_AFFINITY_CLASS>", "<CARCINOGENICITY>", "<SOLUBILITY>", "<MOLECULAR_WEIGHT_IN_SOME_UNIT>", "<0>", "<1>",
]  # fmt: skip
KNOWN = {
    "AA": list("ACDEFGHIKLMNPQRSTVWYBZXJUO"),
    "SMILES": sorted(set(re.findall(SMILES, DRUG))),
    "GENE": ["[TP53]", "[EGFR]", "[MALAT1]"],
    "CELL_ATTRIBUTES": ["[CD14+ Monocyte]", "[CD19+ B]"],
}
PIECES = {"AA": r"\S", "SMILES": SMILES, "GENE": BRACKETED, "CELL_ATTRIBUTES": BRACKETED}
ENTITY, START, END = "<MOLECULAR_ENTITY>", "<SEQUENCE_NATURAL_START>", "<SEQUENCE_NATURAL_END>"
PROTEIN, MOLECULE = f"{ENTITY}<MOLECULAR_ENTITY_GENERAL_PROTEIN>", f"{ENTITY}<MOLECULAR_ENTITY_SMALL_MOLECULE>"
PROMPTS = [
    f"<@TOKENIZER-TYPE=AA><BINDING_AFFINITY_CLASS><SENTINEL_ID_0>{PROTEIN}{START}MADQLTEEQIAEF{END}{PROTEIN}{START}"
    f"MSSKLLLAGLDIE{END}<EOS>",
    f"<@TOKENIZER-TYPE=SMILES><CARCINOGENICITY><SENTINEL_ID_0>{MOLECULE}<@TOKENIZER-TYPE=SMILES@MAX-LEN=30>{START}{DRUG}"
    f"{END}<EOS>",
    f"<@TOKENIZER-TYPE=SMILES><CARCINOGENICITY><SENTINEL_ID_0>{MOLECULE}<@TOKENIZER-TYPE=SMILES@MAX-LEN=300>{START}{DRUG}"
    f"{END}<EOS>",
    "<@TOKENIZER-TYPE=SMILES><DECODER_START><SENTINEL_ID_0><1><EOS>",
    f"<@TOKENIZER-TYPE=AA><MASK><@TOKENIZER-TYPE=AA@MAX-LEN=12>{PROTEIN}{START}MKTVRQERLKSIVRIL{END}"
    f"<@TOKENIZER-TYPE=SMILES@MAX-LEN=20@TRUNC-MODE=RIGHT>{MOLECULE}{START}{DRUG}{END}<EOS>",
    f"<@TOKENIZER-TYPE=AA>{PROTEIN}<SOLUBILITY><SENTINEL_ID_0><@TOKENIZER-TYPE=AA@MAX-LEN=8>{START}MKTVRQERLKSIVRIL{END}"
    "<EOS>",
    f"<@TOKENIZER-TYPE=AA><BINDING_AFFINITY_CLASS><SENTINEL_ID_0><@TOKENIZER-TYPE=AA>{ENTITY}"
    f"<MOLECULAR_ENTITY_TCR_BETA_VDJ>{START}CASSLG{END}<@TOKENIZER-TYPE=AA>{ENTITY}<MOLECULAR_ENTITY_EPITOPE>{START}"
    f"GILGFVFTL{END}<EOS>",
    f"<@TOKENIZER-TYPE=GENE>{ENTITY}<MOLECULAR_ENTITY_CELL_GENE_EXPRESSION_RANKED>[MALAT1][EGFR][TP53]<EOS>",
    "<@TOKENIZER-TYPE=CELL_ATTRIBUTES><SENTINEL_ID_0>[CD14+ Monocyte]<EOS>",
    "<@TOKENIZER-TYPE=AA><MOLECULAR_WEIGHT_IN_SOME_UNIT><@TOKENIZER-TYPE=SCALARS_LITERALS>0.3,-12.9,7"
    f"<@TOKENIZER-TYPE=AA><MASK><@TOKENIZER-TYPE=AA>{START}ISGGD{END}<EOS>",
    f"<@TOKENIZER-TYPE=AA>{PROTEIN}<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>ESM:protein:3"
    f"<@TOKENIZER-TYPE=SCALARS_FROM_DICT>weights<@TOKENIZER-TYPE=AA@MAX-LEN=6>{START}ISGGDAIYSS{END}<EOS>",
]
LONGEST = [None, 20]


def main() -> None:
    import torch

    with tempfile.TemporaryDirectory() as folder:
        infos = []
        for place, (name, known) in enumerate(KNOWN.items()):
            one = Tokenizer(
                models.WordLevel({"<UNK>": 0, **{t: k + 1 for k, t in enumerate(known)}}, unk_token="<UNK>")
            )
            one.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES[name]), "isolated")
            one.add_special_tokens(SPECIAL)
            path = Path(folder) / f"{name}.json"
            one.save(str(path))
            infos.append({"name": name, "tokenizer_id": place, "json_path": str(path), "modular_json_path": str(path)})
        modular = ModularTokenizer(infos, special_tokens_list=SPECIAL)
        rows = []
        for prompt in PROMPTS:
            for longest in LONGEST:
                given = {"weights": torch.tensor([1.5, 2.5]), "protein": "ISGGD"}
                placeholders, parts = InjectorToModularTokenizerLib.build_placeholder_meta_tokenization(
                    sequence=prompt, sample_dict=given
                )
                whole, cut, each = modular.encode(
                    placeholders, max_len=longest, return_overflow_info=True, also_return_split=True,
                    padding_token=None, padding_token_id=None, on_unknown="raise",
                )  # fmt: skip
                read = {"prompt": prompt, "longest": longest, "ids": whole.ids, "cut": cut}
                rows.append({**read, **scalars(parts, each, whole, given)})
    packages = {name: version(name) for name in ("fuse-med-ml", "tokenizers", "transformers")}
    out = {"versions": packages, "special": SPECIAL, "known": KNOWN, "prompts": rows}
    (HERE / "fixtures" / "prompts.json").write_text(json.dumps(out, indent=1) + "\n")


def scalars(parts: list, each: list, whole: object, given: dict) -> dict:
    found = InjectorToModularTokenizerLib.build_scalars_and_embeddings(
        per_meta_tokenizer_data=parts, per_meta_encoding_including_placeholders=each, token_ids=whole.ids,
        sample_dict=given, crop_report=None,
    )  # fmt: skip
    mask = found["scalars_valid_mask"].tolist()
    values = [value if here else 0.0 for value, here in zip(found["scalars_values"].tolist(), mask, strict=True)]
    slots = [[own.location, name, own.length] for name, all in found["external_embeddings_info"].items() for own in all]
    return {"scalars": values, "is_scalar": mask, "slots": slots}


if __name__ == "__main__":
    main()
