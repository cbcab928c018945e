# `make demo` shows the main job, `make test` runs every test. Both say what they are
# about to install, and install it only where it is missing.
DEPS := .deps
ORT_VERSION := 1.30.0
ORT := $(DEPS)/node_modules/onnxruntime-node/package.json
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
export CGO_ENABLED = 0

.PHONY: all static demo bench test kills check torch onnxruntime jpeg-tools emulator fuzz clean

all: ultrafast

ultrafast: FORCE
	go build -trimpath -o $@ ./cmd/ultrafast

FORCE:

# A binary that needs nothing of the machine, not even a C library, and cannot train.
static:
	go build -trimpath -tags static -o ultrafast-static ./cmd/ultrafast
	@if readelf -l ultrafast-static | grep -q INTERP; then echo "ultrafast-static is linked dynamically"; exit 1; fi

# The bridge to libtorch, which training needs.
torch: ultrafast
	@dpkg -s libtorch-dev libgloo-dev libopenblas0-pthread g++ >/dev/null 2>&1 || { \
	  echo "installing Debian's libtorch-dev, libgloo-dev, libopenblas0-pthread and g++ (about 135 MB to fetch, 570 MB on disk)"; \
	  $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qy --no-install-recommends libtorch-dev libgloo-dev libopenblas0-pthread g++; }
	./ultrafast engine build

# The peer that our results are compared with.
onnxruntime: $(ORT)

$(ORT):
	@echo "installing ONNX Runtime's library from npm's onnxruntime-node $(ORT_VERSION) (about 290 MB on disk, all platforms come along) into $(DEPS)"
	npm install --ignore-scripts --no-audit --no-fund --prefix $(DEPS) onnxruntime-node@$(ORT_VERSION)

demo: torch
	./ultrafast demo

# The table of speeds beside ONNX Runtime's, on an idle machine: about BENCH_SECONDS * 25 for
# each precision.
BENCH_SECONDS ?= 10
BENCH_PRECISION ?= $(shell grep -q avx512_bf16 /proc/cpuinfo && echo fp32,bf16,int8 || echo fp32,int8)
bench: ultrafast onnxruntime
	go run ./docs/results/bench -ultrafast ./ultrafast -precision $(BENCH_PRECISION) -seconds $(BENCH_SECONDS) -o docs/results/bench.md

# djpeg and cjpeg are what our JPEG decoder is compared with.
jpeg-tools:
	@{ command -v djpeg && command -v cjpeg; } >/dev/null || { \
	  echo "installing Debian's libjpeg-turbo-progs (100 kB)"; \
	  $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qy --no-install-recommends libjpeg-turbo-progs; }

# QEMU runs what we generate for AArch64, and binutils read the instructions of both
# processors.
emulator:
	@{ command -v qemu-aarch64-static && command -v as && command -v objdump && command -v aarch64-linux-gnu-objdump; } >/dev/null || { \
	  echo "installing Debian's qemu-user-static, binutils and binutils-aarch64-linux-gnu (about 70 MB to fetch, 410 MB on disk)"; \
	  $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qy --no-install-recommends qemu-user-static binutils binutils-aarch64-linux-gnu; }

test: torch onnxruntime jpeg-tools emulator check
	go test -timeout 20m ./...
	CGO_ENABLED=1 go test -timeout 20m -race -short ./...

# A compression that is killed twenty times ends as one that is not.
kills: torch
	go test ./cmd/ultrafast -run TestCompressKilled -v -kills 20

check: static
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	go vet ./...
	go vet -tags static ./cmd/...

# Every fuzz target for FUZZTIME each.
FUZZTIME ?= 2m
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep ^Fuzz || true); do \
	    echo "$$pkg $$f"; go test $$pkg -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x; \
	  done; done

clean:
	rm -rf ultrafast ultrafast-static $(DEPS)
