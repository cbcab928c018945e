// The operations of a network, forward; libtorch derives the way back.
#include "guard.h"

using uf::get;
using uf::give;
using uf::guard;
using uf::list;
using uf::Tensor;

namespace {

// pieces is how many bands of rows to cut each picture into, 1 for none. With one thread
// and fewer than 16 pictures ATen takes 1x1 convolutions to BLAS, and only from 16 on to
// oneDNN, which is up to twice as fast on a detector's few channels. Such a convolution
// does not see which picture a pixel belongs to, so bands count as pictures.
int64_t pieces(const Tensor& x, const Tensor& w, at::IntArrayRef geometry) {
  bool pointwise = w.size(2) == 1 && w.size(3) == 1 && geometry[0] == 1 && geometry[1] == 1 &&
                   geometry[2] == 0 && geometry[3] == 0 && geometry[6] == 1;
  if (!pointwise || !x.is_cpu() || x.scalar_type() != at::kFloat ||
      !x.is_contiguous(at::MemoryFormat::ChannelsLast))
    return 1;
  for (int64_t k = 1; k <= x.size(2); k++)
    if (x.size(2) % k == 0 && x.size(0) * k >= 16) return k;
  return 1;
}

// bands cuts or joins the rows of channels-last pictures, without copying.
Tensor bands(const Tensor& x, int64_t pictures, int64_t height) {
  return x.permute({0, 2, 3, 1}).reshape({pictures, height, x.size(3), x.size(1)}).permute({0, 3, 1, 2});
}

// round rounds the operands of a convolution, of which the last may be none.
void round(int64_t precision, std::initializer_list<Tensor*> operands) {
  auto type = precision == UF_FP16 ? at::kHalf : precision == UF_BF16 ? at::kBFloat16 : at::kFloat;
  for (Tensor* t : operands)
    if (t->defined()) *t = t->to(type);
}

// widen makes rounded operands float again, for what libtorch's CPU multiplies in float only,
// or far slower in bfloat16.
void widen(std::initializer_list<Tensor*> operands) {
  for (Tensor* t : operands)
    if (t->defined() && t->is_cpu()) *t = t->to(at::kFloat);
}

// large_depthwise says that each channel has its own filter, of more than 3x3: oneDNN has no
// kernel for the way back of these in bfloat16, and its plain code takes four times as long as
// that of 16x128x40x40 in float.
bool large_depthwise(const Tensor& w, int64_t groups) {
  return groups > 1 && w.size(0) == groups && w.size(1) == 1 && (w.size(2) > 3 || w.size(3) > 3);
}

}  // namespace

extern "C" {

uf_error uf_conv(uf_tensor** out, uf_tensor* x, uf_tensor* weight, uf_tensor* bias, const int64_t* geometry,
                 int64_t precision) {
  return guard([&] {
    Tensor a = get(x), w = get(weight), b = bias ? get(bias) : Tensor();
    round(precision, {&a, &w, &b});
    auto type = a.scalar_type();
    at::IntArrayRef g(geometry, 7);
    if (large_depthwise(w, g[6])) widen({&a, &w, &b});
    int64_t n = a.size(0), h = a.size(2), k = pieces(a, w, g);
    if (k > 1) a = bands(a, n * k, h / k);
    Tensor y = at::conv2d(a, w, b, g.slice(0, 2), g.slice(2, 2), g.slice(4, 2), g[6]);
    *out = give((k > 1 ? bands(y, n, h) : y).to(type));
  });
}

uf_error uf_conv_transpose(uf_tensor** out, uf_tensor* x, uf_tensor* weight, uf_tensor* bias,
                           const int64_t* geometry, int64_t precision) {
  return guard([&] {
    Tensor a = get(x), w = get(weight), b = bias ? get(bias) : Tensor();
    round(precision, {&a, &w, &b});
    auto type = a.scalar_type();
    widen({&a, &w, &b});  // libtorch 1.13 takes bfloat16 here only where as many channels go in as come out
    at::IntArrayRef g(geometry, 9);
    Tensor y = at::conv_transpose2d(a, w, b, g.slice(0, 2), g.slice(2, 2), g.slice(7, 2), g[6], g.slice(4, 2));
    *out = give(y.to(type));
  });
}

uf_error uf_batch_norm(uf_tensor** out, uf_tensor* x, uf_tensor** parameters, int64_t train, int64_t silu,
                       double momentum, double eps) {
  return guard([&] {
    Tensor& a = get(x);
    std::vector<Tensor> p = list(parameters, 4);
    if (train && a.numel() == a.size(1))
      throw std::invalid_argument("one value per channel has no variance: use a larger batch or picture");
    if (silu && bnsilu::fits(a)) {
      *out = give(bnsilu::apply(a, p[0], p[1], p[2], p[3], train != 0, momentum, eps));
      return;
    }
    Tensor y = at::batch_norm(a, p[0], p[1], p[2], p[3], train != 0, momentum, eps, /*cudnn_enabled=*/true);
    *out = give(silu ? at::silu(y) : y);  // in place it would copy y first, for the way back
  });
}

uf_error uf_activation(uf_tensor** out, uf_tensor* x, const char* kind, double slope) {
  return guard([&] {
    Tensor a = get(x), y;
    auto type = a.scalar_type();
    if (a.is_cpu()) a = a.to(at::kFloat);  // ATen lacks some of them in bfloat16
    std::string k = kind;
    if (k == "silu") y = at::silu(a);
    else if (k == "hardswish") y = at::hardswish(a);
    else if (k == "leakyrelu") y = at::leaky_relu(a, slope);
    else if (k == "relu") y = at::relu(a);
    else if (k == "relu6") y = at::hardtanh(a, 0, 6);
    else if (k == "sigmoid") y = at::sigmoid(a);
    else if (k == "mish") y = at::mish(a);
    else throw std::invalid_argument("no activation is called " + k);
    *out = give(y.to(type));
  });
}

uf_error uf_add(uf_tensor** out, uf_tensor** x, int64_t n) {
  return guard([&] {
    if (n < 2) throw std::invalid_argument("add needs two tensors");
    Tensor sum = at::add(get(x[0]), get(x[1]));
    for (int64_t i = 2; i < n; i++) sum.add_(get(x[i]));
    *out = give(sum);
  });
}

uf_error uf_concat(uf_tensor** out, uf_tensor** x, int64_t n) {
  return guard([&] { *out = give(at::cat(list(x, n), 1)); });
}

uf_error uf_max_pool(uf_tensor** out, uf_tensor* x, int64_t kernel, int64_t stride, int64_t pad) {
  return guard([&] { *out = give(at::max_pool2d(get(x), {kernel, kernel}, {stride, stride}, {pad, pad})); });
}

uf_error uf_upsample(uf_tensor** out, uf_tensor* x, int64_t scale) {
  return guard([&] {
    Tensor& a = get(x);
    *out = give(at::upsample_nearest2d(a, {a.size(2) * scale, a.size(3) * scale}));
  });
}

uf_error uf_slice(uf_tensor** out, uf_tensor* x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  return guard([&] { *out = give(get(x).slice(axis, start, end, step)); });
}
}
