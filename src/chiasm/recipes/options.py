"""The options of the recipes with their defaults, so that a list of them imports no recipe.

`make kinds` writes this file anew; a test compares it with the recipes' classes.
"""

# fmt: off
OPTIONS = {
    "single": "models=all",
    "presence": "",
    "early-fusion": "l1_ratio=0.5, presence=False",
    "multi-ridge": "free=",
    "fine-gray": "modality=",
    "ipf-lasso": "l1_ratio=1.0",
    "priority-lasso": "order=, l1_ratio=1.0",
    "boosted-trees": "modality=",
    "block-forest": "modality=, trees=500",
    "transfer": "modality=",
    "late-fusion": "",
    "stacked-fusion": "shrinkage=10.0",
    "ensemble": "members=early-fusion+late-fusion+multi-ridge+stacked-fusion, select=liked, bags=0",
    "kron-rls": "modality=, offset=0.3",
    "nearest-patient": "modality=, neighbours=1",
    "healnet": (
        "modality=, latents=16, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, modality_dropout=0.1, warm=False, "
        "tied=False"
    ),
    "lego-merge": (
        "modality=, latents=16, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, domain=signal, head_method=slerp, "
        "method=mean, soup=1, blocks="
    ),
    "lego-fuse": (
        "modality=, latents=16, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, modality_dropout=0.1, warm=False, "
        "domain=signal, head_method=slerp, mode=stack, fuse_epochs=25, fuse_learning_rate=0.001"
    ),
    "centre-shift": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, strength=1.0"
    ),
    "cmta": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, warm=False, depth=1, heads=4, alignment=1.0"
    ),
    "ssma": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, warm=False, latents=16, heads=4, eta=8, "
        "schedule=staged"
    ),
    "uni-perceiver": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, depth=2, heads=4, classes=trunk"
    ),
    "mammal": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, depth=2, heads=4"
    ),
    "bm-mae": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, warm=False, depth=2, heads=4, decoder_depth=1, "
        "seen=0.25, base_epochs=40"
    ),
    "irregular-ehr": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, depth=1, heads=4, references=24, steps=64, "
        "series=gated"
    ),
    "ehr-mamba": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, depth=2, heads=4, cell=mamba2, steps=256, codes=512,"
        " base_epochs=10"
    ),
    "contextual-fusion": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, guarded=, alpha=0.0"
    ),
    "biod2c": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, base=, heads=4, beta=0.1, consistency=1.0"
    ),
    "urfound": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, depth=2, heads=4, decoder_depth=1, text=, "
        "hidden=0.75, hidden_text=0.5, base_epochs=40"
    ),
    "gin": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, layers=5"
    ),
    "agm": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, alpha=2.5"
    ),
    "iemf": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, strength=1.0, noise=False"
    ),
    "staged": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, unimodal=0.5, rebuild=0.0, joint=all"
    ),
    "clip-pairs": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False"
    ),
    "symile": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, "
        "complete=False"
    ),
    "mirror": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, "
        "retention=0.1, style=0.1, cluster=0.2, detach=True, prototypes=64"
    ),
    "imgany-retrieval": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.01, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, words=256, k=8"
    ),
    "fuse-language": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, anchor="
    ),
    "molfm": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, depth=1, heads=4, layers=5, structure=, text=, "
        "share=0.5, temperature=0.07, margin=1.0"
    ),
    "unicl": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, depth=1, "
        "heads=4, words=, encoder=minilm"
    ),
    "siglip": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.1, tune=False, depth=1, "
        "heads=4, words=, encoder=minilm"
    ),
    "flair": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, depth=1, "
        "heads=4, words=, encoder=minilm"
    ),
    "devide": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, depth=1, "
        "heads=4, words=, encoder=minilm, patch=1.0, query=1.0"
    ),
    "bioclip": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, depth=1, "
        "heads=4, words=, encoder=minilm, captions=drawn"
    ),
    "clinical-labels": (
        "modality=, latent_width=32, dropout=0.2, epochs=40, patience=8, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, upon=, modality_dropout=0.1, share=0.5, temperature=0.07, tune=False, depth=1, "
        "heads=4, clinical=, columns=, bins=3"
    ),
    "ptunifier": (
        "modality=, latents=4, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, modality_dropout=0.1, missing=pool, "
        "pool=64, prompts=0.3, completion=0.1"
    ),
    "dispro": (
        "modality=, latents=4, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, modality_dropout=0.1, missing=distilled, "
        "pool=64, prompts=0.3, completion=0.1"
    ),
    "gtp4o": (
        "modality=, latents=4, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, modality_dropout=0.1, missing=graph, "
        "pool=64, prompts=0.3, completion=0.1"
    ),
    "filled": "recipe=late-fusion, modality=, factors=0, generator=gaussian-copula",
    "flora": (
        "modality=, base=healnet, latents=16, latent_width=32, depth=2, heads=4, base_epochs=40, hospitals=0,"
        " aggregation=flora, ranks=4, rounds=5, epochs=3, weights=patients, batch=64, learning_rate=0.002, "
        "weight_decay=0.01, modality_dropout=0.1"
    ),
    "wise-ft": (
        "modality=, latents=16, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, base_dropout=0.5, tune_epochs=15, "
        "tune_learning_rate=0.001, layer_decay=0.75"
    ),
    "slerp-merge": (
        "modality=, latents=16, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, base_dropout=0.5, tune_epochs=15, "
        "tune_learning_rate=0.001, layer_decay=0.75, choose=True"
    ),
    "breadcrumbs": (
        "modality=, latents=16, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, base_dropout=0.5, tune_epochs=15, "
        "tune_learning_rate=0.001, layer_decay=0.75, tunings=3, views=modalities, density=0.2, outliers=0.1, "
        "granularity=tensor"
    ),
    "portllm": (
        "modality=, latents=16, latent_width=32, depth=2, heads=4, dropout=0.2, epochs=40, patience=8, "
        "batch=64, learning_rate=0.002, weight_decay=0.01, upon=, base_dropout=0.5, tune_epochs=15, "
        "tune_learning_rate=0.001, layer_decay=0.75, rank=4, limit=0.1"
    ),
    "probe": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0"
    ),
    "full-tuning": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.0001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, layer_decay=1.0, balanced=False"
    ),
    "staged-transfer": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.0001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, layer_decay=1.0, balanced=False, first=, "
        "first_epochs=10"
    ),
    "distilled": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.0001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, teacher=late-fusion, kind=hard, alpha=0.5, "
        "temperature=1.0, token=True"
    ),
    "lora": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, rank=8, alpha=16.0, where=attention"
    ),
    "ia3": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0"
    ),
    "norm-tuning": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0"
    ),
    "prefix": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, tokens=8"
    ),
    "ssf": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, start=identity"
    ),
    "dvpt": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, prompts=10, width=20, share=3, attend=True"
    ),
    "petl-ast": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, block=mlp, position=pfeiffer, layout=parallel, "
        "residual=False, reduction=64, kernel=31, norms=True, which_norms=all"
    ),
    "pego": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, rank=4, alpha=8.0, groups=2, weight=1e-05"
    ),
    "lt-sft": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.0001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, share=0.05, rounds=1, l1=0.0"
    ),
    "sara": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, share=0.1, stages=2, nuclear=0.0001"
    ),
    "memcontrol": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, rank=4, alpha=8.0, trials=16, trial_epochs=3, "
        "lowest=0.0003, highest=0.003, tolerance=0.02"
    ),
    "unipt": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, narrow=32, most=64"
    ),
    "prompt-learning": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.01, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, prompts=8, template={text} the outcome is {mask} ., "
        "words=, verbalizer=manual"
    ),
    "mftcoder": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, adapt=lora, rank=8, alpha=16.0, mode=task, "
        "focus=none, gamma=2.0, weights=coba, warmup=2, window=5, temperature=5.0"
    ),
    "got-d": "site=, share=0.5, compare=, recipe=healnet",
    "noise-mask": (
        "modality=, latent_width=32, dropout=0.1, epochs=10, patience=3, batch=16, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, rank=8, alpha=16.0, mask_epochs=10, grid=4, blur=1.0"
    ),
    "more": (
        "modality=, latent_width=32, dropout=0.1, epochs=20, patience=5, batch=32, learning_rate=0.001, "
        "weight_decay=0.01, upon=, modality_dropout=0.0, rank=8, alpha=16.0, where=attention, share=0.5, "
        "temperature=0.07, tune=False, adapt="
    ),
    "hmm-glm": (
        "modality=, connectivity=one-hot, link=softplus, kernels=5, slowest=10.0, states=3, stay=0.98, "
        "rounds=30, epochs=100, restarts=3"
    ),
    "poisson-glm": "modality=, connectivity=gaussian, link=softplus, kernels=5, slowest=10.0",
    "history-ridge": "modality=, kernels=5, slowest=10.0",
    "centres": (
        "modality=, flips=none, epochs=60, patience=20, batch=16, learning_rate=0.002, weight_decay=0.01, "
        "width=16, depth=2"
    ),
    "detector": (
        "modality=, flips=none, epochs=60, patience=20, batch=16, learning_rate=0.001, weight_decay=0.01, "
        "network=rt-detr, weights=, width=64, queries=60"
    ),
    "unet": (
        "modality=, window=64, crops=2, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.003, weight_decay=0.01, few=False, width=16, "
        "depth=3"
    ),
    "ssma-dense": (
        "modality=, window=64, crops=2, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.003, weight_decay=0.01, few=False, width=16, "
        "depth=3, eta=8"
    ),
    "mulmodseg": (
        "modality=, window=64, crops=2, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.0, "
        "epochs=60, patience=15, batch=8, learning_rate=0.003, weight_decay=0.01, few=False, words=hashed, "
        "width=16, depth=3"
    ),
    "i-medsam": (
        "modality=, window=64, crops=2, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.003, weight_decay=0.01, few=False, width=16, "
        "depth=3, hidden=64, bands=5, dropout=0.2, share=0.125, unsure=dropout, narrow=16, trunk=, rank=4"
    ),
    "sam-med2d": (
        "modality=, window=1024, crops=1, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.001, weight_decay=0.01, few=False, weights=, "
        "size=0, adapter=True, patch=4, width=64, depth=4, clicks=2, objects=4"
    ),
    "stu-net": (
        "modality=, window=64, crops=2, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.001, weight_decay=0.01, few=False, size=s, width=0,"
        " weights=, scale=own"
    ),
    "unit": (
        "modality=, window=64, crops=2, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.003, weight_decay=0.01, few=False, tree=, "
        "hierarchy=True, queries=0, width=16, depth=3, latent_width=32, heads=4"
    ),
    "3dsam": (
        "modality=, window=32, crops=1, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=2, learning_rate=0.001, weight_decay=0.01, few=False, weights=, "
        "size=0, adapter=True, patch=4, width=64, depth=4, clicks=2, objects=2, slices=4"
    ),
    "unibiomed": (
        "modality=, window=1024, crops=1, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.002, weight_decay=0.01, few=False, weights=, "
        "size=0, adapter=True, patch=4, width=64, depth=4, text=, asked=True, tune=lora, rank=8, soft=4, "
        "longest=64"
    ),
    "monai": (
        "modality=, window=64, crops=2, flips=none, mirrors=none, tidy=none, plan=, modality_dropout=0.2, "
        "epochs=60, patience=15, batch=8, learning_rate=0.001, weight_decay=0.01, few=False, network=unet, "
        "width=24, depth=3"
    ),
    "llava-med": (
        "modality=, model=tiny, question=, connected=, connector=mlp, soft=8, tune=lora, rank=8, images=own, "
        "control=shuffled, most=0, longest=48, epochs=30, patience=6, batch=32, learning_rate=0.002, "
        "tuned_rate=0.0005, lessons=12"
    ),
    "gmai-vl": (
        "modality=, model=tiny, question=, connected=, connector=mlp, soft=8, tune=lora, rank=8, images=own, "
        "control=shuffled, most=0, longest=48, epochs=30, patience=6, batch=32, learning_rate=0.002, "
        "tuned_rate=0.0005, lessons=12"
    ),
    "retina-vlm": (
        "modality=, model=tiny, question=, connected=, connector=linear, soft=8, tune=none, rank=8, "
        "images=own, control=shuffled, most=0, longest=48, epochs=30, patience=6, batch=32, "
        "learning_rate=0.002, tuned_rate=0.0005, lessons=12, columns=16"
    ),
    "biomedgpt": (
        "modality=, model=tiny, question=, connected=, connector=linear, soft=8, tune=none, rank=8, "
        "images=own, control=shuffled, most=0, longest=48, epochs=30, patience=6, batch=32, "
        "learning_rate=0.002, tuned_rate=0.0005, lessons=12"
    ),
    "med-palm-m": (
        "modality=, model=tiny, question=, connected=, connector=mlp, soft=8, tune=lora, rank=8, images=own, "
        "control=shuffled, most=0, longest=48, epochs=30, patience=6, batch=32, learning_rate=0.002, "
        "tuned_rate=0.0005, lessons=12, temperature=2.0, exemplar=one"
    ),
    "med-gemini": (
        "modality=, model=tiny, question=, connected=, connector=mlp, soft=8, tune=lora, rank=8, images=own, "
        "control=shuffled, most=0, longest=48, epochs=30, patience=6, batch=32, learning_rate=0.002, "
        "tuned_rate=0.0005, lessons=12, patch=2"
    ),
    "medmax": (
        "modality=, codes=64, halvings=2, quantiser_steps=400, width=48, depth=2, heads=4, epochs=60, "
        "patience=12, batch=32, learning_rate=0.003, weight_decay=0.01"
    ),
}
