// Every kernel of the OpenCL device, OpenCL C 1.2 without extensions. Arguments: buffers, then ints, then floats, as
// the lowering gives them. Set when the program is built:
//   VW    floats in a vector, 4, 8 or 16: as wide as the device likes them
//   ROWS  rows of a matrix product that one work item makes
//   GROUP, TILE  for products by work groups, if set: items of a group along each of two axes, and the depth of a tile
//   ONLY_PRODUCTS  if set, matrix products and convolutions alone (tune.h)
//   HALF  if set, numbers lie as float16 in memory; all are computed with in float32, so that nothing needs cl_khr_fp16.
//         That extension's arithmetic is left alone: 11 bits are too few to sum hundreds of products in, and no driver
//         that the tests have has it.

#if VW == 4
typedef float4 VF;
#define VLOAD vload4
#define VSTORE vstore4
#elif VW == 8
typedef float8 VF;
#define VLOAD vload8
#define VSTORE vstore8
#else
typedef float16 VF;
#define VLOAD vload16
#define VSTORE vstore16
#endif

// Where one rounding is not one instruction, fma() is a function, and ruinous (README.md). PoCL says nothing of it, but its
// compiler does of the processor; mad() is two roundings and two instructions there.
#if defined(FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define MULTIPLY_ADD fma
#else
#define MULTIPLY_ADD mad
#endif

// A number in memory, p[i] of it, and vector i of it.
#ifdef HALF
typedef half NUMBER;
#define READ(p, i) vload_half(i, p)
#define WRITE(x, p, i) vstore_half_rte(x, i, p)
#if VW == 4
#define READ_VECTOR(i, p) vload_half4(i, p)
#define WRITE_VECTOR(x, i, p) vstore_half4_rte(x, i, p)
#elif VW == 8
// PoCL 3.1 makes a load of vload_half8 that has to lie at a multiple of 16 bytes, which OpenCL does not ask for.
float8 read_vector(size_t i, __global const half* p) { return (float8)(vload_half4(2 * i, p), vload_half4(2 * i + 1, p)); }
void write_vector(float8 x, size_t i, __global half* p) {
  vstore_half4_rte(x.lo, 2 * i, p);
  vstore_half4_rte(x.hi, 2 * i + 1, p);
}
#define READ_VECTOR read_vector
#define WRITE_VECTOR write_vector
#else
#define READ_VECTOR(i, p) vload_half16(i, p)
#define WRITE_VECTOR(x, i, p) vstore_half16_rte(x, i, p)
#endif
#else
typedef float NUMBER;
#define READ(p, i) (p)[i]
#define WRITE(x, p, i) (p)[i] = (x)
#define READ_VECTOR VLOAD
#define WRITE_VECTOR VSTORE
#endif

// ---- element by element ------------------------------------------------------------------------------------------------

// Numbered as enum Function in part_lowering.h.
float apply(int function, float x, float alpha, float beta) {
  switch (function) {
    case 1: return fmax(x, 0.0f) + (isnan(x) ? x : 0.0f);  // Relu, which keeps NaN
    case 2: return x >= 0 ? 1.0f / (1.0f + exp(-x)) : 1.0f - 1.0f / (1.0f + exp(x));
    case 3: return tanh(x);
    case 4: return x >= 0 ? x : alpha * x;                                  // LeakyRelu
    case 5: return x >= 0 ? x : alpha * (exp(x) - 1.0f);                    // Elu
    case 6: return x < alpha ? alpha : (x > beta ? beta : x);               // Clip
    case 7: return 0.5f * x * (1.0f + erf(x * 0.70710678118654752f));       // Gelu
    case 8: return 0.5f * x * (1.0f + tanh(x * (0.7978845608028654f + 0.035677408136300125f * x * x)));  // FastGelu
    case 9: { const float z = alpha * x; return x * (z >= 0 ? 1.0f / (1.0f + exp(-z)) : 1.0f - 1.0f / (1.0f + exp(z))); }  // QuickGelu
    case 10: return fabs(x);
    case 11: return -x;
    case 12: return sqrt(x);
    case 13: return exp(x);
    case 14: return log(x);
    case 15: return erf(x);
    case 16: return 1.0f / x;
    case 17: return floor(x);
    case 18: return ceil(x);
    case 19: return rint(x);
    case 20: return sin(x);
    case 21: return cos(x);
    case 22: return fmin(1.0f, fmax(0.0f, alpha * x + beta));               // HardSigmoid
    case 23: return x * fmin(1.0f, fmax(0.0f, x / 6.0f + 0.5f));            // HardSwish
    case 24: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));             // Softplus
    case 25: return x / (1.0f + fabs(x));                                   // Softsign
    case 26: return x > alpha ? x : 0.0f;                                   // ThresholdedRelu
    case 27: return x > 0 ? beta * x : beta * (alpha * exp(x) - alpha);     // Selu
    case 28: return (x > 0) - (x < 0);                                      // Sign
    case 29: return isnan(x) ? x : x < 0 ? fmax(x, alpha) : fmin(x, beta);
    default: return x;
  }
}

// A vector at once; what is rare goes number by number.
VF apply_all(int function, VF x, float alpha, float beta) {
  switch (function) {
    case 0: return x;
    case 1: return select(fmax(x, (VF)(0.0f)), x, isnan(x));
    case 2: return 1.0f / (1.0f + exp(-x));
    case 3: return tanh(x);
    case 4: return select(alpha * x, x, x >= 0.0f);
    case 6: return select(select(x, (VF)(beta), x > beta), (VF)(alpha), x < alpha);
    case 7: return 0.5f * x * (1.0f + erf(x * 0.70710678118654752f));
    case 9: return x / (1.0f + exp(-alpha * x));
    default: break;
  }
  float lanes[VW];
  VSTORE(x, 0, lanes);
  for (int i = 0; i < VW; ++i) lanes[i] = apply(function, lanes[i], alpha, beta);
  return VLOAD(0, lanes);
}

