"""chiasm: multimodal models for cohorts with missing modalities, and an honest verdict on whether combining pays."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_PUBLIC = {
    "ArtifactError": "chiasm.artifact",
    "ChiasmClassifier": "chiasm.api",
    "ChiasmRegressor": "chiasm.api",
    "ChiasmSurvival": "chiasm.api",
    "Citation": "chiasm.citation",
    "Choice": "chiasm.targets",
    "Classification": "chiasm.targets",
    "CompetingRisks": "chiasm.targets",
    "Cohort": "chiasm.cohort",
    "CohortError": "chiasm.cohort",
    "FindingWarning": "chiasm.errors",
    "Boxes": "chiasm.targets",
    "FreeText": "chiasm.targets",
    "LeakageError": "chiasm.cohort",
    "Mask": "chiasm.targets",
    "Multilabel": "chiasm.targets",
    "Problem": "chiasm.cohort",
    "PromptVocabulary": "chiasm.encoders.sequence.prompt_vocabulary",
    "Protocol": "chiasm.evaluation",
    "Regression": "chiasm.targets",
    "Responses": "chiasm.targets",
    "Survival": "chiasm.targets",
    "Talk": "chiasm.api",
    "Tokens": "chiasm.tokens",
    "Trial": "chiasm.evaluation",
    "TrialError": "chiasm.evaluation",
    "Trials": "chiasm.evaluation",
    "Unsupported": "chiasm.cohort",
    "Validation": "chiasm.evaluation.validation",
    "Verdict": "chiasm.evaluation",
    "articles": "chiasm.api.article_pairs",
    "answers_by_rank": "chiasm.cohort.taxonomy",
    "ask": "chiasm.api",
    "at_prevalence": "chiasm.api",
    "bench": "chiasm.api",
    "bench_compare": "chiasm.api",
    "bench_forgetting": "chiasm.api.bench_reports",
    "bench_score": "chiasm.api",
    "bench_skills": "chiasm.api.bench_reports",
    "bench_table": "chiasm.api.bench_reports",
    "check_cohort": "chiasm.api",
    "catalogue": "chiasm.api",
    "caption_instructions": "chiasm.language.question_sets.instructions",
    "cka": "chiasm.metrics.similarity",
    "cohort_from_frames": "chiasm.cohort",
    "cohort_from_mudata": "chiasm.cohort",
    "collect": "chiasm.api",
    "compare_dissimilarities": "chiasm.metrics.similarity",
    "confusing_pairs": "chiasm.api.confusing",
    "compositional_split": "chiasm.cohort.compositional",
    "conformal": "chiasm.api",
    "conversation_score": "chiasm.api.conversing",
    "control": "chiasm.api.controlling",
    "crops": "chiasm.api.cropping",
    "outline": "chiasm.api.outlining",
    "plan": "chiasm.api.planning",
    "regrid": "chiasm.api.regridding",
    "segment": "chiasm.api.segmenting",
    "dissimilarity_ceiling": "chiasm.metrics.similarity",
    "dissimilarity_matrix": "chiasm.metrics.similarity",
    "edit": "chiasm.api.editing",
    "embed": "chiasm.api",
    "encode": "chiasm.api",
    "enhance": "chiasm.api.enhancing",
    "enhance_frames": "chiasm.api.enhancing_frames",
    "evaluate": "chiasm.api",
    "evaluate_cohorts": "chiasm.api",
    "explain": "chiasm.api",
    "explain_columns": "chiasm.api",
    "explain_tokens": "chiasm.api",
    "export_onnx": "chiasm.api",
    "extend": "chiasm.api",
    "fit": "chiasm.api",
    "fit_editor": "chiasm.api.editing",
    "from_sklearn": "chiasm.api",
    "full_report": "chiasm.api",
    "generate": "chiasm.api.generating",
    "identity_groups": "chiasm.cohort.identity",
    "identity_split": "chiasm.cohort.identity_split",
    "inspect_model": "chiasm.api",
    "interaction": "chiasm.api",
    "label_records": "chiasm.api.labelling",
    "list_encoders": "chiasm.api",
    "list_recipes": "chiasm.api",
    "list_suites": "chiasm.api",
    "load_controller": "chiasm.api.controlling",
    "load_model": "chiasm.api",
    "load_trial": "chiasm.api",
    "merge": "chiasm.api",
    "mine_confusing_pairs": "chiasm.api",
    "monitor": "chiasm.api",
    "new_keys": "chiasm.api",
    "noise_ceiling": "chiasm.metrics.noise_ceiling",
    "not_at_random": "chiasm.api",
    "open_cohort": "chiasm.cohort",
    "open_seal": "chiasm.api",
    "operating_point": "chiasm.metrics.operating",
    "operating_points": "chiasm.metrics.operating",
    "patients_right": "chiasm.evaluation.patient_by_patient",
    "parse_prompt": "chiasm.encoders.sequence.prompts",
    "prefer": "chiasm.api.preferring",
    "prefer_answers": "chiasm.api",
    "pretrain": "chiasm.api",
    "render_prompt": "chiasm.encoders.sequence.prompts",
    "screen_identifiers": "chiasm.api",
    "seal": "chiasm.api",
    "segbook_claims": "chiasm.api.bench_reports",
    "serve": "chiasm.api",
    "serving_app": "chiasm.api",
    "sign_model": "chiasm.api",
    "similar": "chiasm.api",
    "similar_in_training": "chiasm.api",
    "split_by_combination": "chiasm.api.splitting",
    "split_by_identity": "chiasm.api.splitting",
    "states": "chiasm.api",
    "stress": "chiasm.api",
    "synthetic_cohort": "chiasm.cohort",
    "taxonomy_caption": "chiasm.cohort.taxonomy",
    "text_baselines": "chiasm.api.text_answers",
    "text_scores": "chiasm.api.text_answers",
    "tune": "chiasm.api",
    "tuned": "chiasm.api",
    "undo": "chiasm.api",
    "update": "chiasm.api",
    "validate": "chiasm.api",
    "verify_audit": "chiasm.api",
    "write_card": "chiasm.api",
    "write_guidelines": "chiasm.api",
    "write_methods": "chiasm.api",
    "write_supplement": "chiasm.api",
    "autolog": "chiasm.api",
    "mlflow_flavour": "chiasm.api",
    "prompted": "chiasm.api.prompting",
    "piper_voice": "chiasm.language.conversation.speech",
    "pull": "chiasm.api",
    "push": "chiasm.api",
    "questions": "chiasm.api",
    "synthetic_patient": "chiasm.api.conversing",
    "table_instructions": "chiasm.language.question_sets.instructions",
    "talk_aloud": "chiasm.api.conversing",
    "track": "chiasm.api",
    "whisper_listener": "chiasm.language.conversation.speech",
    "word_errors": "chiasm.language.conversation.speech",
    "written_instructions": "chiasm.language.question_sets.instructions",
}

__all__ = ["__version__", *sorted(_PUBLIC)]

if TYPE_CHECKING:
    from chiasm.api import (
        ChiasmClassifier,
        ChiasmRegressor,
        ChiasmSurvival,
        Talk,
        ask,
        at_prevalence,
        autolog,
        bench,
        bench_compare,
        bench_score,
        catalogue,
        check_cohort,
        collect,
        conformal,
        embed,
        encode,
        evaluate,
        evaluate_cohorts,
        explain,
        explain_columns,
        explain_tokens,
        export_onnx,
        extend,
        fit,
        from_sklearn,
        full_report,
        inspect_model,
        list_encoders,
        list_recipes,
        list_suites,
        load_model,
        load_trial,
        merge,
        mine_confusing_pairs,
        mlflow_flavour,
        monitor,
        new_keys,
        not_at_random,
        open_seal,
        pretrain,
        pull,
        push,
        questions,
        screen_identifiers,
        seal,
        serve,
        serving_app,
        sign_model,
        similar,
        similar_in_training,
        states,
        stress,
        track,
        tune,
        tuned,
        undo,
        update,
        validate,
        verify_audit,
        write_card,
        write_guidelines,
        write_methods,
        write_supplement,
    )
    from chiasm.api.article_pairs import articles
    from chiasm.api.bench_reports import bench_forgetting, bench_skills, bench_table, segbook_claims
    from chiasm.api.confusing import confusing_pairs
    from chiasm.api.controlling import control, load_controller
    from chiasm.api.conversing import conversation_score, synthetic_patient, talk_aloud
    from chiasm.api.cropping import crops
    from chiasm.api.editing import edit, fit_editor
    from chiasm.api.enhancing import enhance
    from chiasm.api.enhancing_frames import enhance_frames
    from chiasm.api.generating import generate
    from chiasm.api.labelling import label_records
    from chiasm.api.outlining import outline
    from chiasm.api.planning import plan
    from chiasm.api.preferring import prefer
    from chiasm.api.prompting import prompted
    from chiasm.api.regridding import regrid
    from chiasm.api.segmenting import segment
    from chiasm.api.splitting import split_by_combination, split_by_identity
    from chiasm.api.text_answers import text_baselines, text_scores
    from chiasm.artifact import ArtifactError
    from chiasm.citation import Citation
    from chiasm.cohort import (
        Choice,
        Classification,
        Cohort,
        CohortError,
        CompetingRisks,
        LeakageError,
        Multilabel,
        Problem,
        Regression,
        Survival,
        Unsupported,
        cohort_from_frames,
        cohort_from_mudata,
        open_cohort,
        synthetic_cohort,
    )
    from chiasm.cohort.compositional import compositional_split
    from chiasm.cohort.identity import identity_groups
    from chiasm.cohort.identity_split import identity_split
    from chiasm.cohort.taxonomy import answers_by_rank, taxonomy_caption
    from chiasm.encoders.sequence.prompt_vocabulary import PromptVocabulary
    from chiasm.encoders.sequence.prompts import parse_prompt, render_prompt
    from chiasm.errors import FindingWarning
    from chiasm.evaluation import Protocol, Trial, TrialError, Trials, Verdict
    from chiasm.evaluation.patient_by_patient import patients_right
    from chiasm.evaluation.validation import Validation
    from chiasm.language.conversation.speech import piper_voice, whisper_listener, word_errors
    from chiasm.language.question_sets.instructions import (
        caption_instructions,
        table_instructions,
        written_instructions,
    )
    from chiasm.metrics.noise_ceiling import noise_ceiling
    from chiasm.metrics.operating import operating_point, operating_points
    from chiasm.metrics.similarity import (
        cka,
        compare_dissimilarities,
        dissimilarity_ceiling,
        dissimilarity_matrix,
    )
    from chiasm.targets import Boxes, FreeText, Mask, Responses
    from chiasm.tokens import Tokens


def __getattr__(name: str) -> Any:
    """Import a public name at first use, so that torch and other heavy packages load only when needed."""
    if name not in _PUBLIC:
        raise AttributeError(f"chiasm has no '{name}'")
    from importlib import import_module

    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """The package, in which a public function keeps its name where a folder has the same: `bench`."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):  # the import of a folder sets it here
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """In another process it is the package there, as every module is."""
        from importlib import import_module

        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted(__all__)
