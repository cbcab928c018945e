package torch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/cpu"
)

// A handle is a tensor in libtorch; 0 is none. Who got it from a call frees it.
type handle uintptr

// A message is what the shim's functions return: 0, or text that libtorch's allocator owns.
type message uintptr

// library is the shim's face, shim/uf.h, as Go functions.
type library struct {
	freeText    func(message)
	describe    func(text *message) message
	openCUDA    func(device int64, capability *int64) message
	freeMemory  func(device int64, bytes *int64) message
	startThread func(threads int64) message
	gradMode    func(on int64) message

	live    func() int64
	free    func(tensors *handle, n int64)
	newFrom func(out *handle, data *float32, dims *int64, n, device, channelsLast int64) message
	read    func(t handle, data *float32, count int64) message
	write   func(t handle, data *float32, count int64) message
	leaf    func(out *handle, t handle) message
	mix     func(dst, src *handle, weights *float64, n, k int64) message

	conv       func(out *handle, x, weight, bias handle, geometry *int64, precision int64) message
	transpose  func(out *handle, x handle, weight, bias handle, geometry *int64, precision int64) message
	batchNorm  func(out *handle, x handle, parameters *handle, train, silu int64, momentum, eps float64) message
	activation func(out *handle, x handle, kind string, slope float64) message
	add        func(out, x *handle, n int64) message
	concat     func(out, x *handle, n int64) message
	maxPool    func(out *handle, x handle, kernel, stride, pad int64) message
	upsample   func(out *handle, x handle, scale int64) message
	slice      func(out *handle, x handle, axis, start, end, step int64) message

	quantize     func(out *handle, x handle, scale float64, zero int64) message
	roundWeights func(out *handle, weight handle) message
	roundBias    func(out *handle, bias, weight handle, scale float64) message

	backward  func(x, gradients *handle, n int64, scale float64) message
	unscale   func(leaves *handle, n int64, scale float64, finite *int64) message
	clear     func(leaves *handle, n int64) message
	gradients func(out, leaves *handle, n, k int64, scale float64) message
	sgd       func(weights, velocity, leaves, l2, l1 *handle, n, k int64, rate, decay *float64, momentum, maxNorm float64) message
	adam      func(weights, mean, squares, leaves, l2, l1 *handle, n, k int64, rate, decay *float64, beta1, beta2, epsilon, maxNorm float64, step, decoupled int64) message

	groupOpen      func(out *groupHandle, host string, port *int64, rank, size, milliseconds int64) message
	groupConnect   func(g groupHandle, address string, device int64) message
	groupLose      func(g groupHandle)
	groupClose     func(g groupHandle)
	groupSum       func(g groupHandle, leaves *handle, n, k int64) message
	groupMean      func(g groupHandle, tensors *handle, n int64, weight float64) message
	groupBroadcast func(g groupHandle, tensors *handle, n int64) message

	syncNew  func(out *syncHandle, g groupHandle, members int64) message
	syncFail func(s syncHandle)
	syncFree func(s syncHandle)
	syncNorm func(out *handle, x handle, parameters *handle, silu int64, momentum, eps float64, s syncHandle, member int64) message
}

// loadLibrary opens a built shim and with it libtorch. Neither is ever unloaded: libtorch
// leaves threads and exit handlers behind.
func loadLibrary(path string) (*library, error) {
	if err := prepareEnvironment(); err != nil {
		return nil, err
	}
	// The loader keeps its message for the thread that failed, and purego asks in a second call.
	runtime.LockOSThread()
	so, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	runtime.UnlockOSThread()
	if err != nil {
		// The loader's text names the file that is missing, which may be another.
		return nil, fmt.Errorf("load %s: %w; install libtorch again, or run: ultrafast engine build", path, err)
	}
	l := &library{}
	for name, f := range map[string]any{
		"uf_free_text": &l.freeText, "uf_describe": &l.describe, "uf_start_thread": &l.startThread,
		"uf_grad_mode": &l.gradMode, "uf_open_cuda": &l.openCUDA, "uf_free_memory": &l.freeMemory,
		"uf_live": &l.live, "uf_free": &l.free, "uf_new": &l.newFrom, "uf_read": &l.read,
		"uf_write": &l.write, "uf_leaf": &l.leaf, "uf_mix": &l.mix,
		"uf_conv": &l.conv, "uf_conv_transpose": &l.transpose, "uf_batch_norm": &l.batchNorm, "uf_activation": &l.activation, "uf_add": &l.add,
		"uf_concat": &l.concat, "uf_max_pool": &l.maxPool, "uf_upsample": &l.upsample, "uf_slice": &l.slice,
		"uf_quantize": &l.quantize, "uf_round_weights": &l.roundWeights, "uf_round_bias": &l.roundBias,
		"uf_backward": &l.backward, "uf_unscale": &l.unscale, "uf_clear": &l.clear, "uf_gradients": &l.gradients, "uf_sgd": &l.sgd, "uf_adam": &l.adam,
		"uf_group_open": &l.groupOpen, "uf_group_connect": &l.groupConnect, "uf_group_lose": &l.groupLose,
		"uf_group_close": &l.groupClose, "uf_group_sum": &l.groupSum, "uf_group_mean": &l.groupMean, "uf_group_broadcast": &l.groupBroadcast,
		"uf_sync_new": &l.syncNew, "uf_sync_fail": &l.syncFail, "uf_sync_free": &l.syncFree, "uf_sync_norm": &l.syncNorm,
	} {
		address, err := purego.Dlsym(so, name)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w; run: ultrafast engine build", path, err)
		}
		purego.RegisterFunc(f, address)
	}
	return l, nil
}

// prepareEnvironment sets what libtorch and its libraries read while they load, unless the
// user has set it. Workers are threads of ours with one thread each: OpenBLAS must not
// start more, and OpenMP's must not spin. ATen 1.13 stops at AVX2 unless told otherwise.
// UCX, on which Debian's libtorch 2.6 stands, would take the signals by which Go notices a
// nil pointer, and end the program.
func prepareEnvironment() error {
	settings := map[string]string{"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "UCX_HANDLE_ERRORS": "none",
		"TORCH_CPP_LOG_LEVEL": "ERROR"} // warnings of c10d's sockets, which are tried again and again
	if x := cpu.X86; x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		settings["ATEN_CPU_CAPABILITY"] = "avx512"
	}
	for name, value := range settings {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("prepare libtorch: %w", err)
		}
	}
	return nil
}

// err turns a message into an error and frees it.
func (l *library) err(m message) error {
	if m == 0 {
		return nil
	}
	return errors.New("libtorch: " + l.take(m))
}

// take copies a C string and frees it.
func (l *library) take(m message) string {
	// The pointer is C memory, which Go's collector does not move.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&m))
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	text := string(unsafe.Slice((*byte)(p), n))
	l.freeText(m)
	return text
}