// Not needed to try parameters with, and most of what takes time to build.
#ifndef ONLY_PRODUCTS

// A work item for VW numbers.
__kernel void unary(__global const NUMBER* restrict in, __global NUMBER* restrict out, int items, int count, int function,
                    float alpha, float beta) {
  const int i = get_global_id(0);
  if (i >= items) return;
  const int left = count - i * VW;
  if (left >= VW) {
    WRITE_VECTOR(apply_all(function, READ_VECTOR(i, in), alpha, beta), i, out);
    return;
  }
  for (int k = i * VW; k < count; ++k) WRITE(apply(function, READ(in, k), alpha, beta), out, k);
}

float combine(int function, float a, float b) {
  switch (function) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return a / b;
    case 4: return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case 5: return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case 6: return pow(a, b);
    default: return a >= 0 ? a : a * b;  // PRelu
  }
}

VF combine_all(int function, VF a, VF b) {
  switch (function) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return a / b;
    default: break;
  }
  float left[VW], right[VW];
  VSTORE(a, 0, left);
  VSTORE(b, 0, right);
  for (int i = 0; i < VW; ++i) left[i] = combine(function, left[i], right[i]);
  return VLOAD(0, left);
}

// Both as large as the output, or one number (step 0). A work item for VW numbers.
__kernel void binary(__global const NUMBER* a, __global const NUMBER* b, __global NUMBER* out, int items, int count, int function,
                     int a_step, int b_step) {
  const int i = get_global_id(0);
  if (i >= items) return;
  const int left = count - i * VW;
  if (left >= VW) {
    const VF x = a_step ? READ_VECTOR(i, a) : (VF)(READ(a, 0));
    const VF y = b_step ? READ_VECTOR(i, b) : (VF)(READ(b, 0));
    WRITE_VECTOR(combine_all(function, x, y), i, out);
    return;
  }
  for (int k = i * VW; k < count; ++k) WRITE(combine(function, READ(a, k * a_step), READ(b, k * b_step)), out, k);
}

// A chain of `length` steps of 5 ints each: function, the bits of alpha and beta, other, period. function: below 64 one of apply();
// from 64 on combine(function - 64, x, y), from 128 on combine(function - 128, y, x). Where x is number `at` of the output, y is
// number at % period of tensor a, b or c (other: 0, 1, 2); number `at` where the period is 0.
#define STEPS                                                                                                               \
  __global const int *restrict steps, __global const NUMBER *restrict a, __global const NUMBER *restrict b,                  \
      __global const NUMBER *restrict c
#define OTHER(which) ((which) == 0 ? a : (which) == 1 ? b : c)

float chained(float x, int at, int length, STEPS) {
  for (int s = 0; s < length; ++s, steps += 5) {
    const int function = steps[0];
    if (function < 64) {
      x = apply(function, x, as_float(steps[1]), as_float(steps[2]));
      continue;
    }
    const float y = READ(OTHER(steps[3]), steps[4] == 0 ? at : at % steps[4]);
    x = function < 128 ? combine(function - 64, x, y) : combine(function - 128, y, x);
  }
  return x;
}

VF chained_all(VF x, int at, int length, STEPS) {
  for (int s = 0; s < length; ++s, steps += 5) {
    const int function = steps[0];
    if (function < 64) {
      x = apply_all(function, x, as_float(steps[1]), as_float(steps[2]));
      continue;
    }
    __global const NUMBER* p = OTHER(steps[3]);
    const int period = steps[4];
    const int first = period == 0 ? at : at % period;
    VF y;
    if (period == 1) {
      y = (VF)(READ(p, 0));
    } else if (period == 0 || first + VW <= period) {
      y = READ_VECTOR(0, p + first);
    } else {
      float lanes[VW];
      for (int k = 0; k < VW; ++k) lanes[k] = READ(p, (at + k) % period);
      y = VLOAD(0, lanes);
    }
    x = function < 128 ? combine_all(function - 64, x, y) : combine_all(function - 128, y, x);
  }
  return x;
}

// A work item for VW numbers.
__kernel void chain(__global const NUMBER* restrict in, __global NUMBER* restrict out, STEPS, int items, int count, int length) {
  const int i = get_global_id(0);
  if (i >= items) return;
  const int left = count - i * VW;
  if (left >= VW) {
    WRITE_VECTOR(chained_all(READ_VECTOR(i, in), i * VW, length, steps, a, b, c), i, out);
    return;
  }
  for (int k = i * VW; k < count; ++k) WRITE(chained(READ(in, k), k, length, steps, a, b, c), out, k);
}

// Where item i of a tensor of these sizes, the last one fastest, lies at these strides.
#define PLACE(i, n1, n2, n3, n4, n5, s0, s1, s2, s3, s4, s5)                                                                \
  ((i) % (n5) * (s5) + (i) / (n5) % (n4) * (s4) + (i) / ((n5) * (n4)) % (n3) * (s3) +                                       \
   (i) / ((n5) * (n4) * (n3)) % (n2) * (s2) + (i) / ((n5) * (n4) * (n3) * (n2)) % (n1) * (s1) +                             \
   (i) / ((n5) * (n4) * (n3) * (n2) * (n1)) * (s0))

// The same without the last axis, for work items that go along it.
#define PLACE_OF_ROW(r, n1, n2, n3, n4, s0, s1, s2, s3, s4)                                                                 \
  ((r) % (n4) * (s4) + (r) / (n4) % (n3) * (s3) + (r) / ((n4) * (n3)) % (n2) * (s2) +                                       \
   (r) / ((n4) * (n3) * (n2)) % (n1) * (s1) + (r) / ((n4) * (n3) * (n2) * (n1)) * (s0))

