#!/usr/bin/env bash
# The real run: a YOLOv5n from scratch, cut to half its parameters, fine-tuned for a third
# of the epochs; and the control, the same half-size network from scratch for as many epochs
# in all. Started again it goes on where it was stopped.
#
#	docs/results/mask.sh data.yaml [epochs] [more flags of train, such as --precision bf16]
set -euo pipefail
data=$1
epochs=${2:-48}
more=("${@:3}")
here=$(cd "$(dirname "$0")" && pwd)
runs=runs/mask
uf=${ULTRAFAST:-./ultrafast}

train() { # name, arguments of a new run
	local name=$1
	shift
	if [ -e "$runs/$name/results.png" ]; then
		return
	elif ls "$runs/$name"/weights/state-* >/dev/null 2>&1; then
		"$uf" train --resume="$runs/$name"
	else
		rm -rf "${runs:?}/$name"
		"$uf" train --data "$data" --img 320 --project "$runs" --name "$name" "${more[@]}" "$@"
	fi
}

val() {
	echo "== $1"
	"$uf" val --weights "$1" --data "$data" --img 320
}

train base --weights '' --cfg yolov5n --epochs "$epochs" --hyp "$here/mask-hyp.yaml"
[ -e "$runs/small.safetensors" ] ||
	"$uf" prune --weights "$runs/base/weights/best.safetensors" --data "$data" --img 320 --keep 0.5 -o "$runs/small.safetensors"
train tune --weights "$runs/small.safetensors" --epochs $((epochs / 3)) --hyp "$here/mask-tune-hyp.yaml"
train control --weights '' --cfg "$runs/small.safetensors" --epochs $((epochs + epochs / 3)) --hyp "$here/mask-hyp.yaml"

for weights in base/weights/best small tune/weights/best control/weights/best; do
	val "$runs/$weights.safetensors"
done
go -C "$here" run ./curves -o "$PWD/$runs/curves.png" "dense=$PWD/$runs/base/results.csv" "fine-tuned=$PWD/$runs/tune/results.csv" "control=$PWD/$runs/control/results.csv"
