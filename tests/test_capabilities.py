"""What a part can do is declared, by a protocol or a base class, and not probed by the name of an attribute."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import chiasm
from chiasm.cohort.synthetic import synthetic_cohort
from chiasm.fitting.sides import forms_of, reads_of, reads_presence, settings_of
from chiasm.protocols import Recipe, reads_inputs

PACKAGE = Path(chiasm.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Objects of other libraries, which declare nothing to us: file to the names that are probed there, and whose they are.
FOREIGN = {
    "adapters/attention_lora.py": {"groups"},  # torch
    "adapters/bottleneck.py": {"stride"},  # torch
    "adapters/peft_families.py": {"config", "groups"},  # transformers, torch
    "adapters/pego.py": {"lora_A"},  # peft
    "adapters/sites.py": {"groups", "weight"},  # torch
    "artifact/whole.py": {"renameat2"},  # libc
    "artifact/json_schema.py": {"_is_protocol"},  # typing
    "artifact/trees.py": {"__annotations__", "_is_protocol", "detach"},  # typing; torch, which is not imported here
    "cohort/annotated_block.py": {"isbacked", "mod", "obs", "toarray", "var"},  # anndata, mudata, scipy
    "cohort/annotated_file.py": {"get", "keys", "shape"},  # h5py
    "api/scikit.py": {"__dict__", "__qualname__", "get_params", "steps"},  # scikit-learn
    "recipes/baselines/pipeline.py": {"predict_proba"},  # scikit-learn
    "recipes/baselines/pipeline_model.py": {  # scikit-learn, scikit-survival
        "_predict_risk_score", "best_estimator_", "classes_", "get_params", "predict_survival_function", "steps",
        "threshold", "value",
    },
    "encoders/image/timm.py": {"num_prefix_tokens"},  # timm
    "encoders/text/hub.py": {"decoder", "encoder", "mask_ratio"},  # transformers
    "encoders/text/huggingface.py": {  # transformers
        "hidden_size", "hidden_sizes", "max_position_embeddings", "num_channels", "patch_size", "text_config",
        "vision_config",
    },
    "encoders/text/sentences.py": {"pad_token_id"},  # transformers
    "encoders/text/transformer_trunks.py": {"pad_token_id"},  # transformers
    "shown.py": {"shape", "dtype"},  # NumPy and torch
    "artifact/register.py": {"__wrapped__"},  # dataclasses
    "readers/image/image.py": {"n_frames"},  # PIL
    "readers/record/events.py": {"tz"},  # pandas
    "artifact/opening.py": {"O_NOFOLLOW"},  # of some systems alone
    "identifiers/headers/container.py": {"dtype", "extensions"},  # h5py, nibabel
    "identifiers/headers/picture.py": {"tags"},  # tifffile
    "room.py": {"MADV_DONTNEED", "posix_fallocate"},  # of some systems alone
    "readers/record/fhir_files.py": {"errors"},  # pydantic
    "serving/audit.py": {"O_NOFOLLOW"},  # of some systems alone
    "serving/server.py": {"TCP_USER_TIMEOUT"},  # of some systems alone
    "encoders/text/causal.py": {"text_config"},  # transformers
    "encoders/text/likelihoods.py": {"layers"},  # transformers
    "bench/candidates/callables.py": {"ndim"},  # NumPy
    "language/fingerprint.py": {"__array__", "__dict__", "__file__", "__qualname__", "__wrapped__", "detach"},  # any
}  # fmt: skip

LEAST = SimpleNamespace(
    name="least", family="mine", paper=None, supports=lambda cohort: None, fit=lambda cohort, **given: None
)


def probes(code: str) -> Iterator[str]:
    """The names that `getattr(x, "name", default)` and `hasattr(x, "name")` ask for."""
    for node in ast.walk(ast.parse(code)) if "attr(" in code else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            asks = node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
            if asks and isinstance(node.args[1], ast.Constant):
                yield str(node.args[1].value)


def test_a_capability_of_ours_is_declared() -> None:
    found = {file.relative_to(PACKAGE).as_posix(): set(probes(file.read_text(encoding="utf-8"))) for file in FILES}
    ours = {place: names - FOREIGN.get(place, set()) for place, names in found.items()}
    gone = {place: names - found.get(place, set()) for place, names in FOREIGN.items()}
    ours, gone = ({place: names for place, names in own.items() if names} for own in (ours, gone))
    assert ours == {}, "declare it: a protocol of protocols.py, or an attribute with a default on the base class"
    assert gone == {}, "nothing probes it any more: take it off the list"


def test_the_list_names_files_that_are_there() -> None:
    assert set(FOREIGN) <= {str(file.relative_to(PACKAGE)) for file in FILES}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('getattr(recipe, "settings", 1)', ["settings"]),
        ('if hasattr(recipe, "alone"):\n    pass', ["alone"]),
        ('class A:\n    def f(self):\n        return bool(getattr(self.inner, "known", False))', ["known"]),
        ("getattr(recipe, field.name)", []),
        ("getattr(torch, name, None)", []),
    ],
)
def test_a_probe_is_found(code: str, names: list[str]) -> None:
    assert Counter(probes(code)) == Counter(names)


def test_the_required_members_of_a_recipe_are_enough() -> None:
    cohort = synthetic_cohort("complementary", 40, seed=0)
    assert isinstance(LEAST, Recipe)
    assert reads_of(LEAST, cohort) == cohort.modalities
    assert forms_of(LEAST, cohort) == tuple(f"least:modality={name}" for name in cohort.modalities)
    assert (reads_presence(LEAST), settings_of(LEAST), reads_inputs(LEAST)) == (True, 1, False)


def test_what_a_recipe_declares_beyond_them_is_taken() -> None:
    cohort = synthetic_cohort("complementary", 40, seed=0)
    first = cohort.modalities[0]
    more = SimpleNamespace(**vars(LEAST), modalities=lambda own: own.modalities[:1], settings=7, reads_presence=False)
    assert (reads_of(more, cohort), settings_of(more), reads_presence(more)) == ((first,), 7, False)
    aside = SimpleNamespace(**vars(more), reads=(), reads_inputs=True, alone=lambda own: ["another"])
    assert (reads_of(aside, cohort), reads_inputs(aside)) == ((), True)
    two = SimpleNamespace(**vars(LEAST), alone=lambda own: ["another"])
    assert forms_of(two, cohort) == ("another",)