// A work item for up to VW numbers of a row.
__kernel void binary_broadcast(__global const NUMBER* a, __global const NUMBER* b, __global NUMBER* out, int items, int function,
                               int n1, int n2, int n3, int n4, int n5, int a0, int a1, int a2, int a3, int a4, int a5, int b0,
                               int b1, int b2, int b3, int b4, int b5) {
  const int i = get_global_id(0);
  if (i >= items) return;
  const int pieces = (n5 + VW - 1) / VW;
  const int row = i / pieces;
  const int first = i % pieces * VW;
  __global const NUMBER* p = a + PLACE_OF_ROW(row, n1, n2, n3, n4, a0, a1, a2, a3, a4) + first * a5;
  __global const NUMBER* q = b + PLACE_OF_ROW(row, n1, n2, n3, n4, b0, b1, b2, b3, b4) + first * b5;
  __global NUMBER* o = out + (size_t)row * n5 + first;
  const int count = min(VW, n5 - first);
  if (count == VW && (a5 == 0 || a5 == 1) && (b5 == 0 || b5 == 1)) {
    const VF x = a5 ? READ_VECTOR(0, p) : (VF)(READ(p, 0));
    const VF y = b5 ? READ_VECTOR(0, q) : (VF)(READ(q, 0));
    WRITE_VECTOR(combine_all(function, x, y), 0, o);
    return;
  }
  for (int k = 0; k < count; ++k) WRITE(combine(function, READ(p, k * a5), READ(q, k * b5)), o, k);
}

// 0 equal, 1 greater, 2 less, 3 greater or equal, 4 less or equal
#define COMPARE(NAME, T, V, AT)                                                                                             \
  __kernel void NAME(__global const T* a, __global const T* b, __global uchar* out, int count, int function, int n1, int n2, \
                     int n3, int n4, int n5, int a0, int a1, int a2, int a3, int a4, int a5, int b0, int b1, int b2, int b3,  \
                     int b4, int b5) {                                                                                      \
    const int i = get_global_id(0);                                                                                         \
    if (i >= count) return;                                                                                                 \
    const V x = AT(a, PLACE(i, n1, n2, n3, n4, n5, a0, a1, a2, a3, a4, a5));                                                \
    const V y = AT(b, PLACE(i, n1, n2, n3, n4, n5, b0, b1, b2, b3, b4, b5));                                                \
    out[i] = function == 0 ? x == y : function == 1 ? x > y : function == 2 ? x < y : function == 3 ? x >= y : x <= y;       \
  }
COMPARE(compare_float, NUMBER, float, READ)

#ifdef HALF
#define CAST_FROM_HALF(NAME, TO)                                                 \
  __kernel void NAME(__global const half* in, __global TO* out, int count) {     \
    const int i = get_global_id(0);                                              \
    if (i < count) out[i] = (TO)vload_half(i, in);                               \
  }
CAST_FROM_HALF(cast_half_float, float)
CAST_FROM_HALF(cast_half_int, int)
CAST_FROM_HALF(cast_half_long, long)
__kernel void cast_half_bool(__global const half* in, __global uchar* out, int count) {
  const int i = get_global_id(0);
  if (i < count) out[i] = vload_half(i, in) != 0;
}
#define CAST_TO_HALF(NAME, FROM)                                                 \
  __kernel void NAME(__global const FROM* in, __global half* out, int count) {   \
    const int i = get_global_id(0);                                              \
    if (i < count) vstore_half_rte((float)in[i], i, out);                        \
  }
CAST_TO_HALF(cast_float_half, float)
CAST_TO_HALF(cast_int_half, int)
CAST_TO_HALF(cast_long_half, long)
CAST_TO_HALF(cast_bool_half, uchar)
#else
// Those that do not look at numbers are not built a second time.
#define ELEMENT(p, i) (p)[i]
COMPARE(compare_int, int, int, ELEMENT)
COMPARE(compare_long, long, long, ELEMENT)

// 0 and, 1 or, 2 xor
__kernel void logic(__global const uchar* a, __global const uchar* b, __global uchar* out, int count, int function, int n1,
                    int n2, int n3, int n4, int n5, int a0, int a1, int a2, int a3, int a4, int a5, int b0, int b1, int b2,
                    int b3, int b4, int b5) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const uchar x = a[PLACE(i, n1, n2, n3, n4, n5, a0, a1, a2, a3, a4, a5)] != 0;
  const uchar y = b[PLACE(i, n1, n2, n3, n4, n5, b0, b1, b2, b3, b4, b5)] != 0;
  out[i] = function == 0 ? x & y : function == 1 ? x | y : x ^ y;
}

__kernel void logical_not(__global const uchar* in, __global uchar* out, int count) {
  const int i = get_global_id(0);
  if (i < count) out[i] = in[i] == 0;
}

#define SELECT(NAME, T)                                                                                                     \
  __kernel void NAME(__global const uchar* c, __global const T* a, __global const T* b, __global T* out, int count, int n1,  \
                     int n2, int n3, int n4, int n5, int c0, int c1, int c2, int c3, int c4, int c5, int a0, int a1, int a2,  \
                     int a3, int a4, int a5, int b0, int b1, int b2, int b3, int b4, int b5) {                              \
    const int i = get_global_id(0);                                                                                         \
    if (i >= count) return;                                                                                                 \
    out[i] = c[PLACE(i, n1, n2, n3, n4, n5, c0, c1, c2, c3, c4, c5)]                                                        \
                 ? a[PLACE(i, n1, n2, n3, n4, n5, a0, a1, a2, a3, a4, a5)]                                                  \
                 : b[PLACE(i, n1, n2, n3, n4, n5, b0, b1, b2, b3, b4, b5)];                                                 \
  }
SELECT(select_1, uchar)
SELECT(select_2, ushort)
SELECT(select_4, int)
SELECT(select_8, long)

