// Batch norm and the SiLU behind it as one operation on the CPU. Apart they save two maps
// for the way back and pass over memory eight times; together they save x alone.
//
// With z = scale*x + offset (scale = gamma/sigma, offset = beta - scale*mean), y = SiLU(z),
// dz = dy * SiLU'(z), S = sum dz, Q = sum dz*(x-mean) over the m values of a channel:
//
//   dgamma = Q/sigma   dbeta = S   dx = scale * (dz - S/m - (x-mean) * Q/(sigma^2 m))
//
// (Ioffe, Szegedy: Batch Normalization, 2015, section 3.) Sums run in float over blocks of
// a few hundred values and in double over blocks.
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "guard.h"
#include "kernels.h"
#include "sync.h"

namespace bnsilu {

using uf::Tensor;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

#if defined(__x86_64__)
template <class K>
const K& choose(const K& base, const K& v3, const K& v4) {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return v4;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return v3;
  return base;
}

template <class T>
const Kernels<T>& kernels();
template <>
const Kernels<float>& kernels<float>() {
  static const Kernels<float>& k = choose(uf_f32_base, uf_f32_v3, uf_f32_v4);
  return k;
}
template <>
const Kernels<uint16_t>& kernels<uint16_t>() {
  static const Kernels<uint16_t>& k = choose(uf_bf16_base, uf_bf16_v3, uf_bf16_v4);
  return k;
}
#else
template <class T>
const Kernels<T>& kernels();
template <>
const Kernels<float>& kernels<float>() { return uf_f32_base; }
template <>
const Kernels<uint16_t>& kernels<uint16_t>() { return uf_bf16_base; }
#endif

// fits reports whether apply can take x; everything else goes through ATen.
bool fits(const Tensor& x) {
  return x.is_cpu() && x.dim() == 4 && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         (x.is_contiguous() || x.is_contiguous(at::MemoryFormat::ChannelsLast));
}

// A Layout cuts a map into blocks of rows x width whose columns have fixed channels:
// column i of a channels-last block is channel i % C, with several pixels to a row where C
// is small; a plane of NCHW is cut into rows of `lanes` values of one channel.
struct Layout {
  static constexpr int64_t lanes = 64, block = 256;
  int64_t batch, channels, plane, width;
  bool last;

  explicit Layout(const Tensor& x)
      : batch(x.size(0)), channels(x.size(1)), plane(x.size(2) * x.size(3)), last(!x.is_contiguous()) {
    width = lanes;
    if (last) {
      width = channels;
      while (width < lanes && values() * channels % (2 * width) == 0) width *= 2;
    }
  }

  int64_t values() const { return batch * plane; }  // per channel
  int64_t columns() const { return last ? width : channels * lanes; }
  int64_t channel(int64_t column) const { return last ? column % channels : column / lanes; }
  int64_t first(int64_t c) const { return last ? c : c * plane; }  // where a value of channel c lies

  // spread repeats a value per channel for every column.
  Floats spread(const Floats& v) const {
    Floats wide(columns());
    for (int64_t i = 0; i < columns(); i++) wide[i] = v[channel(i)];
    return wide;
  }

  // each calls f(offset, rows, width, column) for every block.
  template <class F>
  void each(F f) const {
    if (last) {
      int64_t rows = values() * channels / width;
      for (int64_t r = 0; r < rows; r += block) f(r * width, std::min(block, rows - r), width, 0);
      return;
    }
    for (int64_t p = 0; p < batch * channels; p++) {
      int64_t at = p * plane, column = p % channels * lanes, rows = plane / lanes;
      for (int64_t r = 0; r < rows; r += block) f(at + r * lanes, std::min(block, rows - r), lanes, column);
      if (plane % lanes) f(at + rows * lanes, 1, plane % lanes, column);
    }
  }

