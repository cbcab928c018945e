// Gradients and the optimizer.
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "guard.h"

using uf::get;
using uf::guard;
using uf::Tensor;

namespace {

// sum_gradients adds the gradients that k replicas hold for weight i into one, undefined
// if none of them has any.
Tensor sum_gradients(uf_tensor** leaves, int64_t i, int64_t n, int64_t k) {
  Tensor sum;
  for (int64_t j = 0; j < k; j++) {
    Tensor g = get(leaves[j * n + i]).grad();
    if (!g.defined()) continue;
    if (sum.defined()) sum.add_(g);
    else sum = g;
  }
  return sum;
}

// total_norm is the L2 norm of all gradients as one vector.
double total_norm(const std::vector<Tensor>& gradients) {
  std::vector<Tensor> norms;
  for (const Tensor& g : gradients)
    if (g.defined()) norms.push_back(g.norm().to(at::kDouble));
  return norms.empty() ? 0 : at::stack(norms).norm().item<double>();
}

void clear(uf_tensor** leaves, int64_t n) {
  for (int64_t i = 0; i < n; i++) get(leaves[i]).mutable_grad() = Tensor();
}

// take_gradients sums the gradients of k replicas, clears them, and says by what they are
// to be scaled so that their norm is max_norm at most.
std::vector<Tensor> take_gradients(uf_tensor** leaves, int64_t n, int64_t k, double max_norm, double& scale) {
  std::vector<Tensor> gradients;
  for (int64_t i = 0; i < n; i++) gradients.push_back(sum_gradients(leaves, i, n, k));
  clear(leaves, n * k);
  scale = 1;
  if (max_norm > 0) {
    double norm = total_norm(gradients);
    if (!std::isfinite(norm))
      throw std::runtime_error("gradients are not finite: lower the learning rate, or check the labels");
    scale = std::min(1.0, max_norm / (norm + 1e-6));  // as torch.nn.utils.clip_grad_norm_
  }
  return gradients;
}

// move is PyTorch's SGD with Nesterov momentum for one weight.
void move(Tensor& weight, Tensor& velocity, const Tensor& gradient, double scale, double rate, double decay,
          double momentum) {
  if (!plain(weight, velocity) || !plain(weight, gradient)) {
    Tensor g = (gradient * scale).add_(weight, decay);
    velocity.mul_(momentum).add_(g);
    weight.add_(g.add_(velocity, momentum), -rate);
    return;
  }
  float* w = weight.data_ptr<float>();
  float* v = velocity.data_ptr<float>();
  const float* d = gradient.data_ptr<float>();
  const float s = scale, r = rate, l2 = decay, m = momentum;
  for (int64_t e = 0; e < weight.numel(); e++) {
    float g = s * d[e] + l2 * w[e];
    v[e] = m * v[e] + g;
    w[e] -= r * (g + m * v[e]);
  }
}

}  // namespace

extern "C" {

uf_error uf_backward(uf_tensor** x, uf_tensor** gradients, int64_t n) {
  return guard([&] {
    std::vector<Tensor> roots, g;
    for (int64_t i = 0; i < n; i++) {
      if (!get(x[i]).requires_grad()) continue;  // all before it is frozen
      roots.push_back(get(x[i]));
      g.push_back(get(gradients[i]).to(roots.back().scalar_type()));
    }
    if (!roots.empty()) torch::autograd::backward(roots, g);
  });
}

uf_error uf_clear(uf_tensor** leaves, int64_t n) {
  return guard([&] { clear(leaves, n); });
}

uf_error uf_sgd(uf_tensor** weights, uf_tensor** velocity, uf_tensor** leaves, int64_t n, int64_t k,
                const double* rate, const double* decay, double momentum, double max_norm) {
  return guard([&] {
    at::NoGradGuard off;
    double scale;
    std::vector<Tensor> gradients = take_gradients(leaves, n, k, max_norm, scale);
    for (int64_t i = 0; i < n; i++)
      if (gradients[i].defined())
        move(get(weights[i]), get(velocity[i]), gradients[i], scale, rate[i], decay[i], momentum);
  });
}

uf_error uf_adam(uf_tensor** weights, uf_tensor** mean, uf_tensor** squares, uf_tensor** leaves, int64_t n, int64_t k,
                 const double* rate, const double* decay, double beta1, double beta2, double epsilon, double max_norm,
                 int64_t step, int64_t decoupled) {
  return guard([&] {
    at::NoGradGuard off;
    double scale;
    std::vector<Tensor> gradients = take_gradients(leaves, n, k, max_norm, scale);
    const double bias1 = 1 - std::pow(beta1, step), bias2 = std::sqrt(1 - std::pow(beta2, step));
    for (int64_t i = 0; i < n; i++) {
      if (!gradients[i].defined()) continue;
      Tensor &w = get(weights[i]), &m = get(mean[i]), &s = get(squares[i]);
      Tensor g = gradients[i] * scale;
      if (decoupled) w.mul_(1 - rate[i] * decay[i]);
      else g.add_(w, decay[i]);
      m.mul_(beta1).add_(g, 1 - beta1);
      s.mul_(beta2).addcmul_(g, g, 1 - beta2);
      w.addcdiv_(m, s.sqrt().div_(bias2).add_(epsilon), -rate[i] / bias1);
    }
  });
}
}
