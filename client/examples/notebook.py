# ruff: noqa: T201
# %% [markdown]
# # Looking at findings
# A script in cells: Jupyter (with jupytext), VS Code and PyCharm open it as a notebook, Python runs it as it is.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from segserve import Client, OverlayStyle

url = os.environ.get("SEGSERVE_URL", "grpc://127.0.0.1:8001")
photograph = Path(os.environ.get("PHOTOGRAPH", "examples/many_hemorrhages.jpg"))
client = Client(url, model="fundus_hemorrhage", timeout_s=60)

# %% [markdown]
# ## One photograph

# %%
result = client.segment(photograph)
hemorrhage = result.report.classes["hemorrhage"]
print(f"{hemorrhage.lesion_count} lesions, {hemorrhage.area_fraction:.2%} of the field of view")
for lesion in hemorrhage.lesions[:5]:
    print(f"  {lesion.area_px:6d} px at {lesion.centroid}, mean probability {lesion.mean_probability:.2f}")

# %% [markdown]
# ## What it looks like, and how sure the model is

# %%
probability = client.probability(photograph)
figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5), layout="constrained")
left.imshow(result.overlay(style=OverlayStyle.FILL))
left.set_title("findings")
picture = right.imshow(probability.array[0], vmin=0, vmax=1, cmap="inferno")
right.set_title("probability on the model's grid")
figure.colorbar(picture, ax=right)
figure.savefig(os.environ.get("FIGURE", "findings.png"), dpi=80)

# %% [markdown]
# ## How large the lesions are

# %%
areas = np.array([lesion.area_px for lesion in hemorrhage.lesions])
print(f"median {np.median(areas):.0f} px, largest {areas.max()} px")

# %%
client.close()
