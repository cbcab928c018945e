// What every function of the shim needs: handles, and a wall that no exception passes.
#pragma once
#include <ATen/ATen.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "uf.h"

namespace uf {

using at::Tensor;

inline std::atomic<int64_t> live{0};

inline Tensor& get(uf_tensor* t) {
  if (t == nullptr) throw std::invalid_argument("no tensor");
  return *reinterpret_cast<Tensor*>(t);
}

inline uf_tensor* give(Tensor t) {
  auto* p = new Tensor(std::move(t));
  live++;
  return reinterpret_cast<uf_tensor*>(p);
}

inline std::vector<Tensor> list(uf_tensor** t, int64_t n) {
  std::vector<Tensor> v;
  v.reserve(n);
  for (int64_t i = 0; i < n; i++) v.push_back(get(t[i]));
  return v;
}

inline char* text(const std::string& s) { return strdup(s.c_str()); }

// guard runs a body and turns whatever it throws into a message.
template <class Body>
uf_error guard(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& e) {
    return strdup(e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return strdup("out of memory");
  } catch (const std::exception& e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("an exception of unknown type");
  }
}

}  // namespace uf
