"""Which models an archive holds: every recipe that no earlier one does, each at a size that trains in a moment."""

from __future__ import annotations

TINY = "epochs=2,latent_width=4"
SEEN = f"{TINY},depth=1,heads=1"
DRAWN = "crops=1,epochs=1"
CLICKED = "epochs=1,width=16,depth=1,size=32,patch=8,clicks=1"
SPOKEN = "epochs=1,lessons=1,soft=1,connector=resampler,batch=64"

# (recipe, cohort)
CASES: tuple[tuple[str, str], ...] = (
    ("presence", "tables"),
    ("multi-ridge:free=labs", "tables"),
    ("ipf-lasso", "tables"),
    ("priority-lasso", "tables"),
    ("boosted-trees", "tables"),
    ("block-forest:trees=10", "tables"),
    ("ensemble", "tables"),
    ("fine-gray", "competing"),
    ("nearest-patient", "texts"),
    ("transfer", "tables"),
    (f"centre-shift:{TINY}", "tables"),
    (f"cmta:{SEEN}", "tables"),
    (f"ssma:{TINY},latents=2,heads=1", "tables"),
    (f"uni-perceiver:{SEEN}", "tables"),
    (f"mammal:{SEEN}", "tables"),
    (f"bm-mae:{SEEN},base_epochs=1", "tables"),
    (f"urfound:{SEEN},base_epochs=1,text=clinical", "tables"),
    (f"irregular-ehr:{SEEN}", "records"),
    (f"ehr-mamba:{SEEN},base_epochs=1", "records"),
    (f"contextual-fusion:{TINY}", "tables"),
    (f"biod2c:{TINY},heads=1", "tables"),
    (f"agm:{TINY}", "tables"),
    (f"iemf:{TINY},noise=true", "tables"),
    ("staged:epochs=6,latent_width=4,unimodal=0.34,rebuild=0.34", "tables"),
    (f"clip-pairs:{TINY}", "tables"),
    (f"symile:{TINY}", "tables"),
    (f"mirror:{TINY}", "tables"),
    (f"imgany-retrieval:{TINY},words=6,k=2", "tables"),
    (f"fuse-language:{TINY},anchor=clinical", "tables"),
    (f"ptunifier:{SEEN},latents=2,pool=4", "tables"),
    (f"dispro:{SEEN},latents=2", "tables"),
    (f"gtp4o:{SEEN},latents=2", "tables"),
    ("filled", "tables"),
    (f"unicl:{SEEN},words=clinical", "tables"),
    (f"siglip:{SEEN},words=clinical", "tables"),
    (f"clinical-labels:{SEEN},clinical=clinical", "tables"),
    (f"flair:{SEEN},words=clinical", "described"),
    (f"devide:{SEEN},words=clinical", "described"),
    (f"bioclip:{SEEN},words=clinical", "described"),
    (f"gin:{TINY},layers=1", "molecules"),
    (f"molfm:{SEEN},layers=1", "molecules"),
    (f"staged-transfer:{TINY},first=shape,first_epochs=1", "pictures"),
    (f"distilled:{TINY}", "pictures"),
    (f"more:{TINY},rank=2", "notes"),
    ("hmm-glm:states=2,rounds=2,epochs=2,restarts=1,kernels=1", "recordings"),
    ("poisson-glm:kernels=1", "recordings"),
    ("history-ridge:kernels=1", "recordings"),
    ("centres:epochs=1,width=4,depth=1", "things/cohort"),
    ("detector:epochs=1,width=16,queries=3", "things/cohort"),
    (f"unet:{DRAWN},width=4,depth=1", "shapes/cohort"),
    (f"ssma-dense:{DRAWN},width=4,depth=1,eta=2", "shapes/cohort"),
    (f"mulmodseg:{DRAWN},width=4,depth=1", "shapes/cohort"),
    (f"i-medsam:{DRAWN},width=4,depth=1,hidden=8,bands=2", "shapes/cohort"),
    (f"unit:{DRAWN},width=4,depth=1,latent_width=8,heads=2,tree=square<disc", "shapes/cohort"),
    (f"stu-net:{DRAWN},width=2", "shapes/cohort"),
    (f"monai:{DRAWN},network=unet,width=4", "shapes/cohort"),
    (f"sam-med2d:{CLICKED}", "shapes/cohort"),
    (f"3dsam:{CLICKED},window=8,slices=2", "balls/cohort"),
    (f"llava-med:{SPOKEN}", "questions"),
    (f"gmai-vl:{SPOKEN}", "questions"),
    (f"biomedgpt:{SPOKEN}", "molecules"),
    (f"med-palm-m:{SPOKEN}", "questions"),
    (f"med-gemini:{SPOKEN}", "questions"),
    (f"retina-vlm:{SPOKEN}", "patches"),
    ("medmax:epochs=1,width=8,depth=1,heads=2,codes=4,halvings=1,quantiser_steps=2", "patches"),
)
BESIDE = {"transfer": "lender"}
"""Recipes that borrow, and the cohort that lends."""
REMEMBERED = {"presence", "irregular-ehr", "more", "molfm", "unet", "retina-vlm", "poisson-glm"}
"""Recipes whose models keep the summary of their training patients, most of a small model: one of each source."""
