// Window, real FFT, magnitude: one kernel for all of it, and the three of the usual pipeline.
//
// The same text is CUDA for NVRTC and C++ for a compiler without a GPU. There a block's threads run
// one after the other between two barriers, in either order, so a step that leans on the order of
// its threads gives another result in each.
//
// Set from outside: NFFT (a power of two), THREADS (per block), COMPLEX_OUTPUT (0 or 1).
//
// A frame of NFFT real samples is taken for NFFT / 2 complex ones (even samples real, odd samples
// imaginary), transformed by a Stockham radix-4 FFT between two halves of the shared memory, and
// untangled into NFFT / 2 + 1 bins (W. H. Press et al., Numerical Recipes, 3rd ed., 12.3.2; the
// Stockham order: C. Van Loan, Computational Frameworks for the FFT, 1.7).

#define HALF (NFFT / 2)
#define BINS (HALF + 1)

#ifdef __CUDACC__
#define DEVICE __device__ __forceinline__
#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS)
#define FOR_EACH_THREAD(t) for (int t = threadIdx.x, once = 1; once; once = 0)
#define BARRIER __syncthreads()
#define BLOCK blockIdx.x
#else
#include <math.h>
struct float2 {
  float x, y;
};
#define DEVICE static inline
#define KERNEL static void
#define __restrict__ __restrict
static int backwards;  // order of the threads
static unsigned BLOCK;
static unsigned BLOCKS;
#define FOR_EACH_THREAD(t) \
  for (int turn = 0, t = backwards ? THREADS - 1 : 0; turn < THREADS; turn++, t += backwards ? -1 : 1)
#define BARRIER
#endif

DEVICE float2 pair(float x, float y) {
  float2 z;
  z.x = x;
  z.y = y;
  return z;
}
DEVICE float2 add(float2 a, float2 b) { return pair(a.x + b.x, a.y + b.y); }
DEVICE float2 sub(float2 a, float2 b) { return pair(a.x - b.x, a.y - b.y); }
DEVICE float2 mul(float2 a, float2 b) {
  return pair(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}
DEVICE float2 times_i(float2 a) { return pair(-a.y, a.x); }

// Where a block finds its frame: blocks count channels within frames.
DEVICE const float* frame_of(const float* in, long long frame_stride, long long channel_stride, int channels,
                             unsigned block) {
  return in + (long long)(block / channels) * frame_stride + (long long)(block % channels) * channel_stride;
}

// One stage of span n and stride s; roots[k] = exp(-2 pi i k / NFFT).
DEVICE void radix4(int t, const float2* from, float2* to, const float2* __restrict__ roots, int n,
                   int s) {
  const int quarter = n / 4, step = NFFT / n;
  for (int i = t; i < HALF / 4; i += THREADS) {
    const int p = i / s, q = i - p * s;  // s is a power of two
    const float2 a = from[q + s * p], b = from[q + s * (p + quarter)];
    const float2 c = from[q + s * (p + 2 * quarter)], d = from[q + s * (p + 3 * quarter)];
    const float2 even = add(a, c), odd = add(b, d);
    const float2 across = sub(a, c), turned = times_i(sub(b, d));
    float2* out = to + q + s * 4 * p;
    out[0] = add(even, odd);
    out[s] = mul(roots[p * step], sub(across, turned));
    out[2 * s] = mul(roots[2 * p * step], sub(even, odd));
    out[3 * s] = mul(roots[3 * p * step], add(across, turned));
  }
}

DEVICE void radix2(int t, const float2* from, float2* to) {
  for (int q = t; q < HALF / 2; q += THREADS) {
    const float2 a = from[q], b = from[q + HALF / 2];
    to[q] = add(a, b);
    to[q + HALF / 2] = sub(a, b);
  }
}

// Bin k of the real transform, from bins k and HALF - k of the complex one.
DEVICE float2 untangled(const float2* z, const float2* __restrict__ roots, int k) {
  const float2 a = z[k & (HALF - 1)], b = z[(HALF - k) & (HALF - 1)];
  const float2 even = pair(0.5f * (a.x + b.x), 0.5f * (a.y - b.y));
  const float2 odd = pair(0.5f * (a.y + b.y), -0.5f * (a.x - b.x));
  return add(even, mul(roots[k], odd));
}

DEVICE void put(float* out, int k, float2 z) {
#if COMPLEX_OUTPUT
  out[2 * k] = z.x;
  out[2 * k + 1] = z.y;
#else
  out[k] = sqrtf(z.x * z.x + z.y * z.y);
#endif
}

// All of it. The grid is frames x channels blocks, dynamic shared memory 2 x HALF complex numbers.
// `state` lies on the device: [0] counts blocks and is zero between two launches, [1] counts
// launches. `done` lies in the host's memory, which is read from here only over the bus: it is
// written, once per launch and after every result, with the count of launches.
KERNEL spectrum(const float* __restrict__ in, long long frame_stride, long long channel_stride, int channels,
                const float* __restrict__ window, const float2* __restrict__ roots,
                float* __restrict__ out, unsigned* state,
                volatile unsigned* done) {
#ifdef __CUDACC__
  extern __shared__ float2 shared[];
#else
  static float2 shared[2 * HALF];
#endif
  float2 *from = shared, *to = shared + HALF;
  const float* frame = frame_of(in, frame_stride, channel_stride, channels, BLOCK);
  float* result = out + (long long)BLOCK * BINS * (COMPLEX_OUTPUT ? 2 : 1);
  FOR_EACH_THREAD(t) {
    for (int i = t; i < HALF; i += THREADS) {
      from[i] = pair(frame[2 * i] * window[2 * i], frame[2 * i + 1] * window[2 * i + 1]);
    }
  }
  BARRIER;
  int n = HALF, s = 1;
  for (; n >= 4; n /= 4, s *= 4) {
    FOR_EACH_THREAD(t) { radix4(t, from, to, roots, n, s); }
    BARRIER;
    float2* other = from;
    from = to;
    to = other;
  }
  if (n == 2) {
    FOR_EACH_THREAD(t) { radix2(t, from, to); }
    BARRIER;
    from = to;
  }
  FOR_EACH_THREAD(t) {
    for (int k = t; k < BINS; k += THREADS) put(result, k, untangled(from, roots, k));
  }
#ifdef __CUDACC__
  // A fence orders what its own thread has seen: after the barrier these are the whole block's
  // results, and after the count those of every block (PTX ISA, memory consistency model).
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence_system();
    if (atomicAdd(state, 1u) == gridDim.x - 1) {
      state[0] = 0;
      state[1]++;
      __threadfence_system();
      *done = state[1];
    }
  }
#else
  if (++state[0] == BLOCKS) {
    state[0] = 0;
    *done = ++state[1];
  }
#endif
}

