#!/usr/bin/env bash
# The networks that compression starts from, and the small ones beside them, each from
# scratch. Started again it goes on where it was stopped.
#
#	docs/results/parents.sh data.yaml NAME MODEL SIZE EPOCHS [more flags of train]
#
# trains MODEL at SIZE, measures it and writes NAME.safetensors in half precision:
#
#	docs/results/parents.sh data.yaml thin-320 thin 320 32 --precision bf16
set -euo pipefail
data=$1 name=$2 model=$3 size=$4 epochs=$5
more=("${@:6}")
here=$(cd "$(dirname "$0")" && pwd)
runs=runs/parents
uf=${ULTRAFAST:-./ultrafast}

if ls "$runs/$name"/weights/state-* >/dev/null 2>&1; then
	"$uf" train --resume="$runs/$name"
elif [ ! -e "$runs/$name/weights/best.safetensors" ]; then
	"$uf" train --weights '' --cfg "$model" --data "$data" --img "$size" --epochs "$epochs" \
		--hyp "$here/mask-hyp.yaml" --project "$runs" --name "$name" "${more[@]}"
fi
"$uf" export --weights "$runs/$name/weights/best.safetensors" --include safetensors --half -o "$runs/$name.safetensors"
"$uf" val --weights "$runs/$name.safetensors" --data "$data" --img "$size" --project "$runs/val"