#define CAST(NAME, FROM, TO)                                                                        \
  __kernel void NAME(__global const FROM* in, __global TO* out, int count) {                        \
    const int i = get_global_id(0);                                                                 \
    if (i < count) out[i] = (TO)in[i];                                                              \
  }
CAST(cast_float_int, float, int)
CAST(cast_float_long, float, long)
CAST(cast_int_float, int, float)
CAST(cast_int_long, int, long)
CAST(cast_long_float, long, float)
CAST(cast_long_int, long, int)
CAST(cast_bool_float, uchar, float)
CAST(cast_bool_int, uchar, int)
CAST(cast_bool_long, uchar, long)
#define CAST_BOOL(NAME, FROM)                                                                       \
  __kernel void NAME(__global const FROM* in, __global uchar* out, int count) {                     \
    const int i = get_global_id(0);                                                                 \
    if (i < count) out[i] = in[i] != 0;                                                             \
  }
CAST_BOOL(cast_float_bool, float)
CAST_BOOL(cast_int_bool, int)
CAST_BOOL(cast_long_bool, long)

// ---- data movement -----------------------------------------------------------------------------------------------------

// A work item for up to VW elements of a row.
#define COPY(NAME, T)                                                                                                       \
  __kernel void NAME(__global const T* in, __global T* out, int items, int n1, int n2, int n3, int n4, int n5, int from,      \
                     int i0, int i1, int i2, int i3, int i4, int i5, int to, int o0, int o1, int o2, int o3, int o4, int o5) { \
    const int i = get_global_id(0);                                                                                         \
    if (i >= items) return;                                                                                                 \
    const int pieces = (n5 + VW - 1) / VW;                                                                                  \
    const int row = i / pieces;                                                                                             \
    const int first = i % pieces * VW;                                                                                      \
    __global const T* p = in + from + PLACE_OF_ROW(row, n1, n2, n3, n4, i0, i1, i2, i3, i4) + first * i5;                   \
    __global T* q = out + to + PLACE_OF_ROW(row, n1, n2, n3, n4, o0, o1, o2, o3, o4) + first * o5;                          \
    const int count = min(VW, n5 - first);                                                                                  \
    if (count == VW && i5 == 1 && o5 == 1) {                                                                                \
      for (int k = 0; k < VW; ++k) q[k] = p[k];                                                                             \
      return;                                                                                                               \
    }                                                                                                                       \
    for (int k = 0; k < count; ++k) q[k * o5] = p[k * i5];                                                                  \
  }
COPY(copy_1, uchar)
COPY(copy_2, ushort)
COPY(copy_4, uint)
COPY(copy_8, ulong)

#define FILL(NAME, T)                                                                               \
  __kernel void NAME(__global const T* value, __global T* out, int count) {                         \
    const int i = get_global_id(0);                                                                 \
    if (i < count) out[i] = *value;                                                                 \
  }
FILL(fill_1, uchar)
FILL(fill_2, ushort)
FILL(fill_4, uint)
FILL(fill_8, ulong)

// out[o, j, n] = in[o, indices[j], n]; what is outside is taken as the nearest inside: ONNX Runtime would have refused it.
#define GATHER(NAME, T, I)                                                                                                  \
  __kernel void NAME(__global const T* in, __global const I* indices, __global T* out, int count, int axis, int picked,      \
                     int inner) {                                                                                           \
    const int i = get_global_id(0);                                                                                         \
    if (i >= count) return;                                                                                                 \
    const int n = i % inner;                                                                                                \
    const int o = i / inner / picked;                                                                                       \
    I at = indices[i / inner % picked];                                                                                     \
    if (at < 0) at += axis;                                                                                                 \
    const int place = at < 0 ? 0 : at >= axis ? axis - 1 : (int)at;                                                         \
    out[i] = in[(o * axis + place) * inner + n];                                                                            \
  }
GATHER(gather_2_int, ushort, int)
GATHER(gather_2_long, ushort, long)
GATHER(gather_4_int, uint, int)
GATHER(gather_4_long, uint, long)
GATHER(gather_8_int, ulong, int)
GATHER(gather_8_long, ulong, long)

#endif

// ---- along an axis -----------------------------------------------------------------------------------------------------

// 0 sum, 1 mean, 2 max, 3 min, 4 product, 5 L1, 6 L2, 7 sum of squares. in is [outer, length, inner].
__kernel void reduce(__global const NUMBER* restrict in, __global NUMBER* restrict out, int outputs, int function, int length,
                     int inner) {
  const int i = get_global_id(0);
  if (i >= outputs) return;
  __global const NUMBER* p = in + (size_t)(i / inner) * length * inner + i % inner;
  float all = function == 2 || function == 3 ? READ(p, 0) : function == 4 ? 1.0f : 0.0f;
  for (int k = 0; k < length; ++k) {
    const float x = READ(p, (size_t)k * inner);
    switch (function) {
      case 2: all = isnan(x) ? x : isnan(all) ? all : fmax(all, x); break;
      case 3: all = isnan(x) ? x : isnan(all) ? all : fmin(all, x); break;
      case 4: all *= x; break;
      case 5: all += fabs(x); break;
      case 6:
      case 7: all += x * x; break;
      default: all += x;
    }
  }
  WRITE(function == 1 ? all / length : function == 6 ? sqrt(all) : all, out, i);
}

// Softmax's second pass takes what the first one has kept in the output; as float16 it would be rounded twice, so there it
// is worked out again.
#ifdef HALF
#define KEEP(x, p, i)
#define KEEP_VECTOR(x, i, p)
#define KEPT(p, i, again) (again)
#define KEPT_VECTOR(i, p, again) (again)
#else
#define KEEP WRITE
#define KEEP_VECTOR WRITE_VECTOR
#define KEPT(p, i, again) READ(p, i)
#define KEPT_VECTOR(i, p, again) READ_VECTOR(i, p)
#endif

