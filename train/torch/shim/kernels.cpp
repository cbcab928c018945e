// Compiled once per instruction set, which -DUF_ISA names. Everything but the two tables
// is private to the file: functions of one name and several instruction sets must not
// meet in the linker.
#include "kernels.h"

#include <string.h>

namespace {

#define INLINE inline __attribute__((always_inline))

template <class To, class From>
INLINE To bits(From from) {
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

INLINE float load(float v) { return v; }
INLINE float load(uint16_t v) { return bits<float>((uint32_t)v << 16); }
INLINE void store(float* p, float v) { *p = v; }
INLINE void store(uint16_t* p, float v) {  // rounded to nearest, ties away from zero
  *p = (uint16_t)((bits<uint32_t>(v) + 0x8000u) >> 16);
}

// Adding magic, 1.5 * 2^23, rounds to a whole number n and leaves it in the lowest bits.
const float magic = 12582912.f;

// scaled is p * 2^n for t = n + magic: n is added to the exponent of p.
INLINE float scaled(float p, float t) { return bits<float>(bits<uint32_t>(p) + (bits<uint32_t>(t) << 23)); }

// clamped keeps exp in the range of float; beyond +-87 sigmoid is flat.
INLINE float clamped(float x) {
  x = x > -87.f ? x : -87.f;  // in this order it is one instruction; z itself carries a NaN on
  return x < 87.f ? x : 87.f;
}

// sigmoid is 1 / (1 + exp(-z)), with exp(x) = 2^n * exp(r), x = n ln 2 + r, |r| <= ln 2 / 2,
// and the polynomial of degree 6 for exp(r) from Cephes' expf (S. L. Moshier). Its error is
// about 1e-7.
INLINE float sigmoid(float z, float) {
  float x = clamped(-z);
  float t = x * 1.44269504f + magic, n = t - magic;
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  return 1.f / (1.f + scaled(p, t));
}

// The same for results of 8 bits: 2^f, |f| <= 1/2, by the polynomial of degree 3 whose
// largest relative error, 7.5e-5, is the smallest.
INLINE float sigmoid(float z, uint16_t) {
  float x = clamped(-z) * 1.44269504f;
  float t = x + magic, f = x - (t - magic);
  float p = 0.0551716648f;
  p = p * f + 0.2426111251f;
  p = p * f + 0.6932609677f;
  p = p * f + 0.9999280572f;
  return 1.f / (1.f + scaled(p, t));
}

template <class T>
void sums(const T* x, int64_t rows, int64_t width, const float* __restrict shift, float* __restrict sum,
          float* __restrict square) {
  for (int64_t r = 0; r < rows; r++, x += width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      float v = load(x[i]) - shift[i];
      sum[i] += v;
      square[i] += v * v;
    }
  }
}

template <class T>
void forward(const T* __restrict x, T* __restrict y, int64_t rows, int64_t width, const float* __restrict scale,
             const float* __restrict offset) {
  for (int64_t r = 0; r < rows; r++, x += width, y += width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      float z = scale[i] * load(x[i]) + offset[i];
      store(y + i, z * sigmoid(z, T()));
    }
  }
}

template <class T>
void backward(const T* __restrict x, const T* __restrict dy, T* __restrict dz, int64_t rows, int64_t width,
              const float* __restrict scale, const float* __restrict offset, const float* __restrict mean,
              float* __restrict sum, float* __restrict dot) {
  for (int64_t r = 0; r < rows; r++, x += width, dy += width, dz += width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      float v = load(x[i]);
      float z = scale[i] * v + offset[i];
      float s = sigmoid(z, T());
      float d = load(dy[i]) * s * (1.f + z * (1.f - s));
      store(dz + i, d);
      sum[i] += d;
      dot[i] += d * (v - mean[i]);
    }
  }
}

template <class T>
void finish(const T* __restrict x, T* __restrict dz, int64_t rows, int64_t width, const float* __restrict a,
            const float* __restrict b, const float* __restrict c) {
  for (int64_t r = 0; r < rows; r++, x += width, dz += width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) store(dz + i, a[i] * load(dz[i]) + b[i] * load(x[i]) + c[i]);
  }
}

void rounding(const float* __restrict x, float* __restrict y, bool* __restrict outside, int64_t n, float scale,
              float low, float high) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    float v = x[i] / scale;
    v = v > low - 1.f ? v : low - 1.f;  // in this order what is no number becomes the lowest, as graph.Quantize has it
    v = v < high + 1.f ? v : high + 1.f;
    v = (v + magic) - magic;
    outside[i] = (v < low) | (v > high);
    v = v > low ? v : low;
    v = v < high ? v : high;
    y[i] = v * scale;
  }
}

}  // namespace

#define PASTE(a, b) a##b
#define NAME(prefix, isa) PASTE(prefix, isa)
extern "C" const Kernels<float> NAME(uf_f32_, UF_ISA) = {sums, forward, backward, finish};
extern "C" const Kernels<uint16_t> NAME(uf_bf16_, UF_ISA) = {sums, forward, backward, finish};
extern "C" const Rounding NAME(uf_rounding_, UF_ISA) = rounding;
