#!/usr/bin/env bash
# What scores and distillation are worth after training on, in short trainings on small pictures.
# Started again it goes on where it was stopped.
#
#	docs/results/choices.sh data.yaml [SIZE [EPOCHS]]
set -euo pipefail
data=$1 size=${2:-192} epochs=${3:-5}
here=$(cd "$(dirname "$0")" && pwd)
runs=runs/choices-$size
uf=${ULTRAFAST:-./ultrafast}
mkdir -p "$runs"

train() { # name, then flags of train; of a run that is there nothing is done
	[ -e "$runs/$1/weights/best.safetensors" ] ||
		"$uf" train --data "$data" --img "$size" --epochs "$epochs" --hyp "$here/mask-child-hyp.yaml" --precision bf16 \
			--noautoanchor --noval --project "$runs" --name "$@" >"$runs/$1.txt" 2>&1
}

prune() { # weights, score, file
	[ -e "$3" ] || "$uf" prune --weights "$1" --data "$data" --img "$size" --score "$2" --pictures 400 -o "$3" >"${3%.safetensors}.txt" 2>&1
}

measure() { # name of the row, weights
	"$uf" val --weights "$2" --data "$data" --img "$size" --json --project "$runs/val" 2>/dev/null |
		awk -v row="$1" '/^ "map50"/ {m = $2} /^ "map50_95"/ {n = $2} END {printf "%-32s mAP50 %.4f mAP50-95 %.4f\n", row, m, n}'
}

trained() { # row, flags of train
	train "$@"
	measure "$1" "$runs/$1/weights/last.safetensors"
}

parent=$runs/parent/weights/last.safetensors
trained parent --weights "$here/parents/thin-320.safetensors"

for score in l2 gamma taylor fisher; do
	prune "$parent" $score "$runs/half-$score.safetensors"
	measure "half by $score" "$runs/half-$score.safetensors"
	trained "half-$score-trained" --weights "$runs/half-$score.safetensors"
done

for terms in pkd=1 cwd=1 outputs=1 pkd=1,outputs=1 cwd=1,outputs=1; do # beside half-fisher-trained, which has no teacher
	trained "distill-$terms" --weights "$runs/half-fisher.safetensors" --teacher "$parent" --distill $terms
done
