"""Help in plain text: arguments with their hints, options, and examples, with any version of typer and click."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import click
from typer.core import TyperCommand, TyperGroup

EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("chiasm demo", "chiasm demo --full --out demo-run"),
    "check": ("chiasm check cohort.toml", "chiasm check cohort.toml --json > problems.json"),
    "split": (
        "chiasm split cohort.toml --by identity --threshold .5",
        "chiasm split cohort.toml --by combination --columns modality,area,task --hold-out CT,Lung,Cancer",
    ),
    "evaluate": (
        "chiasm evaluate cohort.toml",
        "chiasm evaluate cohort.toml --recipes late-fusion,lego-fuse:mode=weave --out run",
        "chiasm evaluate bladder.toml lung.toml --out runs",
    ),
    "tune": ("chiasm tune cohort.toml --recipe healnet --space 'lr=1e-4..1e-2 log' --space 'depth=1;2' --out search",),
    "fit": ("chiasm fit cohort.toml --recipe late-fusion --out model",),
    "predict": (
        "chiasm predict model new.toml --out predictions.csv",
        "chiasm predict model new.toml --out sure.csv --calibrate held-out.toml --coverage .95",
    ),
    "label": ("chiasm label meds/ labels.parquet --out cohort/",),
    "states": ("chiasm states model new.toml --out states.csv --page states.html",),
    "explain": (
        "chiasm explain model new.toml --out shares.csv",
        "chiasm explain model new.toml --columns columns.csv --sets hallmarks.gmt",
        "chiasm explain model new.toml --tokens tokens.parquet --draw pictures",
    ),
    "collect": ("chiasm collect cohort.toml --worth 20000 --plot gain.png",),
    "control": ("chiasm control twin.toml --out study", "chiasm control twin.toml --json"),
    "interaction": (
        "chiasm interaction cohort.toml --plot parts.png",
        "chiasm interaction cohort.toml --modalities clinical,rna --trial run",
    ),
    "embed": (
        "chiasm embed cohort.toml --page embed.html",
        "chiasm embed cohort.toml --encoder patches:size=28 --encoder hf:folder,level=pooled --layers",
        "chiasm embed cohort.toml --file vgg16=vgg.parquet --shares 1,10,100 --json",
    ),
    "pretrain": (
        "chiasm pretrain cohort.toml --out encoder --epochs 10 --page pretrain.html",
        "chiasm pretrain cohort.toml --out encoder --method masked --network gru:width=64,rc=ps --resume",
        "chiasm pretrain cohort.toml --out encoder --modality film --method mae --page pretrain.html",
    ),
    "articles": (
        "chiasm articles PMC3166277.tar.gz articles/ --out shards --table rows.csv",
        "chiasm articles articles/ --out shards --licence CC-BY --concepts concepts.txt --most 1000 --cohort pairs",
    ),
    "questions": (
        "chiasm questions slake/ --style slake --out cohort",
        "chiasm questions roco/ --style roco --instruct --out captions",
    ),
    "generate": (
        "chiasm generate cohort.toml --patients 500 --out synthetic",
        "chiasm generate cohort.toml --fill rna --out filled",
    ),
    "enhance": (
        "chiasm enhance scan.nii.gz --scale 2 --out fine.nii.gz --page fine.html",
        "chiasm enhance thick.nii.gz --scale 1,1,4 --out thin.nii.gz",
        "chiasm enhance series.nii.gz --static scan.nii.gz --out frames.nii.gz",
    ),
    "edit": (
        "chiasm edit cohort.toml scan.png --towards pneumonia --out edited.png --keep editor",
        "chiasm edit editor scan.png --towards pneumonia --mask where.png --out edited.png",
        "chiasm edit volumes scan.nii.gz --towards adenoma --mask where.nii.gz --out edited.nii.gz",
    ),
    "crops": ("chiasm crops cohort.toml --out crops", "chiasm crops cohort.toml --out crops --margin 0"),
    "plan": ("chiasm plan cohort.toml --out plan.json", "chiasm plan cohort.toml --modality t1 --out plan.json"),
    "regrid": ("chiasm regrid cohort.toml", "chiasm regrid cohort.toml --out on-one-grid"),
    "segment": (
        "chiasm segment model scan.nii.gz --out map.nii.gz",
        "chiasm segment model t1=a.nii.gz t2=b.nii.gz --out map.nii.gz",
        "chiasm segment model t1=a.nii.gz t2=b.nii.gz --grid t1 --out map.nii.gz",
        "chiasm segment model slice.png --click 40,52,+ --click 12,9,- --out map.png",
    ),
    "stress": (
        "chiasm stress cohort.toml --recipes late-fusion,lego-fuse --plot stress.png",
        "chiasm stress cohort.toml --recipes healnet --faults attack",
    ),
    "not-at-random": ("chiasm not-at-random run", "chiasm not-at-random run --deltas -1,-0.5,0.5,1 --out deltas.csv"),
    "seal": ("chiasm seal cohort.toml --test 0.2",),
    "open-seal": ("chiasm open-seal run cohort.toml",),
    "validate": ("chiasm validate model other.toml --out validation",),
    "monitor": (
        "chiasm monitor model new.toml --out monitor.html",
        "chiasm monitor model new.toml --date admitted --every week --outcomes later.toml --json",
    ),
    "extend": ("chiasm extend model new.toml --modality ecg --out with-ecg",),
    "update": ("chiasm update model later.toml --out newer", "chiasm update newer --undo --out older"),
    "merge": ("chiasm merge a b --out merged", "chiasm merge a b --method ties:density=0.5 --base start --out merged"),
    "report": ("chiasm report run", "chiasm report run --figures svg,pdf"),
    "serve": (
        "chiasm serve model",
        "chiasm serve risk=model --listen 0.0.0.0:8443 --tokens tokens.toml --certificate cert.pem --key key.pem",
    ),
    "audit": ("chiasm audit audit.jsonl",),
    "inspect": ("chiasm inspect model", "chiasm inspect model --trust signer.pub.pem --json"),
    "keys": ("chiasm keys --out signer",),
    "sign": ("chiasm sign model --key signer.pem",),
    "export": ("chiasm export model --out model.onnx",),
    "track": ("chiasm track run --to mlflow", "chiasm track model --to https://mlflow.example.org --name late"),
    "push": ("chiasm push model owner/name --licence cc-by-nc-4.0",),
    "pull": ("chiasm pull owner/name@0123456789abcdef0123456789abcdef01234567 --out model",),
    "encode": ("chiasm encode cohort.toml", "chiasm encode cohort.toml --encoder note=minilm"),
    "encoders": ("chiasm encoders", "chiasm encoders minilm"),
    "recipes": ("chiasm recipes", "chiasm recipes lego-fuse", "chiasm recipes --paper Symile"),
    "prefer": ("chiasm prefer model cohort.toml --out preferred --scorer rouge_l --epochs 3",),
    "ask": (
        "chiasm ask run 'Which modality helped?'",
        "chiasm ask model cohort.toml --patient 007 'Why is the risk high?'",
    ),
    "bench": (
        "chiasm bench medqa --data medical-qa --model lm:smol.gguf --out run",
        "chiasm bench mediconfusion --data mediconfusion --model python:mine:answer --out run --limit 100",
        "chiasm bench compare a b --out table.tex",
        "chiasm bench pairs cohort.toml --encoder hf:clip --encoder hf:dinov2 --out pairs.csv",
        "chiasm bench skills run other-run",
        "chiasm bench forgetting before after --learned micro-bench",
    ),
    "similar": ("chiasm similar rna cohort.toml --patient case-007", "chiasm similar model cohort.toml --score"),
}


SECTIONS = {
    "A cohort": (
        *("check", "split", "seal", "encode", "label", "crops", "regrid", "articles", "questions", "generate"),
        *("enhance", "edit"),
    ),
    "Is it worth it": (
        *("demo", "evaluate", "report", "open-seal", "tune", "interaction", "collect", "stress", "not-at-random"),
        *("embed", "ask", "bench"),
    ),
    "A model": (
        *("fit", "predict", "validate", "explain", "similar", "merge", "extend", "update", "monitor", "pretrain"),
        *("prefer", "plan", "segment", "states", "control"),
    ),
    "A model elsewhere": ("serve", "audit", "export", "inspect", "keys", "sign", "track", "push", "pull", "federate"),
    "What is here": ("recipes", "encoders", "doctor", "store"),
}


class PlainGroup(TyperGroup):
    """The list of all commands, in sections, each with the whole of its first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section; what stands in none comes last."""
        placed = {name for names in SECTIONS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in placed)
        for title, names in {**SECTIONS, "More": others}.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, own.get_short_help_str(limit=400)) for name, own in found if own is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class PlainCommand(TyperCommand):
    """Command whose help is written here: some versions of typer and click lose hints, or print `\\[default]`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, then the options."""
        hints = argument_hints(self.callback)
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            name, text = record[0], record[1].replace("\\[", "[")
            if parameter.param_type_name != "argument":
                sections["Options"].append((name, text))
                continue
            hint = hints.get(str(parameter.name), "")
            sections["Arguments"].append((name, text if hint in text else f"{hint}  {text}".strip()))
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples of the command, one a line."""
        write_examples(str(self.name), formatter)


def write_examples(name: str, formatter: click.HelpFormatter) -> None:
    """Write the examples of a command or a group, one a line."""
    examples = EXAMPLES.get(name, ())
    if examples:
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def argument_hints(function: Any) -> dict[str, str]:
    """Read the hint of each parameter from the annotations of a command's function."""
    hints = get_type_hints(inspect.unwrap(function), include_extras=True) if function is not None else {}
    found = {name: [str(one.help) for one in hint_of(hint) if one.help] for name, hint in hints.items()}
    return {name: own[0] for name, own in found.items() if own}


def hint_of(hint: Any) -> list[Any]:
    """Return what typer is told of a parameter."""
    from typer.models import ParameterInfo

    return [one for one in get_args(hint)[1:] if isinstance(one, ParameterInfo)]
