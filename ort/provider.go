package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"
)

// A Provider is what computes a model's operators.
type Provider string

const (
	CPU      Provider = "cpu"
	CUDA     Provider = "cuda"     // the first graphics processor; what CUDA cannot do is left to the CPU
	TensorRT Provider = "tensorrt" // what it cannot do is left to CUDA
)

// needs says what each provider wants of the machine, beside its own library.
var needs = map[Provider]string{
	CUDA:     "CUDA 12 and cuDNN 9",
	TensorRT: "CUDA 12, cuDNN 9 and TensorRT 10",
}

// use has a session's options take a provider.
func (r *Runtime) use(p Provider, options unsafe.Pointer) error {
	a := &r.api
	switch p {
	case "", CPU:
		return nil
	case CUDA:
		return r.add(p, options, a.createCUDAOptions, a.appendCUDA, a.releaseCUDAOptions)
	case TensorRT:
		if err := r.add(p, options, a.createTensorRTOptions, a.appendTensorRT, a.releaseTensorRTOptions); err != nil {
			return err
		}
		return r.use(CUDA, options)
	}
	return fmt.Errorf("ONNX Runtime: unknown provider %q, want %s, %s or %s", p, CPU, CUDA, TensorRT)
}

func (r *Runtime) add(
	p Provider, options unsafe.Pointer,
	create func(*unsafe.Pointer) unsafe.Pointer, add func(_, _ unsafe.Pointer) unsafe.Pointer, release func(unsafe.Pointer),
) error {
	file := filepath.Join(filepath.Dir(r.library), providerFile(p))
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("provider %s: %s in %s has no %s beside it: %s", p, r, r.library, filepath.Base(file), advice(p))
	}
	var own unsafe.Pointer
	if err := r.api.check("make options", create(&own)); err != nil {
		return fmt.Errorf("provider %s: %w", p, err)
	}
	defer release(own)
	if err := r.api.check("load "+file, add(options, own)); err != nil {
		return fmt.Errorf("provider %s of %s: %w: %s", p, r.library, err, advice(p))
	}
	return nil
}

// providerFile is the name of the library that ONNX Runtime loads for p, from the folder
// of its own.
func providerFile(p Provider) string {
	if runtime.GOOS == "windows" {
		return "onnxruntime_providers_" + string(p) + ".dll"
	}
	return "libonnxruntime_providers_" + string(p) + ".so"
}

func advice(p Provider) string {
	release := "unpack a release for GPUs of github.com/microsoft/onnxruntime in its place; it needs " + needs[p]
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return "run `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild --prefix .deps onnxruntime-node`, or " + release
	}
	return release
}
