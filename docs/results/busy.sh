#!/usr/bin/env bash
# How much longer a network takes in both runtimes, with as many threads as there are cores,
# while another process keeps the last of the cores busy.
#
#	docs/results/busy.sh [flags of ultrafast benchmark]
set -euo pipefail
uf=${ULTRAFAST:-./ultrafast}
cores=$(nproc)
measure() { "$uf" benchmark --threads "$cores" --seconds 6 "${@:---cfg=yolov5n}" 2>/dev/null | grep -E 'network ms| fp32 | bf16 '; }

echo "quiet"
measure "$@"
taskset -c "$((cores - 1))" sh -c 'while :; do :; done' &
trap 'kill $!' EXIT
echo "beside a busy process"
measure "$@"
