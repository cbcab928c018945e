// Gradients and the optimizer.
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "guard.h"

using uf::get;
using uf::give;
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
  std::vector<Tensor> some;
  for (const Tensor& g : gradients)
    if (g.defined()) some.push_back(g);
  return some.empty() ? 0 : at::stack(at::_foreach_norm(some)).to(at::kDouble).norm().item<double>();
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

// penalize adds l2*w + l1*sign(w) to the gradients, which it scales first: the limit is on
// what the loss says.
void penalize(std::vector<Tensor>& gradients, uf_tensor** weights, uf_tensor** l2, uf_tensor** l1, double& scale) {
  auto given = [&](uf_tensor** factors) {
    return std::any_of(factors, factors + gradients.size(), [](uf_tensor* f) { return f != nullptr; });
  };
  if (!given(l2) && !given(l1)) return;
  for (size_t i = 0; i < gradients.size(); i++) {
    Tensor& g = gradients[i];
    if (!g.defined()) continue;
    g.mul_(scale);
    if (l2[i] != nullptr) g.addcmul_(get(l2[i]), get(weights[i]));
    if (l1[i] != nullptr) g.addcmul_(get(l1[i]), get(weights[i]).sign());
  }
  scale = 1;
}

// Alike are weights that move by the same numbers, with their gradients and optimizer's
// state. A GPU is given all of them at once: a launch costs it more than a weight does.
struct Alike {
  std::vector<Tensor> weights, gradients, mean, squares;
};

// An AlikeBy has them by rate and decay.
using AlikeBy = std::map<std::pair<double, double>, Alike>;

// move is PyTorch's SGD with Nesterov momentum for one weight that is plain.
void move(Tensor& weight, Tensor& velocity, const Tensor& gradient, double scale, double rate, double decay,
          double momentum) {
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

// move_many is the same for any weights; mean is the velocity.
void move_many(Alike& a, double scale, double rate, double decay, double momentum) {
  std::vector<Tensor> g = at::_foreach_mul(a.gradients, scale);
  if (decay != 0) at::_foreach_add_(g, a.weights, decay);
  at::_foreach_mul_(a.mean, momentum);
  at::_foreach_add_(a.mean, g);
  at::_foreach_add_(g, a.mean, momentum);
  at::_foreach_add_(a.weights, g, -rate);
}

}  // namespace

extern "C" {

uf_error uf_backward(uf_tensor** x, uf_tensor** gradients, int64_t n, double scale) {
  return guard([&] {
    std::vector<Tensor> roots, g;
    for (int64_t i = 0; i < n; i++) {
      if (!get(x[i]).requires_grad()) continue;  // all before it is frozen
      roots.push_back(get(x[i]));
      Tensor given = get(gradients[i]);
      if (scale != 1) given = given * scale;
      g.push_back(given.to(roots.back().scalar_type()));
    }
    if (!roots.empty()) torch::autograd::backward(roots, g);
  });
}

uf_error uf_unscale(uf_tensor** leaves, int64_t n, double scale, int64_t* finite) {
  return guard([&] {
    at::NoGradGuard off;
    std::vector<Tensor> gradients;
    for (int64_t i = 0; i < n; i++)
      if (get(leaves[i]).grad().defined()) gradients.push_back(get(leaves[i]).grad());
    if (!gradients.empty()) at::_foreach_mul_(gradients, 1 / scale);
    *finite = std::isfinite(total_norm(gradients));
  });
}

uf_error uf_clear(uf_tensor** leaves, int64_t n) {
  return guard([&] { clear(leaves, n); });
}

uf_error uf_gradients(uf_tensor** out, uf_tensor** leaves, int64_t n, int64_t k, double scale) {
  return guard([&] {
    at::NoGradGuard off;
    for (int64_t i = 0; i < n; i++) {
      Tensor sum = sum_gradients(leaves, i, n, k);
      out[i] = give(sum.defined() ? sum.mul_(scale) : at::zeros_like(get(leaves[i])));
    }
    clear(leaves, n * k);
  });
}

uf_error uf_sgd(uf_tensor** weights, uf_tensor** velocity, uf_tensor** leaves, uf_tensor** l2, uf_tensor** l1,
                int64_t n, int64_t k, const double* rate, const double* decay, double momentum, double max_norm) {
  return guard([&] {
    at::NoGradGuard off;
    double scale;
    std::vector<Tensor> gradients = take_gradients(leaves, n, k, max_norm, scale);
    penalize(gradients, weights, l2, l1, scale);
    AlikeBy rest;
    for (int64_t i = 0; i < n; i++) {
      if (!gradients[i].defined()) continue;
      Tensor &w = get(weights[i]), &v = get(velocity[i]);
      if (plain(w, v) && plain(w, gradients[i])) {
        move(w, v, gradients[i], scale, rate[i], decay[i], momentum);
        continue;
      }
      Alike& a = rest[{rate[i], decay[i]}];
      a.weights.push_back(w);
      a.gradients.push_back(gradients[i]);
      a.mean.push_back(v);
    }
    for (auto& [by, alike] : rest) move_many(alike, scale, by.first, by.second, momentum);
  });
}

uf_error uf_adam(uf_tensor** weights, uf_tensor** mean, uf_tensor** squares, uf_tensor** leaves, uf_tensor** l2,
                 uf_tensor** l1, int64_t n, int64_t k, const double* rate, const double* decay, double beta1, double beta2, double epsilon, double max_norm,
                 int64_t step, int64_t decoupled) {
  return guard([&] {
    at::NoGradGuard off;
    double scale;
    std::vector<Tensor> gradients = take_gradients(leaves, n, k, max_norm, scale);
    penalize(gradients, weights, l2, l1, scale);
    const double bias1 = 1 - std::pow(beta1, step), bias2 = std::sqrt(1 - std::pow(beta2, step));
    AlikeBy all;
    for (int64_t i = 0; i < n; i++) {
      if (!gradients[i].defined()) continue;
      Alike& a = all[{rate[i], decay[i]}];
      a.weights.push_back(get(weights[i]));
      a.gradients.push_back(gradients[i]);
      a.mean.push_back(get(mean[i]));
      a.squares.push_back(get(squares[i]));
    }
    for (auto& [by, a] : all) {
      const auto [rate, decay] = by;
      std::vector<Tensor> g = at::_foreach_mul(a.gradients, scale);
      if (decoupled) at::_foreach_mul_(a.weights, 1 - rate * decay);
      else if (decay != 0) at::_foreach_add_(g, a.weights, decay);
      at::_foreach_mul_(a.mean, beta1);
      at::_foreach_add_(a.mean, g, 1 - beta1);
      at::_foreach_mul_(a.squares, beta2);
      at::_foreach_addcmul_(a.squares, g, g, 1 - beta2);
      std::vector<Tensor> root = at::_foreach_sqrt(a.squares);
      at::_foreach_div_(root, bias2);
      at::_foreach_add_(root, epsilon);
      at::_foreach_addcdiv_(a.weights, a.mean, root, -rate / bias1);
    }
  });
}
}
