// The inner loops of batch norm + SiLU, compiled once per instruction set (kernels.cpp)
// and chosen at run time (bnsilu.cpp).
#pragma once
#include <stdint.h>

// A block is rows x width values without gaps; coefficients and sums have width entries.
// T is float, or uint16_t that holds bfloat16.
template <class T>
struct Kernels {
  // sum += x - shift, square += (x - shift)^2. The shift, any value of the channel, keeps
  // the variance exact where the mean is far larger than the deviation.
  void (*sums)(const T* x, int64_t rows, int64_t width, const float* shift, float* sum, float* square);
  // y = z * sigmoid(z), z = scale * x + offset
  void (*forward)(const T* x, T* y, int64_t rows, int64_t width, const float* scale, const float* offset);
  // dz = dy * SiLU'(z); sum += dz, dot += dz * (x - mean)
  void (*backward)(const T* x, const T* dy, T* dz, int64_t rows, int64_t width, const float* scale,
                   const float* offset, const float* mean, float* sum, float* dot);
  // dx = a * dz + b * x + c, in the place of dz
  void (*finish)(const T* x, T* dz, int64_t rows, int64_t width, const float* a, const float* b, const float* c);
};

// A Rounding takes n values to the whole multiples of scale from low to high that are nearest,
// and notes of which the nearest lies beyond. low - 1 and high + 1 are whole numbers of a float.
typedef void (*Rounding)(const float* x, float* y, bool* outside, int64_t n, float scale, float low, float high);

#define UF_KERNELS(isa)                             \
  extern "C" const Kernels<float> uf_f32_##isa;    \
  extern "C" const Kernels<uint16_t> uf_bf16_##isa; \
  extern "C" const Rounding uf_rounding_##isa;

UF_KERNELS(base)  // whatever the compiler assumes by itself
#if defined(__x86_64__)
UF_KERNELS(v3)  // AVX2 and FMA
UF_KERNELS(v4)  // AVX-512 F, BW, DQ, VL
#endif
