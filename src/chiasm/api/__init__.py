"""Public functions of chiasm, one file per subject; each is imported at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chiasm.api.benching import bench, bench_compare, bench_score, list_suites
    from chiasm.api.certainty import (
        Conformal,
        at_prevalence,
        conformal,
        few_told,
        unseen_noted,
        unseen_told,
        without_unseen,
    )
    from chiasm.api.checking import check_cohort, source_problems
    from chiasm.api.collecting import Advice, collect
    from chiasm.api.embedding import Embedded, embed
    from chiasm.api.encoding import encode, encode_for, prepare
    from chiasm.api.estimators import ChiasmClassifier, ChiasmRegressor, ChiasmSurvival
    from chiasm.api.explaining import (
        ColumnExplanation,
        Explanation,
        TokenExplanation,
        explain,
        explain_columns,
        explain_tokens,
    )
    from chiasm.api.exporting import Exported, export_onnx
    from chiasm.api.extending import LEAK, ExtendedModel, extend
    from chiasm.api.external import validate
    from chiasm.api.hub import Pulled, Pushed, pull, push
    from chiasm.api.identifiers import screen_identifiers
    from chiasm.api.inspecting import Inspection, inspect_model
    from chiasm.api.interacting import Interaction, interaction, require_states
    from chiasm.api.merging import merge
    from chiasm.api.models import fit, load_model, write_predictions
    from chiasm.api.monitoring import Monitored, monitor
    from chiasm.api.reporting import write_card, write_guidelines, write_methods, write_supplement
    from chiasm.api.retrieval import score_similar, similar, similar_in_training
    from chiasm.api.scikit import from_sklearn
    from chiasm.api.sealing import open_seal, seal
    from chiasm.api.sensitivity import DELTAS, not_at_random
    from chiasm.api.serving import serve, serving_app, verify_audit
    from chiasm.api.several import evaluate_cohorts, folder_of
    from chiasm.api.signing import KeyPair, is_locked, is_signed, new_keys, sign_model
    from chiasm.api.sources import opened_sources, with_sources
    from chiasm.api.stressing import STRESSED, Stress, stress
    from chiasm.api.tracking import Tracked, autolog, mlflow_flavour, track
    from chiasm.api.trials import evaluate, load_trial
    from chiasm.api.tuning import Paused, drawn_from, searched, tune, tuned, tuning_of, with_budget
    from chiasm.api.updating import Updated, undo, update
    from chiasm.artifact import ArtifactError
    from chiasm.artifact import identity as identity
    from chiasm.cohort import Cohort, CohortError, LeakageError, Problem, Unsupported, open_cohort
    from chiasm.cohort.demo import demo_cohort
    from chiasm.cohort.seal import read_seal
    from chiasm.doctor import diagnose, require_device
    from chiasm.encoders import list_encoders
    from chiasm.encoding.checking import examine
    from chiasm.encoding.encode import Encoded
    from chiasm.encoding.findings import stopping
    from chiasm.encoding.preparing import PreparedCohort
    from chiasm.encoding.prune import Pruned, open_store, prune_store
    from chiasm.errors import FindingWarning as FindingWarning
    from chiasm.errors import hush_findings
    from chiasm.evaluation import Protocol, Trial, TrialError, Trials
    from chiasm.evaluation.embeddings.pairs import mine_confusing_pairs
    from chiasm.evaluation.opening import told_openings
    from chiasm.evaluation.prices import require_worth
    from chiasm.evaluation.stress.faults import require_faults
    from chiasm.evaluation.validation import Validation
    from chiasm.federated.public import federation_client, federation_server, invite, new_federation
    from chiasm.fitting.similar_groups import require_group_size
    from chiasm.identifiers.findings import SCREEN_SENTENCE, IdentifierScreen, sampled
    from chiasm.mlflow_flavour import log_model
    from chiasm.models.merged import Merged
    from chiasm.recipes.listing import list_recipes
    from chiasm.recipes.registry import names_in_trial, recipe_class
    from chiasm.report.drawing import require_format
    from chiasm.report.written import require_html
    from chiasm.serving.settings import Limits, Policy
    from chiasm.sharing.tracking_place import TrackingError, tracking_place
    from chiasm.specs import split_specs
    from chiasm.store import TokenStore

_PLACES = {
    "Updated": "chiasm.api.updating",
    "bench": "chiasm.api.benching",
    "bench_compare": "chiasm.api.benching",
    "bench_score": "chiasm.api.benching",
    "list_suites": "chiasm.api.benching",
    "extend": "chiasm.api.extending",
    "monitor": "chiasm.api.monitoring",
    "Monitored": "chiasm.api.monitoring",
    "ExtendedModel": "chiasm.api.extending",
    "LEAK": "chiasm.api.extending",
    "undo": "chiasm.api.updating",
    "update": "chiasm.api.updating",
    "identity": "chiasm.artifact",
    "Advice": "chiasm.api.collecting",
    "without_unseen": "chiasm.api.certainty",
    "unseen_noted": "chiasm.api.certainty",
    "unseen_told": "chiasm.api.certainty",
    "few_told": "chiasm.api.certainty",
    "conformal": "chiasm.api.certainty",
    "at_prevalence": "chiasm.api.certainty",
    "Conformal": "chiasm.api.certainty",
    "ArtifactError": "chiasm.artifact",
    "ChiasmClassifier": "chiasm.api.estimators",
    "ChiasmRegressor": "chiasm.api.estimators",
    "ChiasmSurvival": "chiasm.api.estimators",
    "Cohort": "chiasm.cohort",
    "CohortError": "chiasm.cohort",
    "ColumnExplanation": "chiasm.api.explaining",
    "Encoded": "chiasm.encoding.encode",
    "Explanation": "chiasm.api.explaining",
    "Exported": "chiasm.api.exporting",
    "FindingWarning": "chiasm.errors",
    "Interaction": "chiasm.api.interacting",
    "interaction": "chiasm.api.interacting",
    "require_states": "chiasm.api.interacting",
    "LeakageError": "chiasm.cohort",
    "Inspection": "chiasm.api.inspecting",
    "KeyPair": "chiasm.api.signing",
    "IdentifierScreen": "chiasm.identifiers.findings",
    "SCREEN_SENTENCE": "chiasm.identifiers.findings",
    "sampled": "chiasm.identifiers.findings",
    "Merged": "chiasm.models.merged",
    "Paused": "chiasm.api.tuning",
    "PreparedCohort": "chiasm.encoding.preparing",
    "Problem": "chiasm.cohort",
    "Protocol": "chiasm.evaluation",
    "Pruned": "chiasm.encoding.prune",
    "TokenExplanation": "chiasm.api.explaining",
    "TokenStore": "chiasm.store",
    "Trial": "chiasm.evaluation",
    "TrialError": "chiasm.evaluation",
    "Trials": "chiasm.evaluation",
    "Unsupported": "chiasm.cohort",
    "check_cohort": "chiasm.api.checking",
    "collect": "chiasm.api.collecting",
    "demo_cohort": "chiasm.cohort.demo",
    "diagnose": "chiasm.doctor",
    "drawn_from": "chiasm.api.tuning",
    "Embedded": "chiasm.api.embedding",
    "embed": "chiasm.api.embedding",
    "mine_confusing_pairs": "chiasm.evaluation.embeddings.pairs",
    "encode": "chiasm.api.encoding",
    "encode_for": "chiasm.api.encoding",
    "evaluate": "chiasm.api.trials",
    "evaluate_cohorts": "chiasm.api.several",
    "folder_of": "chiasm.api.several",
    "examine": "chiasm.encoding.checking",
    "explain": "chiasm.api.explaining",
    "explain_columns": "chiasm.api.explaining",
    "explain_tokens": "chiasm.api.explaining",
    "export_onnx": "chiasm.api.exporting",
    "federation_client": "chiasm.federated.public",
    "federation_server": "chiasm.federated.public",
    "fit": "chiasm.api.models",
    "from_sklearn": "chiasm.api.scikit",
    "hush_findings": "chiasm.errors",
    "inspect_model": "chiasm.api.inspecting",
    "invite": "chiasm.federated.public",
    "is_locked": "chiasm.api.signing",
    "is_signed": "chiasm.api.signing",
    "list_encoders": "chiasm.encoders",
    "list_recipes": "chiasm.recipes.listing",
    "load_model": "chiasm.api.models",
    "validate": "chiasm.api.external",
    "source_problems": "chiasm.api.checking",
    "opened_sources": "chiasm.api.sources",
    "with_sources": "chiasm.api.sources",
    "Validation": "chiasm.evaluation.validation",
    "write_card": "chiasm.api.reporting",
    "write_guidelines": "chiasm.api.reporting",
    "write_methods": "chiasm.api.reporting",
    "write_predictions": "chiasm.api.models",
    "write_supplement": "chiasm.api.reporting",
    "load_trial": "chiasm.api.trials",
    "merge": "chiasm.api.merging",
    "names_in_trial": "chiasm.recipes.registry",
    "new_keys": "chiasm.api.signing",
    "sign_model": "chiasm.api.signing",
    "new_federation": "chiasm.federated.public",
    "open_cohort": "chiasm.cohort",
    "open_seal": "chiasm.api.sealing",
    "open_store": "chiasm.encoding.prune",
    "DELTAS": "chiasm.api.sensitivity",
    "not_at_random": "chiasm.api.sensitivity",
    "prepare": "chiasm.api.encoding",
    "prune_store": "chiasm.encoding.prune",
    "read_seal": "chiasm.cohort.seal",
    "recipe_class": "chiasm.recipes.registry",
    "require_device": "chiasm.doctor",
    "require_faults": "chiasm.evaluation.stress.faults",
    "require_format": "chiasm.report.drawing",
    "require_html": "chiasm.report.written",
    "require_group_size": "chiasm.fitting.similar_groups",
    "require_worth": "chiasm.evaluation.prices",
    "score_similar": "chiasm.api.retrieval",
    "screen_identifiers": "chiasm.api.identifiers",
    "seal": "chiasm.api.sealing",
    "searched": "chiasm.api.tuning",
    "serve": "chiasm.api.serving",
    "serving_app": "chiasm.api.serving",
    "verify_audit": "chiasm.api.serving",
    "Limits": "chiasm.serving.settings",
    "Policy": "chiasm.serving.settings",
    "similar": "chiasm.api.retrieval",
    "similar_in_training": "chiasm.api.retrieval",
    "split_specs": "chiasm.specs",
    "Stress": "chiasm.api.stressing",
    "STRESSED": "chiasm.api.stressing",
    "stress": "chiasm.api.stressing",
    "stopping": "chiasm.encoding.findings",
    "told_openings": "chiasm.evaluation.opening",
    "tune": "chiasm.api.tuning",
    "tuned": "chiasm.api.tuning",
    "tuning_of": "chiasm.api.tuning",
    "with_budget": "chiasm.api.tuning",
    "autolog": "chiasm.api.tracking",
    "Pulled": "chiasm.api.hub",
    "Pushed": "chiasm.api.hub",
    "mlflow_flavour": "chiasm.api.tracking",
    "log_model": "chiasm.mlflow_flavour",
    "pull": "chiasm.api.hub",
    "push": "chiasm.api.hub",
    "track": "chiasm.api.tracking",
    "Tracked": "chiasm.api.tracking",
    "tracking_place": "chiasm.sharing.tracking_place",
    "TrackingError": "chiasm.sharing.tracking_place",
}

__all__ = [
    "DELTAS",
    "LEAK",
    "SCREEN_SENTENCE",
    "STRESSED",
    "Advice",
    "ArtifactError",
    "ChiasmClassifier",
    "ChiasmRegressor",
    "ChiasmSurvival",
    "Cohort",
    "CohortError",
    "ColumnExplanation",
    "Conformal",
    "Embedded",
    "Encoded",
    "Explanation",
    "Exported",
    "ExtendedModel",
    "IdentifierScreen",
    "Inspection",
    "Interaction",
    "KeyPair",
    "LeakageError",
    "Limits",
    "Merged",
    "Monitored",
    "Paused",
    "Policy",
    "PreparedCohort",
    "Problem",
    "Protocol",
    "Pruned",
    "Pulled",
    "Pushed",
    "Stress",
    "TokenExplanation",
    "TokenStore",
    "Tracked",
    "TrackingError",
    "Trial",
    "TrialError",
    "Trials",
    "Unsupported",
    "Updated",
    "Validation",
    "at_prevalence",
    "autolog",
    "bench",
    "bench_compare",
    "bench_score",
    "check_cohort",
    "collect",
    "conformal",
    "demo_cohort",
    "diagnose",
    "drawn_from",
    "embed",
    "encode",
    "encode_for",
    "evaluate",
    "evaluate_cohorts",
    "examine",
    "explain",
    "explain_columns",
    "explain_tokens",
    "export_onnx",
    "extend",
    "federation_client",
    "federation_server",
    "few_told",
    "fit",
    "folder_of",
    "from_sklearn",
    "hush_findings",
    "identity",
    "inspect_model",
    "interaction",
    "invite",
    "is_locked",
    "is_signed",
    "list_encoders",
    "list_recipes",
    "list_suites",
    "load_model",
    "load_trial",
    "log_model",
    "merge",
    "mine_confusing_pairs",
    "mlflow_flavour",
    "monitor",
    "names_in_trial",
    "new_federation",
    "new_keys",
    "not_at_random",
    "open_cohort",
    "open_seal",
    "open_store",
    "opened_sources",
    "prepare",
    "prune_store",
    "pull",
    "push",
    "read_seal",
    "recipe_class",
    "require_device",
    "require_faults",
    "require_format",
    "require_group_size",
    "require_html",
    "require_states",
    "require_worth",
    "sampled",
    "score_similar",
    "screen_identifiers",
    "seal",
    "searched",
    "serve",
    "serving_app",
    "sign_model",
    "similar",
    "similar_in_training",
    "source_problems",
    "split_specs",
    "stopping",
    "stress",
    "told_openings",
    "track",
    "tracking_place",
    "tune",
    "tuned",
    "tuning_of",
    "undo",
    "unseen_noted",
    "unseen_told",
    "update",
    "validate",
    "verify_audit",
    "with_budget",
    "with_sources",
    "without_unseen",
    "write_card",
    "write_guidelines",
    "write_methods",
    "write_predictions",
    "write_supplement",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"chiasm.api has no '{name}'")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