// ln: the logarithm of it
__kernel void softmax(__global const NUMBER* restrict in, __global NUMBER* restrict out, int rows, int length, int inner, int ln) {
  const int i = get_global_id(0);
  if (i >= rows) return;
  const size_t start = (size_t)(i / inner) * length * inner + i % inner;
  __global const NUMBER* p = in + start;
  __global NUMBER* q = out + start;
  float most = READ(p, 0);
  for (int k = 1; k < length; ++k) most = fmax(most, READ(p, (size_t)k * inner));
  float sum = 0;
  for (int k = 0; k < length; ++k) {
    const float e = exp(READ(p, (size_t)k * inner) - most);
    sum += e;
    KEEP(e, q, (size_t)k * inner);
  }
  if (ln) {
    const float all = log(sum);
    for (int k = 0; k < length; ++k) WRITE(READ(p, (size_t)k * inner) - most - all, q, (size_t)k * inner);
  } else {
    const float scale = 1.0f / sum;
    for (int k = 0; k < length; ++k) {
      const size_t at = (size_t)k * inner;
      WRITE(KEPT(q, at, exp(READ(p, at) - most)) * scale, q, at);
    }
  }
}

// The same along the last axis.
__kernel void softmax_rows(__global const NUMBER* restrict in, __global NUMBER* restrict out, int rows, int length, int ln) {
  const int i = get_global_id(0);
  if (i >= rows) return;
  __global const NUMBER* p = in + (size_t)i * length;
  __global NUMBER* q = out + (size_t)i * length;
  const int vectors = length / VW;
  float most = READ(p, 0);
  for (int k = vectors * VW; k < length; ++k) most = fmax(most, READ(p, k));
  float lanes[VW];
  if (vectors != 0) {
    VF all = READ_VECTOR(0, p);
    for (int k = 1; k < vectors; ++k) all = fmax(all, READ_VECTOR(k, p));
    VSTORE(all, 0, lanes);
    for (int k = 0; k < VW; ++k) most = fmax(most, lanes[k]);
  }
  VF sums = (VF)(0.0f);
  for (int k = 0; k < vectors; ++k) {
    const VF e = exp(READ_VECTOR(k, p) - most);
    sums += e;
    KEEP_VECTOR(e, k, q);
  }
  VSTORE(sums, 0, lanes);
  float sum = 0;
  for (int k = 0; k < VW; ++k) sum += lanes[k];
  for (int k = vectors * VW; k < length; ++k) {
    const float e = exp(READ(p, k) - most);
    sum += e;
    KEEP(e, q, k);
  }
  if (ln) {
    const float all = log(sum);
    for (int k = 0; k < length; ++k) WRITE(READ(p, k) - most - all, q, k);
    return;
  }
  const float scale = 1.0f / sum;
  for (int k = 0; k < vectors; ++k) WRITE_VECTOR(KEPT_VECTOR(k, q, exp(READ_VECTOR(k, p) - most)) * scale, k, q);
  for (int k = vectors * VW; k < length; ++k) WRITE(KEPT(q, k, exp(READ(p, k) - most)) * scale, q, k);
}

// rms: without taking the mean away. has_bias: bias is read.
__kernel void layer_norm(__global const NUMBER* restrict in, __global const NUMBER* restrict scale,
                         __global const NUMBER* restrict bias, __global NUMBER* restrict out, int rows, int length, int has_bias,
                         int rms, float epsilon) {
  const int i = get_global_id(0);
  if (i >= rows) return;
  __global const NUMBER* p = in + (size_t)i * length;
  __global NUMBER* q = out + (size_t)i * length;
  float mean = 0;
  for (int k = 0; k < length && !rms; ++k) mean += READ(p, k);
  mean /= length;
  float variance = 0;
  for (int k = 0; k < length; ++k) variance += (READ(p, k) - mean) * (READ(p, k) - mean);
  const float inverse = 1.0f / sqrt(variance / length + epsilon);
  for (int k = 0; k < length; ++k) WRITE((READ(p, k) - mean) * inverse * READ(scale, k) + (has_bias ? READ(bias, k) : 0.0f), q, k);
}

// Of in + skip + more; sum: that, if it is wanted. Skip begins again after skip_rows.
__kernel void skip_layer_norm(__global const NUMBER* in, __global const NUMBER* skip, __global const NUMBER* more,
                              __global const NUMBER* scale, __global const NUMBER* bias, __global NUMBER* out,
                              __global NUMBER* sum, int rows, int length, int skip_rows, int has_more, int has_bias, int has_sum,
                              float epsilon) {
  const int i = get_global_id(0);
  if (i >= rows) return;
  __global const NUMBER* p = in + (size_t)i * length;
  __global const NUMBER* q = skip + (size_t)(i % skip_rows) * length;
#define SUM(k) (READ(p, k) + READ(q, k) + (has_more ? READ(more, k) : 0.0f))
  float mean = 0;
  for (int k = 0; k < length; ++k) mean += SUM(k);
  mean /= length;
  float variance = 0;
  for (int k = 0; k < length; ++k) variance += (SUM(k) - mean) * (SUM(k) - mean);
  const float inverse = 1.0f / sqrt(variance / length + epsilon);
  for (int k = 0; k < length; ++k) {
    const float x = SUM(k);
    const size_t at = (size_t)i * length + k;
    if (has_sum) WRITE(x, sum, at);
    WRITE((x - mean) * inverse * READ(scale, k) + (has_bias ? READ(bias, k) : 0.0f), out, at);
  }
#undef SUM
}

// ---- images ------------------------------------------------------------------------------------------------------------

