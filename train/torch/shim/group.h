// The processes that train together, over libtorch's c10d.
#pragma once
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/version.h>
#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#else
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#endif

#include "guard.h"

struct uf_group {
#if TORCH_VERSION_MAJOR >= 2
  using Base = c10d::Backend;
#else
  using Base = c10d::ProcessGroup;
#endif
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<Base> base;
  at::Device device{at::kCPU};
  int64_t rank, size;
  std::chrono::milliseconds timeout;
  std::atomic<bool> lost{false};

  // sum adds a tensor on the device over the processes, in place; broadcast gives all the
  // numbers of process 0.
  void sum(at::Tensor flat) {
    std::vector<at::Tensor> all{flat};
    finish(base->allreduce(all));
  }
  void broadcast(at::Tensor flat) {
    std::vector<at::Tensor> all{flat};
    finish(base->broadcast(all));
  }

 private:
  void finish(const c10::intrusive_ptr<c10d::Work>& work);
};
