#!/usr/bin/env bash
# Lays this image's model repository into the volume and builds what it lacks there, before the server starts. A plan
# whose manifest fits this GPU and these versions is kept, so every start but the first takes seconds. A plan that does
# not see the same lesions as the FP32 network fails the parity gate, and the server does not start.
#
#   prepare_models.sh [PIPELINE...]     [fundus_hemorrhage]
# Environment: SEGSERVE_REPOSITORY [/models/1], SEGSERVE_PRECISION [fp16], SEGSERVE_SHIPPED [/opt/segserve]
set -euo pipefail
shipped=${SEGSERVE_SHIPPED:-/opt/segserve}
repository=${SEGSERVE_REPOSITORY:-/models/1}
pipelines=("$@")
(( ${#pipelines[@]} )) || pipelines=(fundus_hemorrhage)

# Beside the repository, not in it: every folder in there is a model.
beside=$(dirname "$repository") release=$(basename "$repository")
mkdir -p "$repository"
# Two pods on one volume: the second one waits, and then finds everything there.
exec 9> "$beside/$release.preparing"
flock 9
cp -R "$shipped/model_repository/." "$repository/"

cd "$shipped"
for pipeline in "${pipelines[@]}"; do
  python3 -m build_engines build "$pipeline" --target "${SEGSERVE_TARGET:-tensorrt}" \
    --precision "${SEGSERVE_PRECISION:-fp16}" --repository "$repository" --photos "$shipped/examples" \
    --report "$beside/$release.parity/$pipeline"
done
echo "prepare_models: $repository is ready"