// kind: 0 max, 1 average of what is inside, 2 average of all. in is [planes, height, width].
__kernel void pool(__global const NUMBER* restrict in, __global NUMBER* restrict out, int count, int kind, int height, int width,
                   int out_height, int out_width, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw, int ph_end,
                   int pw_end) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const int x = i % out_width * sw - pw;
  const int y = i / out_width % out_height * sh - ph;
  __global const NUMBER* p = in + (size_t)(i / (out_width * out_height)) * height * width;
  float all = kind == 0 ? -INFINITY : 0.0f;
  int inside = 0;
  int padded = 0;
  for (int a = 0; a < kh; ++a) {
    const int yy = y + a * dh;
    for (int b = 0; b < kw; ++b) {
      const int xx = x + b * dw;
      if (yy < height + ph_end && xx < width + pw_end) ++padded;
      if (yy < 0 || yy >= height || xx < 0 || xx >= width) continue;
      const float v = READ(p, yy * width + xx);
      all = kind == 0 ? (isnan(v) || v > all ? v : all) : all + v;
      ++inside;
    }
  }
  WRITE(kind == 0 ? all : all / (kind == 1 ? inside : padded), out, i);
}

// mode: 0 nearest, 1 linear. transform: 0 half_pixel, 1 pytorch_half_pixel, 2 align_corners, 3 asymmetric.
// nearest: 0 round_prefer_floor, 1 round_prefer_ceil, 2 floor, 3 ceil. in is [planes, height, width].
float source(int x, int in, int out, float scale, int transform) {
  switch (transform) {
    case 0: return (x + 0.5f) / scale - 0.5f;
    case 1: return out > 1 ? (x + 0.5f) / scale - 0.5f : 0.0f;
    case 2: return out > 1 ? (float)x * (in - 1) / (out - 1) : 0.0f;
    default: return x / scale;
  }
}
int nearest(float x, int size, int how) {
  const float at = how == 0 ? ceil(x - 0.5f) : how == 1 ? floor(x + 0.5f) : how == 2 ? floor(x) : ceil(x);
  return clamp((int)at, 0, size - 1);
}
__kernel void resize(__global const NUMBER* restrict in, __global NUMBER* restrict out, int count, int height, int width,
                     int out_height, int out_width, int mode, int transform, int how, float scale_y, float scale_x) {
  const int i = get_global_id(0);
  if (i >= count) return;
  __global const NUMBER* p = in + (size_t)(i / (out_width * out_height)) * height * width;
  const float x = source(i % out_width, width, out_width, scale_x, transform);
  const float y = source(i / out_width % out_height, height, out_height, scale_y, transform);
  if (mode == 0) {
    WRITE(READ(p, nearest(y, height, how) * width + nearest(x, width, how)), out, i);
    return;
  }
  const float cx = clamp(x, 0.0f, (float)(width - 1));
  const float cy = clamp(y, 0.0f, (float)(height - 1));
  const int x0 = (int)cx, y0 = (int)cy;
  const int x1 = min(x0 + 1, width - 1), y1 = min(y0 + 1, height - 1);
  const float fx = cx - x0, fy = cy - y0;
  const float top = READ(p, y0 * width + x0) * (1 - fx) + READ(p, y0 * width + x1) * fx;
  const float bottom = READ(p, y1 * width + x0) * (1 - fx) + READ(p, y1 * width + x1) * fx;
  WRITE(top * (1 - fy) + bottom * fy, out, i);
}

// One filter a channel, or few: no matrix product would be worth it. weights are [outputs, inputs / groups, kh, kw].
__kernel void convolve(__global const NUMBER* restrict in, __global const NUMBER* restrict weights,
                       __global const NUMBER* restrict bias, __global NUMBER* restrict out, int count, int channels, int height,
                       int width, int outputs, int out_height, int out_width, int kh, int kw, int sh, int sw, int ph, int pw,
                       int dh, int dw, int groups, int has_bias, int function, float alpha, float beta) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const int x = i % out_width * sw - pw;
  const int y = i / out_width % out_height * sh - ph;
  const int o = i / (out_width * out_height) % outputs;
  const int n = i / (out_width * out_height) / outputs;
  const int depth = channels / groups;
  const int first = o / (outputs / groups) * depth;
  float sum = has_bias ? READ(bias, o) : 0.0f;
  for (int c = 0; c < depth; ++c) {
    __global const NUMBER* p = in + ((size_t)n * channels + first + c) * height * width;
    __global const NUMBER* w = weights + ((size_t)o * depth + c) * kh * kw;
    for (int a = 0; a < kh; ++a) {
      const int yy = y + a * dh;
      if (yy < 0 || yy >= height) continue;
      for (int b = 0; b < kw; ++b) {
        const int xx = x + b * dw;
        if (xx >= 0 && xx < width) sum += READ(p, yy * width + xx) * READ(w, a * kw + b);
      }
    }
  }
  WRITE(apply(function, sum, alpha, beta), out, i);
}

#endif  // ONLY_PRODUCTS

// ---- matrix products ---------------------------------------------------------------------------------------------------
// The right matrix lies in *panels*: [columns / VW][depth][VW], the last one filled up with zeros, so that what a work item
// reads of it lies in one piece.

// Of a matrix at any strides; batch b of it begins at (b / batch) * outer + (b % batch) * inner. A work item for VW numbers.
__kernel void pack(__global const NUMBER* restrict in, __global NUMBER* restrict out, int count, int depth, int columns, int row,
                   int column, int batch, int outer, int inner) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const int panels = (columns + VW - 1) / VW;
  const int k = i % depth;
  const int panel = i / depth % panels;
  const int b = i / depth / panels;
  __global const NUMBER* p = in + (b / batch * outer + b % batch * inner + k * row + panel * VW * column);
  const int used = min(VW, columns - panel * VW);
  if (used == VW && column == 1) {
    WRITE_VECTOR(READ_VECTOR(0, p), i, out);
    return;
  }
  float lanes[VW];
  for (int lane = 0; lane < VW; ++lane) lanes[lane] = lane < used ? READ(p, lane * column) : 0.0f;
  WRITE_VECTOR(VLOAD(0, lanes), i, out);
}

