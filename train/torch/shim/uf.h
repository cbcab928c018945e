// The C face of the shim: what the Go side calls in libtorch, and nothing else.
//
// Every function that can fail returns NULL, or a message that the caller frees with
// uf_free_text. No exception leaves a function. A uf_tensor is a counted reference to a
// libtorch tensor; who got it frees it. Grad mode and thread counts belong to the calling
// thread: one network's calls come from threads that stay the same.
#pragma once
#include <stdint.h>

extern "C" {

typedef struct uf_tensor uf_tensor;
typedef char* uf_error;

void uf_free_text(char* text);

// Library, version and instruction set: "libtorch 1.13.1, CPU AVX2".
uf_error uf_describe(char** text);

// Prepares the calling thread: so many threads work for it, memory is kept for the next step.
uf_error uf_start_thread(int64_t threads);

// Sets whether operations of the calling thread are recorded for backward.
uf_error uf_grad_mode(int64_t on);

// ---- CUDA devices (device.cpp)

// Readies a device, or says what is missing. Its compute capability is 10 * major + minor,
// 80 for an A100, and 0 if it cannot be known.
uf_error uf_open_cuda(int64_t device, int64_t* capability);
// The bytes of a device's memory that nobody has.
uf_error uf_free_memory(int64_t device, int64_t* bytes);

// ---- tensors (tensor.cpp)

// How many uf_tensor exist; constant from step to step, or something leaks.
int64_t uf_live(void);
void uf_free(uf_tensor** tensors, int64_t n);

// A tensor of n dimensions, copied from data. Device -1 is the CPU, else a CUDA index.
uf_error uf_new(uf_tensor** out, const float* data, const int64_t* dims, int64_t n, int64_t device,
                int64_t channels_last);
// Copies count numbers, row-major as float, to and from the host.
uf_error uf_read(uf_tensor* t, float* data, int64_t count);
uf_error uf_write(uf_tensor* t, const float* data, int64_t count);
// A view of the same storage with a gradient of its own.
uf_error uf_leaf(uf_tensor** out, uf_tensor* t);
// dst[i] = sum over j < k of weights[j] * src[j*n + i]; a dst may be one of its sources.
uf_error uf_mix(uf_tensor** dst, uf_tensor** src, const double* weights, int64_t n, int64_t k);

// ---- operations (ops.cpp)

// Geometry: stride, pad and dilation, each vertical and horizontal, then groups. The bias
// may be NULL. The operands are rounded to the precision, and so is the result.
enum { UF_FP32, UF_BF16, UF_FP16 };
uf_error uf_conv(uf_tensor** out, uf_tensor* x, uf_tensor* weight, uf_tensor* bias, const int64_t* geometry,
                 int64_t precision);
// A transposed convolution: the geometry has two more numbers, output padding, at its end.
uf_error uf_conv_transpose(uf_tensor** out, uf_tensor* x, uf_tensor* weight, uf_tensor* bias,
                           const int64_t* geometry, int64_t precision);
// Parameters: gamma, beta, running mean, running variance. With train, batch statistics
// are used and the running ones move by momentum; without, the running ones are used. With
// silu, SiLU follows.
uf_error uf_batch_norm(uf_tensor** out, uf_tensor* x, uf_tensor** parameters, int64_t train, int64_t silu,
                       double momentum, double eps);
uf_error uf_activation(uf_tensor** out, uf_tensor* x, const char* kind, double slope);
uf_error uf_add(uf_tensor** out, uf_tensor** x, int64_t n);
uf_error uf_concat(uf_tensor** out, uf_tensor** x, int64_t n);
uf_error uf_max_pool(uf_tensor** out, uf_tensor* x, int64_t kernel, int64_t stride, int64_t pad);
uf_error uf_upsample(uf_tensor** out, uf_tensor* x, int64_t scale);
uf_error uf_slice(uf_tensor** out, uf_tensor* x, int64_t axis, int64_t start, int64_t end, int64_t step);

// ---- rounding to 8 bits (quantize.cpp), with gradients that pass where nothing was clamped

// y = (clamp(round(x / scale) + zero, 0, 255) - zero) * scale, in float32, halves to even.
uf_error uf_quantize(uf_tensor** out, uf_tensor* x, double scale, int64_t zero);
// Rounds the weights of a convolution to whole multiples, -127..127, of a scale for each output
// channel: its largest magnitude / 127, or 1 where it holds nothing.
uf_error uf_round_weights(uf_tensor** out, uf_tensor* weight);
// Rounds a bias to whole multiples of scale, the input's, times those scales of the weights.
uf_error uf_round_bias(uf_tensor** out, uf_tensor* bias, uf_tensor* weight, double scale);

// ---- learning (learn.cpp)

// Runs gradients, times scale, backward from n tensors, or those of them that depend on a
// leaf, and adds to those of the leaves.
uf_error uf_backward(uf_tensor** x, uf_tensor** gradients, int64_t n, double scale);
// Divides the gradients of n leaves by the scale, and says whether all are finite.
uf_error uf_unscale(uf_tensor** leaves, int64_t n, double scale, int64_t* finite);
// Forgets the gradients of n leaves.
uf_error uf_clear(uf_tensor** leaves, int64_t n);
// Sums the gradients of k sets of n leaves, times scale, into n new tensors, zero where there
// is none, and forgets them.
uf_error uf_gradients(uf_tensor** out, uf_tensor** leaves, int64_t n, int64_t k, double scale);
// One step of SGD with Nesterov momentum over n weights. Leaves holds k sets of n whose
// gradients are summed, scaled down to max_norm (0: not at all), used and forgotten. Before
// use l2*w + l1*sign(w) is added for those of the n factors, of a weight's shape, that are
// not NULL. A weight without a gradient stays.
uf_error uf_sgd(uf_tensor** weights, uf_tensor** velocity, uf_tensor** leaves, uf_tensor** l2, uf_tensor** l1,
                int64_t n, int64_t k, const double* rate, const double* decay, double momentum, double max_norm);
// One step of Adam, and with decoupled of AdamW, likewise; step counts from 1.
uf_error uf_adam(uf_tensor** weights, uf_tensor** mean, uf_tensor** squares, uf_tensor** leaves, uf_tensor** l2,
                 uf_tensor** l1, int64_t n, int64_t k, const double* rate, const double* decay, double beta1, double beta2, double epsilon, double max_norm,
                 int64_t step, int64_t decoupled);

// ---- several processes (group.cpp)

typedef struct uf_group uf_group;

// Opens the store by which size processes find each other. Process 0 serves it and learns
// the port; the others go to that port of its host. Calls that follow give up after the
// time, or soon after uf_group_lose.
uf_error uf_group_open(uf_group** out, const char* host, int64_t* port, int64_t rank, int64_t size,
                       int64_t milliseconds);
// Connects the processes: over Gloo from this machine's address where the device is -1, else
// over NCCL.
uf_error uf_group_connect(uf_group* g, const char* address, int64_t device);
void uf_group_lose(uf_group* g);
// Frees the group. One that is lost stays: others may still wait in it.
void uf_group_close(uf_group* g);
// Adds up the gradients of k sets of n leaves over all processes; the first set has the sums
// then, and the others none.
uf_error uf_group_sum(uf_group* g, uf_tensor** leaves, int64_t n, int64_t k);
// Makes n tensors their mean over the processes, each counted by its weight.
uf_error uf_group_mean(uf_group* g, uf_tensor** tensors, int64_t n, double weight);
// Gives n tensors the numbers of process 0.
uf_error uf_group_broadcast(uf_group* g, uf_tensor** tensors, int64_t n);

// ---- batch norm over a whole batch (sync.cpp)

typedef struct uf_sync uf_sync;

// A meeting of members, threads that each run the same network forward and backward, and of
// those of the group, which may be NULL. It must outlive both.
uf_error uf_sync_new(uf_sync** out, uf_group* group, int64_t members);
// Ends the waiting of all members, with errors: one of them has failed.
void uf_sync_fail(uf_sync* sync);
void uf_sync_free(uf_sync* sync);
// As uf_batch_norm in training, with statistics over the values of all members.
uf_error uf_sync_norm(uf_tensor** out, uf_tensor* x, uf_tensor** parameters, int64_t silu, double momentum, double eps,
                      uf_sync* sync, int64_t member);
}
