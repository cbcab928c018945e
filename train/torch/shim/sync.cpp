// Batch norm over the whole batch, wherever its pictures are. On the CPU batch norm with
// SiLU is bnsilu.cpp's; everything else comes here.
#include "sync.h"

#include <torch/csrc/autograd/custom_function.h>

using uf::get;
using uf::give;
using uf::guard;
using uf::list;
using uf::Tensor;

namespace syncnorm {

std::vector<double> doubles(const Tensor& t) {
  Tensor host = t.to(at::kCPU, at::kDouble).contiguous();
  return std::vector<double>(host.data_ptr<double>(), host.data_ptr<double>() + host.numel());
}

// channels makes a tensor of numbers per channel that spreads over maps like x.
Tensor channels(std::vector<double>& v, const Tensor& x) {
  Tensor host = at::from_blob(v.data(), {(int64_t)v.size()}, at::TensorOptions().dtype(at::kDouble));
  return host.to(x.device(), at::kFloat, false, /*copy=*/true).view({1, (int64_t)v.size(), 1, 1});
}

// Node's mathematics is at the head of bnsilu.cpp; here dz is dy.
struct Node : torch::autograd::Function<Node> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor x, Tensor gamma, Tensor beta,
                        Tensor running_mean, Tensor running_var, double momentum, double eps, int64_t sync,
                        int64_t member) {
    Tensor in = x.to(at::kFloat);
    auto local = at::var_mean(in, at::IntArrayRef{0, 2, 3}, /*unbiased=*/false);
    std::vector<double> variance = doubles(std::get<0>(local)), mean = doubles(std::get<1>(local));
    double m = uf::whole(reinterpret_cast<uf_sync*>(sync), member, in.numel() / in.size(1), mean, variance);
    std::vector<double> inverse(mean.size());
    for (size_t c = 0; c < mean.size(); c++) inverse[c] = 1 / std::sqrt(variance[c] + eps);
    Tensor u = channels(mean, in), inv = channels(inverse, in);
    running_mean.lerp_(u.view(-1), momentum);
    running_var.lerp_(channels(variance, in).view(-1) * (m / (m - 1)), momentum);
    context->save_for_backward({x, gamma, u, inv});
    context->saved_data["sync"] = sync;
    context->saved_data["member"] = member;
    Tensor scale = inv * gamma.view_as(inv);
    return ((in - u) * scale + beta.view_as(inv)).to(x.scalar_type());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grad) {
    auto s = context->get_saved_variables();
    auto sync = reinterpret_cast<uf_sync*>(context->saved_data["sync"].toInt());
    const Tensor &x = s[0], &gamma = s[1], &inv = s[3];
    Tensor off = x.to(at::kFloat) - s[2], dy = grad[0].to(at::kFloat);
    Tensor sum = dy.sum({0, 2, 3}), dot = (dy * off).sum({0, 2, 3});
    Tensor dgamma = dot * inv.view(-1), dbeta = sum;  // the shares of this member: gradients are summed later
    std::vector<double> S = doubles(sum), Q = doubles(dot);
    double m = uf::both(sync, context->saved_data["member"].toInt(), dy.numel() / dy.size(1), S, Q);
    Tensor dx = (dy - channels(S, dy) / m - off * (channels(Q, dy) * inv * inv / m)) * (inv * gamma.view_as(inv));
    return {dx.to(x.scalar_type()), dgamma, dbeta, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace syncnorm

extern "C" {

uf_error uf_sync_new(uf_sync** out, uf_group* group, int64_t members) {
  return guard([&] { *out = new uf_sync(group, members); });
}

void uf_sync_fail(uf_sync* sync) { sync->fail(); }

void uf_sync_free(uf_sync* sync) { delete sync; }

uf_error uf_sync_norm(uf_tensor** out, uf_tensor* x, uf_tensor** parameters, int64_t silu, double momentum, double eps,
                      uf_sync* sync, int64_t member) {
  return guard([&] {
    Tensor& a = get(x);
    std::vector<Tensor> p = list(parameters, 4);
    if (silu && bnsilu::fits(a)) {
      *out = give(bnsilu::Node::apply(a, p[0], p[1], p[2], p[3], /*frozen=*/false, momentum, eps, (int64_t)sync, member));
      return;
    }
    Tensor y = syncnorm::Node::apply(a, p[0], p[1], p[2], p[3], momentum, eps, (int64_t)sync, member);
    *out = give(silu ? at::silu(y) : y);
  });
}
}
