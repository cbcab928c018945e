// Sums and broadcasts over processes. Every call makes one flat buffer of its tensors, for
// a network has hundreds of small ones, and each message costs its time.
#include "group.h"

#include <chrono>
#include <thread>

// The build says which of the two it found the headers of.
#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

using uf::get;
using uf::guard;
using uf::list;
using uf::Tensor;

// finish waits for an operation, and gives up once the group is lost: a process that
// hangs would keep the others for the whole timeout.
void uf_group::finish(const c10::intrusive_ptr<c10d::Work>& work) {
  while (device.is_cuda() && !work->isCompleted()) {  // NCCL's wait is for the device's stream alone
    if (lost) throw std::runtime_error("given up, for a process has gone");
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  for (;;) {
    try {
      work->wait(std::chrono::milliseconds(200));
      return;
    } catch (...) {
      if (lost) throw std::runtime_error("given up, for a process has gone");
      if (work->isCompleted()) break;
    }
  }
  work->wait();  // what came at the last moment, or what went wrong
}

namespace {

// A Flat is a buffer with a view for each of a list of tensors, in their order of memory.
struct Flat {
  Tensor buffer;
  std::vector<Tensor> views;

  Flat(const std::vector<Tensor>& like, int64_t extra) {
    int64_t total = extra;
    for (const Tensor& t : like) total += t.numel();
    buffer = at::zeros({total}, like.front().options().requires_grad(false));
    int64_t at = 0;
    for (const Tensor& t : like) {
      views.push_back(buffer.as_strided(t.sizes(), t.strides(), at));
      at += t.numel();
    }
  }
};

}  // namespace

extern "C" {

uf_error uf_group_open(uf_group** out, const char* host, int64_t* port, int64_t rank, int64_t size,
                       int64_t milliseconds) {
  return guard([&] {
    auto g = std::make_unique<uf_group>();
    g->rank = rank;
    g->size = size;
    g->timeout = std::chrono::milliseconds(milliseconds);
    c10d::TCPStoreOptions o;
    o.port = rank == 0 ? 0 : *port;
    o.isServer = rank == 0;
    o.waitWorkers = false;
    o.timeout = g->timeout;
    // Since 2.4 it is the default, and a libtorch built without libuv refuses the store.
    [](auto& options) {
      if constexpr (requires { options.useLibUV; }) options.useLibUV = false;
    }(o);
    auto store = c10::make_intrusive<c10d::TCPStore>(host, o);
    *port = store->getPort();
    g->store = store;
    *out = g.release();
  });
}

uf_error uf_group_connect(uf_group* g, const char* address, int64_t device) {
  return guard([&] {
    if (device >= 0) {
#ifdef USE_C10D_NCCL
      g->device = at::Device(at::kCUDA, device);
      auto o = c10d::ProcessGroupNCCL::Options::create();
      o->timeout = g->timeout;
      g->base = c10::make_intrusive<c10d::ProcessGroupNCCL>(g->store, g->rank, g->size, o);
#else
      throw std::runtime_error(
          "several processes with CUDA need NCCL, and its header nccl.h was not there when the bridge was built: "
          "install NCCL's development files, then: ultrafast engine build");
#endif
      return;
    }
#ifdef USE_C10D_GLOO
    auto o = c10d::ProcessGroupGloo::Options::create();
    o->timeout = g->timeout;
    o->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
    g->base = c10::make_intrusive<c10d::ProcessGroupGloo>(g->store, g->rank, g->size, o);
#else
    throw std::runtime_error(
        "several processes on the CPU need Gloo, and its headers were not there when the bridge was built: "
        "apt-get install -y libgloo-dev, then: ultrafast engine build");
#endif
  });
}

void uf_group_lose(uf_group* g) { g->lost = true; }

void uf_group_close(uf_group* g) {
  // What still waits for a lost process would be waited for here: it stays until the end.
  if (g->lost) return;
  guard([&] { delete g; });
}

uf_error uf_group_sum(uf_group* g, uf_tensor** leaves, int64_t n, int64_t k) {
  return guard([&] {
    at::NoGradGuard off;
    std::vector<Tensor> used;  // the leaves with gradients: the same everywhere, the networks being the same
    std::vector<Tensor> sums;
    for (int64_t i = 0; i < n; i++) {
      Tensor sum = sum_gradients(leaves, i, n, k);
      if (!sum.defined()) continue;
      used.push_back(get(leaves[i]));
      sums.push_back(sum);
    }
    if (used.empty()) return;
    Flat flat(used, 0);
    for (size_t i = 0; i < sums.size(); i++) flat.views[i].copy_(sums[i]);
    clear(leaves, n * k);
    g->sum(flat.buffer);
    for (size_t i = 0; i < used.size(); i++) used[i].mutable_grad() = flat.views[i];
  });
}

uf_error uf_group_mean(uf_group* g, uf_tensor** tensors, int64_t n, double weight) {
  return guard([&] {
    at::NoGradGuard off;
    if (n == 0) return;
    std::vector<Tensor> all = list(tensors, n);
    Flat flat(all, 1);
    for (int64_t i = 0; i < n; i++) flat.views[i].copy_(all[i]);
    Tensor total = flat.buffer[flat.buffer.numel() - 1];
    total.fill_(1);
    flat.buffer.mul_(weight);
    g->sum(flat.buffer);
    for (int64_t i = 0; i < n; i++) all[i].copy_(flat.views[i] / total);
  });
}

uf_error uf_group_broadcast(uf_group* g, uf_tensor** tensors, int64_t n) {
  return guard([&] {
    at::NoGradGuard off;
    if (n == 0) return;
    std::vector<Tensor> all = list(tensors, n);
    Flat flat(all, 0);
    for (int64_t i = 0; i < n; i++) flat.views[i].copy_(all[i]);
    g->broadcast(flat.buffer);
    for (int64_t i = 0; i < n; i++) all[i].copy_(flat.views[i]);
  });
}
}