// Of an image, for a convolution as a matrix product: row k is one place of the filter, column c one of the output.
// Batch b is image b / groups and group b % groups.
__kernel void pack_image(__global const NUMBER* restrict in, __global NUMBER* restrict out, int count, int channels, int height,
                         int width, int out_height, int out_width, int kh, int kw, int sh, int sw, int ph, int pw, int dh,
                         int dw, int groups) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const int columns = out_height * out_width;
  const int panels = (columns + VW - 1) / VW;
  const int depth = channels / groups * kh * kw;
  const int k = i % depth;
  const int panel = i / depth % panels;
  const int b = i / depth / panels;
  const int c = b % groups * (channels / groups) + k / (kh * kw);
  __global const NUMBER* p = in + ((size_t)(b / groups) * channels + c) * height * width;
  const int dy = k / kw % kh * dh - ph;
  const int dx = k % kw * dw - pw;
  __global NUMBER* q = out + (size_t)i * VW;
  int column = panel * VW;
  int x = column % out_width;
  int y = column / out_width;
  // Most panels are pieces of one row, inside the image.
  if (sw == 1 && x + VW <= out_width) {
    const int yy = y * sh + dy;
    const int xx = x + dx;
    if (yy < 0 || yy >= height) {
      WRITE_VECTOR((VF)(0.0f), 0, q);
      return;
    }
    if (xx >= 0 && xx + VW <= width) {
      WRITE_VECTOR(READ_VECTOR(0, p + yy * width + xx), 0, q);
      return;
    }
  }
  for (int lane = 0; lane < VW; ++lane, ++column) {
    const int yy = y * sh + dy;
    const int xx = x * sw + dx;
    const bool inside = column < columns && yy >= 0 && yy < height && xx >= 0 && xx < width;
    WRITE(inside ? READ(p, yy * width + xx) : 0.0f, q, lane);
    if (++x == out_width) {
      x = 0;
      ++y;
    }
  }
}

// out = function(alpha * left * right + bias). Left is [rows, depth], and float32 always: its numbers are read one by one. bias_kind: 0 none, 1 one a row, 2 one a column.
// Batch b of left begins at (b / left_batch) * left_outer + (b % left_batch) * left_inner, of the bias at the same row as
// its left (convolutions with groups), of right at (b / right_batch) * right_outer + (b % right_batch) * right_inner.
__kernel void multiply(__global const float* restrict left, __global const NUMBER* restrict right,
                       __global const NUMBER* restrict bias, __global NUMBER* restrict out, int rows, int columns, int depth,
                       int batches, int left_batch, int left_outer, int left_inner, int right_batch, int right_outer,
                       int right_inner, int bias_kind, int function, float scale, float alpha, float beta) {
  const int panel = get_global_id(1);
  const int row = get_global_id(0) * ROWS;
  const int b = get_global_id(2);
  const int panels = (columns + VW - 1) / VW;
  if (row >= rows || panel >= panels || b >= batches) return;
  __global const float* p[ROWS];
  const int left_at = b / left_batch * left_outer + b % left_batch * left_inner;
  for (int r = 0; r < ROWS; ++r) p[r] = left + left_at + (size_t)min(row + r, rows - 1) * depth;
  __global const NUMBER* q = right + (size_t)(b / right_batch * right_outer + b % right_batch * right_inner) + (size_t)panel * depth * VW;
  VF sum[ROWS];
  for (int r = 0; r < ROWS; ++r) sum[r] = (VF)(0.0f);
  for (int k = 0; k < depth; ++k) {
    const VF x = READ_VECTOR(k, q);
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sum[r] = MULTIPLY_ADD((VF)(p[r][k]), x, sum[r]);
  }
  const int used = min(VW, columns - panel * VW);
  const int bias_row = b % left_batch * (left_inner != 0 ? rows : 0);
  for (int r = 0; r < ROWS && row + r < rows; ++r) {
    __global NUMBER* o = out + ((size_t)b * rows + row + r) * columns + panel * VW;
    VF v = sum[r] * scale;
    if (bias_kind == 1) v += READ(bias, bias_row + row + r);
    if (used == VW) {
      if (bias_kind == 2) v += READ_VECTOR(panel, bias);
      WRITE_VECTOR(apply_all(function, v, alpha, beta), 0, o);
      continue;
    }
    float values[VW];
    VSTORE(v, 0, values);
    for (int lane = 0; lane < used; ++lane) {
      const float x = values[lane] + (bias_kind == 2 ? READ(bias, panel * VW + lane) : 0.0f);
      WRITE(apply(function, x, alpha, beta), o, lane);
    }
  }
}

// ---- matrix products of work groups ------------------------------------------------------------------------------------
// For devices with local memory of their own. A group of GROUP x GROUP work items makes GROUP * ROWS rows and GROUP panels;
// TILE of the depth at a time is brought into local memory, by all of them, and read from there. Whoever has nothing to
// make works along, as all have to meet at the barriers.
#ifdef GROUP

// lefts is [TILE][GROUP * ROWS].
void fill_left(__local float* lefts, __global const float* left, int first_row, int rows, int first, int depth) {
  for (int i = get_local_id(1) * GROUP + get_local_id(0); i < GROUP * ROWS * TILE; i += GROUP * GROUP) {
    const int k = first + i % TILE;
    const int row = first_row + i / TILE;
    lefts[i % TILE * (GROUP * ROWS) + i / TILE] = k < depth && row < rows ? left[(size_t)row * depth + k] : 0.0f;
  }
}

