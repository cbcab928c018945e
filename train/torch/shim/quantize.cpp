// Rounding to 8 bits while a network learns: forward to the grid, backward as if nothing had
// been rounded, and nothing where a value was held to the grid's ends (the straight-through
// estimator; Jacob et al., 2018, arXiv 1712.05877, section 3).
//
// ATen's fake_quantize_per_tensor_affine multiplies by 1/scale where graph.Quantize divides,
// so that now and then a value gets another level than in the engine.
#include <torch/csrc/autograd/custom_function.h>

#include "guard.h"
#include "kernels.h"

using uf::get;
using uf::give;
using uf::guard;
using uf::Tensor;

namespace {

Rounding rounding() {
#if defined(__x86_64__)
  static const Rounding f = bnsilu::choose(uf_rounding_base, uf_rounding_v3, uf_rounding_v4);
  return f;
#else
  return uf_rounding_base;
#endif
}

// number returns a number as a tensor where like is: instead of dividing by a plain one, ATen
// multiplies by its reciprocal on a GPU.
Tensor number(double v, const Tensor& like) { return at::full({}, v, like.options().requires_grad(false)); }

// rounded returns the nearest multiples of scale from low to high, and of which values the nearest
// lies beyond. What is no number stays so on a GPU, and so ends a training, as the loss is none.
Tensor rounded(const Tensor& x, double scale, int64_t low, int64_t high, Tensor& outside) {
  if (!x.is_cpu()) {
    Tensor k = at::round(at::div(x, number(scale, x)));
    outside = at::logical_or(k < low, k > high);
    return k.clamp_(low, high).mul_(number(scale, x));
  }
  Tensor y = at::empty_like(x);
  outside = at::empty_like(x, x.options().dtype(at::kBool));
  rounding()(x.data_ptr<float>(), y.data_ptr<float>(), outside.data_ptr<bool>(), x.numel(), scale, low, high);
  return y;
}

struct Levels : torch::autograd::Function<Levels> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor x, double scale, int64_t zero) {
    Tensor outside, y = rounded(x, scale, -zero, 255 - zero, outside);
    context->save_for_backward({outside});
    return y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grad) {
    return {grad[0].masked_fill(context->get_saved_variables()[0], 0), Tensor(), Tensor()};
  }
};

// channelScales returns graph.Conv.EightBits' scales of weights, one for each output channel.
Tensor channelScales(const Tensor& w) {
  Tensor scale = at::div(at::amax(w.abs(), {1, 2, 3}, /*keepdim=*/true), number(127, w));
  return scale.masked_fill(scale < 1e-30, 1);
}

// Weights rounds as graph.Conv.EightBits does. The largest of a channel is a level, so none is
// held to an end.
struct Weights : torch::autograd::Function<Weights> {
  static Tensor forward(torch::autograd::AutogradContext*, Tensor w) {
    Tensor scale = channelScales(w);
    Tensor k = at::round(at::div(w.to(at::kDouble), scale.to(at::kDouble))).clamp_(-127, 127);
    return k.to(at::kFloat).mul_(scale);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list grad) {
    return {grad[0]};
  }
};

// Bias rounds to whole multiples of the scales of products, as codegen.Quant.Sum does where
// such a number fits 32 bits.
struct Bias : torch::autograd::Function<Bias> {
  static Tensor forward(torch::autograd::AutogradContext*, Tensor b, Tensor w, double scale) {
    Tensor step = channelScales(w).flatten().mul(number(scale, w)).to(at::kDouble);
    Tensor k = at::round(at::div(b.to(at::kDouble), step));
    return at::where(k.abs() < 0x1p30, k.mul(step).to(at::kFloat), b);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list grad) {
    return {grad[0], Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

uf_error uf_quantize(uf_tensor** out, uf_tensor* x, double scale, int64_t zero) {
  return guard([&] {
    Tensor a = get(x).to(at::kFloat);
    if (!a.is_non_overlapping_and_dense()) a = a.contiguous();
    *out = give(Levels::apply(a, scale, zero));
  });
}

uf_error uf_round_weights(uf_tensor** out, uf_tensor* weight) {
  return guard([&] { *out = give(Weights::apply(get(weight))); });
}

uf_error uf_round_bias(uf_tensor** out, uf_tensor* bias, uf_tensor* weight, double scale) {
  return guard([&] { *out = give(Bias::apply(get(bias), get(weight).detach(), scale)); });
}
}
