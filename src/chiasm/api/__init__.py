"""Public functions of chiasm, one file per subject; each is imported at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chiasm.api.asking import Answer, ask
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
    from chiasm.api.hidden_states import States, states
    from chiasm.api.hub import Pulled, Pushed, pull, push
    from chiasm.api.identifiers import screen_identifiers
    from chiasm.api.inspecting import Inspection, inspect_model
    from chiasm.api.interacting import Interaction, interaction, require_states
    from chiasm.api.merging import merge
    from chiasm.api.models import fit, load_model, write_predictions
    from chiasm.api.monitoring import Monitored, monitor
    from chiasm.api.preferring_answers import PreferredModel, prefer_answers
    from chiasm.api.pretraining import Pretrained, pretrain
    from chiasm.api.pretraining_checkpoint import checkpoint_of
    from chiasm.api.released_questions import Questions, questions
    from chiasm.api.reported_in_full import full_report
    from chiasm.api.reporting import write_card, write_guidelines, write_methods, write_supplement
    from chiasm.api.retrieval import score_similar, similar, similar_in_training
    from chiasm.api.scikit import from_sklearn
    from chiasm.api.sealing import open_seal, seal
    from chiasm.api.sensitivity import DELTAS, not_at_random
    from chiasm.api.serving import Talk, serve, serving_app, verify_audit
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
    from chiasm.systems.table import catalogue, paper_records

_NAMES = {  # of each module, which is imported when one of them is asked for
    "chiasm.api.asking": "Answer ask",
    "chiasm.api.benching": "bench bench_compare bench_score list_suites",
    "chiasm.api.certainty": "at_prevalence Conformal conformal few_told unseen_noted unseen_told without_unseen",
    "chiasm.api.checking": "check_cohort source_problems",
    "chiasm.api.collecting": "Advice collect",
    "chiasm.api.embedding": "embed Embedded",
    "chiasm.api.encoding": "encode encode_for prepare",
    "chiasm.api.estimators": "ChiasmClassifier ChiasmRegressor ChiasmSurvival",
    "chiasm.api.explaining": "ColumnExplanation explain explain_columns explain_tokens Explanation TokenExplanation",
    "chiasm.api.exporting": "export_onnx Exported",
    "chiasm.api.extending": "extend ExtendedModel LEAK",
    "chiasm.api.external": "validate",
    "chiasm.api.reported_in_full": "full_report",
    "chiasm.api.hidden_states": "States states",
    "chiasm.api.hub": "pull Pulled push Pushed",
    "chiasm.api.identifiers": "screen_identifiers",
    "chiasm.api.inspecting": "inspect_model Inspection",
    "chiasm.api.interacting": "Interaction interaction require_states",
    "chiasm.api.merging": "merge",
    "chiasm.api.models": "fit load_model write_predictions",
    "chiasm.api.monitoring": "monitor Monitored",
    "chiasm.api.preferring_answers": "PreferredModel prefer_answers",
    "chiasm.api.pretraining": "pretrain Pretrained",
    "chiasm.api.pretraining_checkpoint": "checkpoint_of",
    "chiasm.api.released_questions": "Questions questions",
    "chiasm.api.reporting": "write_card write_guidelines write_methods write_supplement",
    "chiasm.api.retrieval": "score_similar similar similar_in_training",
    "chiasm.api.scikit": "from_sklearn",
    "chiasm.api.sealing": "open_seal seal",
    "chiasm.api.sensitivity": "DELTAS not_at_random",
    "chiasm.api.serving": "serve serving_app Talk verify_audit",
    "chiasm.api.several": "evaluate_cohorts folder_of",
    "chiasm.api.signing": "is_locked is_signed KeyPair new_keys sign_model",
    "chiasm.api.sources": "opened_sources with_sources",
    "chiasm.api.stressing": "Stress stress STRESSED",
    "chiasm.api.tracking": "autolog mlflow_flavour track Tracked",
    "chiasm.api.trials": "evaluate load_trial",
    "chiasm.api.tuning": "drawn_from Paused searched tune tuned tuning_of with_budget",
    "chiasm.api.updating": "undo update Updated",
    "chiasm.artifact": "ArtifactError identity",
    "chiasm.cohort": "Cohort CohortError LeakageError open_cohort Problem Unsupported",
    "chiasm.cohort.demo": "demo_cohort",
    "chiasm.cohort.seal": "read_seal",
    "chiasm.doctor": "diagnose require_device",
    "chiasm.encoders": "list_encoders",
    "chiasm.encoding.checking": "examine",
    "chiasm.encoding.encode": "Encoded",
    "chiasm.encoding.findings": "stopping",
    "chiasm.encoding.preparing": "PreparedCohort",
    "chiasm.encoding.prune": "open_store prune_store Pruned",
    "chiasm.errors": "FindingWarning hush_findings",
    "chiasm.evaluation": "Protocol Trial TrialError Trials",
    "chiasm.evaluation.embeddings.pairs": "mine_confusing_pairs",
    "chiasm.evaluation.opening": "told_openings",
    "chiasm.evaluation.prices": "require_worth",
    "chiasm.evaluation.stress.faults": "require_faults",
    "chiasm.evaluation.validation": "Validation",
    "chiasm.federated.public": "federation_client federation_server invite new_federation",
    "chiasm.fitting.similar_groups": "require_group_size",
    "chiasm.identifiers.findings": "IdentifierScreen sampled SCREEN_SENTENCE",
    "chiasm.mlflow_flavour": "log_model",
    "chiasm.models.merged": "Merged",
    "chiasm.recipes.listing": "list_recipes",
    "chiasm.recipes.registry": "names_in_trial recipe_class",
    "chiasm.report.drawing": "require_format",
    "chiasm.report.written": "require_html",
    "chiasm.serving.settings": "Limits Policy",
    "chiasm.sharing.tracking_place": "tracking_place TrackingError",
    "chiasm.specs": "split_specs",
    "chiasm.store": "TokenStore",
    "chiasm.systems.table": "catalogue paper_records",
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "DELTAS",
    "LEAK",
    "SCREEN_SENTENCE",
    "STRESSED",
    "Advice",
    "Answer",
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
    "PreferredModel",
    "PreparedCohort",
    "Pretrained",
    "Problem",
    "Protocol",
    "Pruned",
    "Pulled",
    "Pushed",
    "Questions",
    "States",
    "Stress",
    "Talk",
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
    "ask",
    "at_prevalence",
    "autolog",
    "bench",
    "bench_compare",
    "bench_score",
    "catalogue",
    "check_cohort",
    "checkpoint_of",
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
    "full_report",
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
    "paper_records",
    "prefer_answers",
    "prepare",
    "pretrain",
    "prune_store",
    "pull",
    "push",
    "questions",
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
    "states",
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
