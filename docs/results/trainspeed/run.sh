#!/usr/bin/env bash
# How fast training is, beside a plain PyTorch loop on the same libtorch (Debian's
# python3-torch: apt-get install --no-install-recommends python3-torch), on an idle machine:
#
#	docs/results/trainspeed/run.sh data.yaml [rounds] >docs/results/trainspeed.md
#
# Of each training the second epoch counts: pictures a second from loading to the moving
# average, and the seconds that its validation takes. The loop gets synthetic pictures, no
# loader and no labels, and counts its best three steps of thirty. Rounds alternate; the
# table has the median of each.
set -euo pipefail
export ATEN_CPU_CAPABILITY=${ATEN_CPU_CAPABILITY-avx512} # which libtorch 1.13 does not choose by itself, and ultrafast does
data=$1
rounds=${2:-3}
here=$(cd "$(dirname "$0")" && pwd)
uf=${ULTRAFAST:-./ultrafast}
python=/usr/bin/python3 # Debian's, for which python3-torch is
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

widths=(0.25 0.125)
for width in "${widths[@]}"; do
	sed "/^sizes:/,/^  x:/d" "$here/../../../yolo/models/v6.yaml" >"$work/$width.yaml"
	printf 'depth: 0.33\nwidth: %s\n' "$width" >>"$work/$width.yaml"
done

# ours WIDTH PRECISION ROUND prints pictures/s and seconds of validation.
ours() {
	"$uf" train --weights '' --cfg "$work/$1.yaml" --data "$data" --img 320 --batch 16 --epochs 2 \
		--precision "$2" --project "$work/runs" --name "$1-$2-$3" >"$work/log" || { cat "$work/log" >&2; exit 1; }
	awk '$1 == "2/2" {print $10, $11}' "$work/log"
}

# loop WIDTH FLAGS... prints pictures/s.
loop() {
	local width=$1
	shift
	"$python" "$here/loop.py" --width "$width" --size 320 --batch 16 --threads "$(nproc)" "$@" |
		sed -n 's|.*: \([0-9.]*\) pictures/s|\1|p'
}

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

for round in $(seq "$rounds"); do
	for width in "${widths[@]}"; do
		for precision in fp32 bf16; do
			echo "round $round, width $width, $precision" >&2
			ours "$width" "$precision" "$round" >>"$work/ours-$width-$precision"
			flags=()
			[ $precision = fp32 ] || flags=(--bf16)
			loop "$width" "${flags[@]}" >>"$work/plain-$width-$precision"
			loop "$width" --channels-last "${flags[@]}" >>"$work/last-$width-$precision"
		done
	done
done

cat <<END
# The speed of training

    docs/results/trainspeed/run.sh data.yaml $rounds

Machine: $(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $("$python" -c 'import torch; print("libtorch", torch.__version__)').
YOLOv5 of depth 0.33 at 320x320, batch 16; pictures a second, median of $rounds round(s). "ultrafast" is
the whole loop on real pictures: decoding, mosaic and the rest of the augmentation, forward,
loss, backward, SGD, moving average. "PyTorch" is [a plain loop](trainspeed/loop.py) with
synthetic pictures and a loss without labels, so without all of that, in either order of memory.

| width | precision | ultrafast | PyTorch, contiguous | PyTorch, channels last | ratio to the faster | validation, s | share of the epoch |
|---|---|---|---|---|---|---|---|
END
pictures=$(sed -n 's/^\([0-9]*\) training and.*/\1/p' "$work/log")
for width in "${widths[@]}"; do
	for precision in fp32 bf16; do
		o=$(awk '{print $1}' "$work/ours-$width-$precision" | median)
		v=$(awk '{print $2}' "$work/ours-$width-$precision" | median)
		p=$(median <"$work/plain-$width-$precision")
		l=$(median <"$work/last-$width-$precision")
		awk -v w="$width" -v q="$precision" -v o="$o" -v v="$v" -v p="$p" -v l="$l" -v n="$pictures" 'BEGIN {
			best = p > l ? p : l
			printf "| %s | %s | %.1f | %.1f | %.1f | %.2f | %.1f | %.1f %% |\n", w, q, o, p, l, o / best, v, 100 * v / (n / o + v)
		}'
	done
done
