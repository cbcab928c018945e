// Tensors and threads.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/GradMode.h>
#include <torch/version.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "guard.h"

using uf::get;
using uf::give;
using uf::guard;
using uf::Tensor;

namespace {

// host wraps memory of the caller without copying it.
Tensor host(const float* data, at::IntArrayRef dims) {
  return at::from_blob(const_cast<float*>(data), dims, at::TensorOptions().dtype(at::kFloat));
}

// pinned is memory that a CUDA device copies from and to by itself. libtorch keeps it for
// the next one as soon as the device is done with it.
Tensor pinned(at::IntArrayRef dims) {
  return at::empty(dims, at::TensorOptions().dtype(at::kFloat).pinned_memory(true));
}

void check_count(const Tensor& t, int64_t count) {
  if (t.numel() != count)
    throw std::invalid_argument("tensor of " + std::to_string(t.numel()) + " numbers, buffer of " +
                                std::to_string(count));
}

// plain reports whether tensors are fp32 on the CPU in one order of memory without gaps,
// so that a loop may run over their storage.
bool plain(const Tensor& a, const Tensor& b) {
  return a.is_cpu() && b.is_cpu() && a.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat &&
         a.is_non_overlapping_and_dense() && a.sizes() == b.sizes() && a.strides() == b.strides();
}

// capability is the instruction set that ATen chose, out of its own description.
std::string capability() {
  const std::string label = "CPU capability usage: ";
  std::string all = at::show_config();
  size_t at = all.find(label);
  if (at == std::string::npos) return "";
  at += label.size();
  return " " + all.substr(at, all.find('\n', at) - at);
}

}  // namespace

extern "C" {

void uf_free_text(char* text) { free(text); }

uf_error uf_describe(char** text) {
  return guard([&] { *text = uf::text("libtorch " TORCH_VERSION ", CPU" + capability()); });
}

uf_error uf_start_thread(int64_t threads) {
  return guard([&] {
    at::set_num_threads(threads);
#if defined(__GLIBC__)
    // A step frees what the next one asks for again. Without this, every large block goes
    // back to the system and returns as pages to be zeroed.
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 2000000000);
    mallopt(M_TOP_PAD, 64 << 20);
#endif
  });
}

uf_error uf_grad_mode(int64_t on) {
  return guard([&] { at::GradMode::set_enabled(on != 0); });
}

int64_t uf_live(void) { return uf::live; }

void uf_free(uf_tensor** tensors, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (tensors[i] == nullptr) continue;
    delete reinterpret_cast<Tensor*>(tensors[i]);
    uf::live--;
  }
}

uf_error uf_new(uf_tensor** out, const float* data, const int64_t* dims, int64_t n, int64_t device,
                int64_t channels_last) {
  return guard([&] {
    at::NoGradGuard off;
    at::IntArrayRef shape(dims, n);
    auto where = device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, device);
    auto order = channels_last && n == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    Tensor t = at::empty(shape, at::TensorOptions().dtype(at::kFloat).device(where), order);
    if (where.is_cuda()) {
      // A batch of 16 pictures of 640x640 is 79 MB. Copied once more here, by all threads, it
      // does not wait for what the device is still at, such as the update before.
      Tensor staged = pinned(shape);
      staged.copy_(host(data, shape));
      t.copy_(staged, /*non_blocking=*/true);
    } else {
      t.copy_(host(data, shape));
    }
    *out = give(t);
  });
}

uf_error uf_read(uf_tensor* t, float* data, int64_t count) {
  return guard([&] {
    at::NoGradGuard off;
    const Tensor& from = get(t);
    check_count(from, count);
    if (from.is_cuda()) {
      // The maps of a step, 9.7 MB for 16 pictures of 640x640 and one class, and 137 MB for
      // 80 classes. Into memory that is not pinned the driver copies in small pieces, and
      // where type or order differ ATen lets the CPU convert.
      Tensor staged = pinned(from.sizes());
      staged.copy_(from.to(at::kFloat).contiguous());
      host(data, from.sizes()).copy_(staged);
    } else {
      host(data, from.sizes()).copy_(from);
    }
  });
}

uf_error uf_write(uf_tensor* t, const float* data, int64_t count) {
  return guard([&] {
    at::NoGradGuard off;
    check_count(get(t), count);
    get(t).copy_(host(data, get(t).sizes()));
  });
}

uf_error uf_leaf(uf_tensor** out, uf_tensor* t) {
  return guard([&] { *out = give(get(t).detach().requires_grad_(true)); });
}

uf_error uf_mix(uf_tensor** dst, uf_tensor** src, const double* weights, int64_t n, int64_t k) {
  return guard([&] {
    at::NoGradGuard off;
    std::vector<Tensor> rest;  // these in few launches, for a GPU
    std::vector<std::vector<Tensor>> from(k);
    for (int64_t i = 0; i < n; i++) {
      Tensor& d = get(dst[i]);
      bool fused = k <= 2;  // an average moves in one pass over memory
      for (int64_t j = 0; j < k; j++) fused = fused && plain(d, get(src[j * n + i]));
      if (fused) {
        float* to = d.data_ptr<float>();
        const float* a = get(src[i]).data_ptr<float>();
        const float* b = k == 2 ? get(src[n + i]).data_ptr<float>() : a;
        const float wa = weights[0], wb = k == 2 ? weights[1] : 0;
        for (int64_t e = 0; e < d.numel(); e++) to[e] = k == 2 ? wa * a[e] + wb * b[e] : wa * a[e];
        continue;
      }
      rest.push_back(d);
      for (int64_t j = 0; j < k; j++) from[j].push_back(get(src[j * n + i]));
    }
    if (rest.empty()) return;
    std::vector<Tensor> sum = at::_foreach_mul(from[0], weights[0]);
    for (int64_t j = 1; j < k; j++) at::_foreach_add_(sum, from[j], weights[j]);
    at::_foreach_zero_(rest);  // libtorch 1.13 has no copy of many
    at::_foreach_add_(rest, sum);
  });
}
}
