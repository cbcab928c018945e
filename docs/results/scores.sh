#!/usr/bin/env bash
# What is left of the parents when they are cut by each score, with statistics measured anew
# and without training. Each cut is kept, so that what is there already is only measured.
#
#	docs/results/scores.sh data.yaml NAME SIZE [KEEP...]
#
#	docs/results/scores.sh data.yaml thin-320 320 .7 .5 .35
set -euo pipefail
data=$1 name=$2 size=$3
keeps=("${@:4}")
here=$(cd "$(dirname "$0")" && pwd)
runs=runs/scores
uf=${ULTRAFAST:-./ultrafast}
mkdir -p "$runs"

measure() { # name of the row, weights
	"$uf" val --weights "$2" --data "$data" --img "$size" --json --project "$runs/val" 2>/dev/null |
		awk -v row="$1" '/^ "map50"/ {m = $2} /^ "map50_95"/ {n = $2} END {printf "%-28s mAP50 %.4f mAP50-95 %.4f\n", row, m, n}'
}

measure "$name" "$here/parents/$name.safetensors"
for keep in "${keeps[@]:-.5}"; do
	for score in l2 gamma taylor fisher; do
		cut="$runs/$name-$score-$keep.safetensors"
		[ -e "$cut" ] ||
			"$uf" prune --weights "$here/parents/$name.safetensors" --data "$data" --img "$size" --keep "$keep" \
				--score "$score" --pictures 400 -o "$cut" >"${cut%.safetensors}.txt" 2>/dev/null
		measure "$name $score $keep" "$cut"
	done
done