  // add_up gives the totals per channel of two sums, which f(offset, rows, width, column,
  // a, b) collects per block.
  template <class F>
  void add_up(Doubles& total_a, Doubles& total_b, F f) const {
    total_a.assign(channels, 0);
    total_b.assign(channels, 0);
    Floats a(width), b(width);
    each([&](int64_t at, int64_t rows, int64_t w, int64_t column) {
      std::fill(a.begin(), a.end(), 0.f);
      std::fill(b.begin(), b.end(), 0.f);
      f(at, rows, w, column, a.data(), b.data());
      for (int64_t i = 0; i < w; i++) {
        total_a[channel(column + i)] += a[i];
        total_b[channel(column + i)] += b[i];
      }
    });
  }
};

template <class T>
const T* data(const Tensor& t) { return static_cast<const T*>(t.data_ptr()); }
template <class T>
T* data(Tensor& t) { return static_cast<T*>(t.data_ptr()); }

float toFloat(float v) { return v; }
float toFloat(uint16_t v) {
  uint32_t u = (uint32_t)v << 16;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

// statistics computes mean and variance (divided by m) of each channel.
template <class T>
void statistics(const Tensor& x, const Layout& l, Doubles& mean, Doubles& variance) {
  const T* in = data<T>(x);
  Floats shift(l.channels);
  for (int64_t c = 0; c < l.channels; c++) shift[c] = toFloat(in[l.first(c)]);
  Floats wide = l.spread(shift);
  l.add_up(mean, variance, [&](int64_t at, int64_t rows, int64_t w, int64_t column, float* sum, float* square) {
    kernels<T>().sums(in + at, rows, w, wide.data() + column, sum, square);
  });
  double m = l.values();
  for (int64_t c = 0; c < l.channels; c++) {
    double off = mean[c] / m;
    mean[c] = shift[c] + off;
    variance[c] = std::max(0.0, variance[c] / m - off * off);
  }
}

// normalize computes y, given mean and 1/sigma of each channel.
template <class T>
Tensor normalize(const Tensor& x, const Layout& l, const Tensor& gamma, const Tensor& beta, const float* mean,
                 const float* inverse) {
  Tensor y = at::empty_like(x);
  Floats scale(l.channels), offset(l.channels);
  for (int64_t c = 0; c < l.channels; c++) {
    scale[c] = data<float>(gamma)[c] * inverse[c];
    offset[c] = data<float>(beta)[c] - scale[c] * mean[c];
  }
  Floats a = l.spread(scale), b = l.spread(offset);
  l.each([&](int64_t at, int64_t rows, int64_t w, int64_t column) {
    kernels<T>().forward(data<T>(x) + at, data<T>(y) + at, rows, w, a.data() + column, b.data() + column);
  });
  return y;
}

// train normalizes with the statistics of x, keeps them for the way back and moves the
// running ones: the running variance is that of a sample, divided by m-1. With sync the
// statistics are those of all its members' values.
template <class T>
Tensor train(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor running_mean, Tensor running_var,
             double momentum, double eps, uf_sync* sync, int64_t member, Tensor& mean, Tensor& inverse) {
  Layout l(x);
  Doubles u, v;
  statistics<T>(x, l, u, v);
  double m = l.values();
  if (sync != nullptr) m = uf::whole(sync, member, m, u, v);
  mean = at::empty({l.channels}, gamma.options().requires_grad(false));
  inverse = at::empty_like(mean);
  double sample = m / std::max(1.0, m - 1);
  float *rm = data<float>(running_mean), *rv = data<float>(running_var);
  for (int64_t c = 0; c < l.channels; c++) {
    data<float>(mean)[c] = u[c];
    data<float>(inverse)[c] = 1 / std::sqrt(v[c] + eps);
    rm[c] += momentum * (u[c] - rm[c]);
    rv[c] += momentum * (v[c] * sample - rv[c]);
  }
  return normalize<T>(x, l, gamma, beta, data<float>(mean), data<float>(inverse));
}

// inverses are 1/sigma by the running variance.
Tensor inverses(const Tensor& running_var, double eps) {
  Tensor inverse = at::empty_like(running_var);
  for (int64_t c = 0; c < inverse.numel(); c++) data<float>(inverse)[c] = 1 / std::sqrt(data<float>(running_var)[c] + eps);
  return inverse;
}

template <class T>
Tensor evaluate(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                const Tensor& running_var, double eps) {
  return normalize<T>(x, Layout(x), gamma, beta, data<float>(running_mean), data<float>(inverses(running_var, eps)));
}

// gradients is the way back. With frozen, mean and sigma are the running ones, which do not
// depend on x: of dx the first term is left.
template <class T>
Tensor gradients(const Tensor& x, const Tensor& dy, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                 const Tensor& inverse, bool frozen, uf_sync* sync, int64_t member, Tensor& dgamma, Tensor& dbeta) {
  Layout l(x);
  const float *g = data<float>(gamma), *b = data<float>(beta), *u = data<float>(mean), *inv = data<float>(inverse);
  Floats scale(l.channels), offset(l.channels);
  for (int64_t c = 0; c < l.channels; c++) {
    scale[c] = g[c] * inv[c];
    offset[c] = b[c] - scale[c] * u[c];
  }
  Tensor dx = at::empty_like(x);
  Floats ws = l.spread(scale), wo = l.spread(offset), wu = l.spread(Floats(u, u + l.channels));
  Doubles sum, dot;
  l.add_up(sum, dot, [&](int64_t at, int64_t rows, int64_t w, int64_t k, float* s, float* d) {
    kernels<T>().backward(data<T>(x) + at, data<T>(dy) + at, data<T>(dx) + at, rows, w, ws.data() + k,
                          wo.data() + k, wu.data() + k, s, d);
  });
  dgamma = at::empty_like(mean);
  dbeta = at::empty_like(mean);
  for (int64_t c = 0; c < l.channels; c++) {
    data<float>(dgamma)[c] = dot[c] * inv[c];
    data<float>(dbeta)[c] = sum[c];
  }
  Floats byX(l.channels), constant(l.channels);
  double m = l.values();
  if (sync != nullptr) m = uf::both(sync, member, m, sum, dot);
  for (int64_t c = 0; c < l.channels && !frozen; c++) {
    double k = scale[c] * (double)inv[c] * inv[c] * dot[c] / m;
    byX[c] = -k;
    constant[c] = k * u[c] - scale[c] * sum[c] / m;
  }
  Floats wx = l.spread(byX), wc = l.spread(constant);
  l.each([&](int64_t at, int64_t rows, int64_t w, int64_t k) {
    kernels<T>().finish(data<T>(x) + at, data<T>(dx) + at, rows, w, ws.data() + k, wx.data() + k, wc.data() + k);
  });
  return dx;
}

// Node is the recorded operation of training.
struct Node : torch::autograd::Function<Node> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor x, Tensor gamma, Tensor beta,
                        Tensor running_mean, Tensor running_var, bool frozen, double momentum, double eps,
                        int64_t handle, int64_t member) {
    Tensor mean, inverse, y;
    auto sync = reinterpret_cast<uf_sync*>(handle);
    bool full = x.scalar_type() == at::kFloat;
    if (frozen) {
      mean = running_mean.clone();  // it may move before the way back
      inverse = inverses(running_var, eps);
      y = full ? normalize<float>(x, Layout(x), gamma, beta, data<float>(mean), data<float>(inverse))
               : normalize<uint16_t>(x, Layout(x), gamma, beta, data<float>(mean), data<float>(inverse));
    } else {
      y = full ? train<float>(x, gamma, beta, running_mean, running_var, momentum, eps, sync, member, mean, inverse)
               : train<uint16_t>(x, gamma, beta, running_mean, running_var, momentum, eps, sync, member, mean, inverse);
    }
    context->save_for_backward({x, gamma, beta, mean, inverse});
    context->saved_data["frozen"] = frozen;
    context->saved_data["sync"] = handle;
    context->saved_data["member"] = member;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grad) {
    auto s = context->get_saved_variables();
    const Tensor& x = s[0];
    auto order = x.is_contiguous() ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
    Tensor dy = grad[0].to(x.scalar_type()).contiguous(order), dgamma, dbeta;
    auto sync = reinterpret_cast<uf_sync*>(context->saved_data["sync"].toInt());
    int64_t member = context->saved_data["member"].toInt();
    bool frozen = context->saved_data["frozen"].toBool();
    Tensor dx = x.scalar_type() == at::kFloat
                    ? gradients<float>(x, dy, s[1], s[2], s[3], s[4], frozen, sync, member, dgamma, dbeta)
                    : gradients<uint16_t>(x, dy, s[1], s[2], s[3], s[4], frozen, sync, member, dgamma, dbeta);
    return {dx, dgamma, dbeta, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// apply is the whole operation. Out of training a way back is recorded where the calling
// thread wants one: that of frozen statistics.
Tensor apply(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
             const Tensor& running_var, bool train, double momentum, double eps) {
  if (train || at::GradMode::is_enabled())
    return Node::apply(x, gamma, beta, running_mean, running_var, /*frozen=*/!train, momentum, eps, /*sync=*/(int64_t)0, /*member=*/(int64_t)0);
  return x.scalar_type() == at::kFloat ? evaluate<float>(x, gamma, beta, running_mean, running_var, eps)
                                       : evaluate<uint16_t>(x, gamma, beta, running_mean, running_var, eps);
}

}  // namespace bnsilu