// rights is [TILE][GROUP * VW].
void add_tile(VF* sum, __local const float* lefts, __local const float* rights) {
  lefts += get_local_id(0) * ROWS;
  rights += get_local_id(1) * VW;
  for (int k = 0; k < TILE; ++k) {
    const VF x = VLOAD(0, rights + k * (GROUP * VW));
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sum[r] = MULTIPLY_ADD((VF)(lefts[k * (GROUP * ROWS) + r]), x, sum[r]);
  }
}

// VW numbers of a row of a product, or what is left of them: function(v + bias). The row begins at out.
void write_panel(VF v, int panel, int columns, int row, __global const NUMBER* restrict bias, int bias_kind,
                 __global NUMBER* restrict out, int function, float alpha, float beta) {
  if (bias_kind == 1) v += READ(bias, row);
  const int used = min(VW, columns - panel * VW);
  if (used == VW) {
    if (bias_kind == 2) v += READ_VECTOR(panel, bias);
    WRITE_VECTOR(apply_all(function, v, alpha, beta), panel, out);
    return;
  }
  float values[VW];
  VSTORE(v, 0, values);
  for (int lane = 0; lane < used; ++lane) {
    const int column = panel * VW + lane;
    WRITE(apply(function, values[lane] + (bias_kind == 2 ? READ(bias, column) : 0.0f), alpha, beta), out, column);
  }
}

// As multiply.
__kernel __attribute__((reqd_work_group_size(GROUP, GROUP, 1))) void multiply_tiled(
    __global const float* restrict left, __global const NUMBER* restrict right, __global const NUMBER* restrict bias,
    __global NUMBER* restrict out, int rows, int columns, int depth, int batches, int left_batch, int left_outer, int left_inner,
    int right_batch, int right_outer, int right_inner, int bias_kind, int function, float scale, float alpha, float beta) {
  __local float lefts[TILE * GROUP * ROWS];
  __local float rights[TILE * GROUP * VW];
  const int panel = get_global_id(1);
  const int row = get_global_id(0) * ROWS;
  const int b = get_global_id(2);
  const int panels = (columns + VW - 1) / VW;
  left += b / left_batch * left_outer + b % left_batch * left_inner;
  right += b / right_batch * right_outer + b % right_batch * right_inner;
  VF sum[ROWS];
  for (int r = 0; r < ROWS; ++r) sum[r] = (VF)(0.0f);
  for (int first = 0; first < depth; first += TILE) {
    fill_left(lefts, left, get_group_id(0) * GROUP * ROWS, rows, first, depth);
    for (int i = get_local_id(1) * GROUP + get_local_id(0); i < GROUP * TILE; i += GROUP * GROUP) {
      const int k = first + i % TILE;
      const int from = get_group_id(1) * GROUP + i / TILE;
      const VF x = k < depth && from < panels ? READ_VECTOR(0, right + ((size_t)from * depth + k) * VW) : (VF)(0.0f);
      VSTORE(x, 0, rights + i % TILE * (GROUP * VW) + i / TILE * VW);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    add_tile(sum, lefts, rights);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (panel >= panels) return;
  const int bias_row = b % left_batch * (left_inner != 0 ? rows : 0);
  for (int r = 0; r < ROWS && row + r < rows; ++r) {
    write_panel(sum[r] * scale, panel, columns, bias_row + row + r, bias, bias_kind, out + ((size_t)b * rows + row + r) * columns, function,
                alpha, beta);
  }
}

// A convolution as a product whose right matrix is read from the image where it lies: row k is one place of the filter,
// column c one of the output. weights are [outputs, channels / groups, kh, kw]; bias is one a filter.
__kernel __attribute__((reqd_work_group_size(GROUP, GROUP, 1))) void convolve_tiled(
    __global const float* restrict weights, __global const NUMBER* restrict in, __global const NUMBER* restrict bias,
    __global NUMBER* restrict out, int channels, int height, int width, int outputs, int out_height, int out_width, int kh, int kw,
    int sh, int sw, int ph, int pw, int dh, int dw, int groups, int has_bias, int function, float alpha, float beta) {
  __local float lefts[TILE * GROUP * ROWS];
  __local float rights[TILE * GROUP * VW];
  const int panel = get_global_id(1);
  const int row = get_global_id(0) * ROWS;
  const int b = get_global_id(2);
  const int rows = outputs / groups;
  const int columns = out_height * out_width;
  const int depth = channels / groups * kh * kw;
  const int filter = b % groups * rows;
  weights += (size_t)filter * depth;
  in += ((size_t)(b / groups) * channels + b % groups * (channels / groups)) * height * width;
  VF sum[ROWS];
  for (int r = 0; r < ROWS; ++r) sum[r] = (VF)(0.0f);
  for (int first = 0; first < depth; first += TILE) {
    fill_left(lefts, weights, get_group_id(0) * GROUP * ROWS, rows, first, depth);
    // Neighbours in a group read neighbours in the image.
    for (int i = get_local_id(1) * GROUP + get_local_id(0); i < GROUP * VW * TILE; i += GROUP * GROUP) {
      const int k = first + i / (GROUP * VW);
      const int column = get_group_id(1) * GROUP * VW + i % (GROUP * VW);
      const int y = column / out_width * sh + k / kw % kh * dh - ph;
      const int x = column % out_width * sw + k % kw * dw - pw;
      const bool inside = k < depth && column < columns && y >= 0 && y < height && x >= 0 && x < width;
      rights[i] = inside ? READ(in, ((size_t)(k / (kh * kw)) * height + y) * width + x) : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    add_tile(sum, lefts, rights);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (panel * VW >= columns) return;
  for (int r = 0; r < ROWS && row + r < rows; ++r) {
    write_panel(sum[r], panel, columns, filter + row + r, bias, has_bias, out + ((size_t)b * rows + row + r) * columns, function, alpha,
                beta);
  }
}
#endif
