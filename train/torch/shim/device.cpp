// CUDA devices, through libtorch and through the CUDA runtime that came with it. That one is
// looked up at run time: a libtorch has no headers of CUDA's, and one for CPUs none of it.
#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <dlfcn.h>
#include <torch/cuda.h>

#include "guard.h"

using uf::guard;

namespace {

// runtime finds a function of the CUDA runtime, NULL without one.
template <class F>
F* runtime(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
}

using DeviceCount = int(int*);
using DeviceAttribute = int(int*, int, int);
using MemGetInfo = int(size_t*, size_t*);

// Numbers of CUDA's binary interface.
constexpr int capability_major = 75, capability_minor = 76, no_device = 100, old_driver = 35;

// missing says why libtorch sees no device.
std::string missing() {
  auto* count = runtime<DeviceCount>("cudaGetDeviceCount");
  if (count == nullptr)
    return "it was built for CPUs: unpack one for CUDA, and run: ultrafast engine build --torch DIR";
  int n = 0, code = count(&n);
  if (code == old_driver) return "NVIDIA's driver is missing, or too old for this libtorch's CUDA: see nvidia-smi";
  if (code == 0 || code == no_device) return "there is no CUDA device: nvidia-smi lists those that the driver sees";
  return "CUDA does not start, its error is " + std::to_string(code) + ": see nvidia-smi";
}

}  // namespace

extern "C" {

uf_error uf_open_cuda(int64_t device, int64_t* capability) {
  return guard([&] {
    int64_t count = torch::cuda::device_count();
    if (count == 0) throw std::runtime_error(missing());
    if (device >= count)
      throw std::runtime_error("there are " + std::to_string(count) + ", counted from cuda:0");
    // Else cuDNN may add gradients up in another order each time, and a resumed run would
    // not end as one that was never stopped.
    at::globalContext().setDeterministicCuDNN(true);
    *capability = 0;
    auto* attribute = runtime<DeviceAttribute>("cudaDeviceGetAttribute");
    int major = 0, minor = 0;
    if (attribute != nullptr && attribute(&major, capability_major, device) == 0 &&
        attribute(&minor, capability_minor, device) == 0)
      *capability = 10 * major + minor;
  });
}

uf_error uf_free_memory(int64_t device, int64_t* bytes) {
  return guard([&] {
    auto* info = runtime<MemGetInfo>("cudaMemGetInfo");
    if (info == nullptr) throw std::runtime_error("the CUDA runtime is not in this process");
    c10::DeviceGuard on(at::Device(at::kCUDA, device));
    torch::cuda::synchronize(device);
    size_t free = 0, total = 0;
    if (int code = info(&free, &total)) throw std::runtime_error("CUDA error " + std::to_string(code));
    *bytes = free;
  });
}
}