// The usual pipeline around a library's FFT: window before it, magnitude after it.
KERNEL weigh(const float* __restrict__ in, long long frame_stride, long long channel_stride, int channels,
             const float* __restrict__ window, float* __restrict__ out) {
  const float* frame = frame_of(in, frame_stride, channel_stride, channels, BLOCK);
  float* result = out + (long long)BLOCK * NFFT;
  FOR_EACH_THREAD(t) {
    for (int i = t; i < NFFT; i += THREADS) result[i] = frame[i] * window[i];
  }
}

KERNEL magnitude(const float2* __restrict__ in, float* __restrict__ out) {
  const float2* spectrum = in + (long long)BLOCK * BINS;
  float* result = out + (long long)BLOCK * BINS;
  FOR_EACH_THREAD(t) {
    for (int k = t; k < BINS; k += THREADS) {
      const float2 z = spectrum[k];
      result[k] = sqrtf(z.x * z.x + z.y * z.y);
    }
  }
}

#ifndef __CUDACC__
// What a launch is without a GPU: one block after the other.
#define LAUNCH(name, arguments)                                                    \
  extern "C" void launch_##name(unsigned blocks, int order, void** values) {       \
    backwards = order;                                                             \
    BLOCKS = blocks;                                                               \
    for (unsigned turn = 0; turn < blocks; turn++) {                               \
      BLOCK = order ? blocks - 1 - turn : turn;                                    \
      name arguments;                                                              \
    }                                                                              \
  }
#define VALUE(type, index) (*(type*)values[index])
LAUNCH(spectrum, (VALUE(const float*, 0), VALUE(long long, 1), VALUE(long long, 2), VALUE(int, 3),
                    VALUE(const float*, 4), VALUE(const float2*, 5), VALUE(float*, 6),
                    VALUE(unsigned*, 7), VALUE(volatile unsigned*, 8)))
LAUNCH(weigh, (VALUE(const float*, 0), VALUE(long long, 1), VALUE(long long, 2), VALUE(int, 3),
                 VALUE(const float*, 4), VALUE(float*, 5)))
LAUNCH(magnitude, (VALUE(const float2*, 0), VALUE(float*, 1)))
#endif
