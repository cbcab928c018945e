// Sums over the threads of a step and the processes behind them, for batch norm over a
// whole batch.
#pragma once
#include <condition_variable>
#include <mutex>

#include "group.h"

struct uf_sync {
  uf_sync(uf_group* group, int64_t members) : group(group), parts(members) {}

  // add replaces v by its sum over all members, who call it in the same order. It adds in
  // the order of members, so that nothing depends on who comes first. Once one member has
  // failed, nobody waits for it.
  void add(int64_t member, std::vector<double>& v) {
    std::unique_lock<std::mutex> lock(mutex);
    if (failed) throw std::runtime_error("another worker failed");
    parts[member] = v;
    int64_t mine = round;
    if (++arrived < (int64_t)parts.size()) {
      changed.wait(lock, [&] { return failed || round != mine; });
      if (round == mine) throw std::runtime_error("another worker failed");
      v = result;
      return;
    }
    result.assign(v.size(), 0);
    for (const auto& p : parts)
      for (size_t i = 0; i < v.size(); i++) result[i] += p[i];
    try {
      if (group != nullptr) share();
    } catch (...) {
      failed = true;
      changed.notify_all();
      throw;
    }
    arrived = 0;
    round++;
    v = result;
    changed.notify_all();
  }

  void fail() {
    std::lock_guard<std::mutex> lock(mutex);
    failed = true;
    changed.notify_all();
  }

 private:
  uf_group* group;
  std::vector<std::vector<double>> parts;
  std::vector<double> result;
  int64_t arrived = 0, round = 0;
  bool failed = false;
  std::mutex mutex;
  std::condition_variable changed;

  void share() {
    at::NoGradGuard off;
    at::Tensor host = at::from_blob(result.data(), {(int64_t)result.size()}, at::TensorOptions().dtype(at::kDouble));
    at::Tensor sum = host.to(group->device);  // itself on the CPU
    group->sum(sum);
    if (group->device.is_cuda()) host.copy_(sum);
  }
};

namespace uf {

// whole turns the mean and variance of m values of each channel here into those of all
// members' values, and returns how many these are.
inline double whole(uf_sync* sync, int64_t member, double m, std::vector<double>& mean, std::vector<double>& variance) {
  size_t n = mean.size();
  std::vector<double> v(2 * n + 1);
  for (size_t c = 0; c < n; c++) {
    v[c] = m * mean[c];
    v[n + c] = m * (variance[c] + mean[c] * mean[c]);
  }
  v[2 * n] = m;
  sync->add(member, v);
  double total = v[2 * n];
  if (total <= 1) throw std::invalid_argument("one value per channel has no variance: use a larger batch or picture");
  for (size_t c = 0; c < n; c++) {
    mean[c] = v[c] / total;
    variance[c] = v[n + c] / total - mean[c] * mean[c];
    if (variance[c] < 0) variance[c] = 0;  // a NaN stays
  }
  return total;
}

// both adds two lists and a count over all members.
inline double both(uf_sync* sync, int64_t member, double m, std::vector<double>& a, std::vector<double>& b) {
  std::vector<double> v(a);
  v.insert(v.end(), b.begin(), b.end());
  v.push_back(m);
  sync->add(member, v);
  std::copy_n(v.begin(), a.size(), a.begin());
  std::copy_n(v.begin() + a.size(), b.size(), b.begin());
  return v.back();
}

}  // namespace uf
