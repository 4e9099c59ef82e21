// Every kernel of the OpenCL device, OpenCL C 1.2 without extensions. Arguments: buffers, then ints, then floats, as
// the lowering gives them. Set when the program is built:
//   VW    floats in a vector, 4, 8 or 16: as wide as the device likes them
//   ROWS  rows of a matrix product that one work item makes

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

// Where one rounding is not one instruction, fma() is a function, and ruinous (README.md).
#ifdef FP_FAST_FMAF
#define MULTIPLY_ADD fma
#else
#define MULTIPLY_ADD mad
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

// A work item for VW numbers.
__kernel void unary(__global const float* restrict in, __global float* restrict out, int items, int count, int function,
                    float alpha, float beta) {
  const int i = get_global_id(0);
  if (i >= items) return;
  const int left = count - i * VW;
  if (left >= VW) {
    VSTORE(apply_all(function, VLOAD(i, in), alpha, beta), i, out);
    return;
  }
  for (int lane = 0; lane < left; ++lane) out[i * VW + lane] = apply(function, in[i * VW + lane], alpha, beta);
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
__kernel void binary(__global const float* a, __global const float* b, __global float* out, int items, int count, int function,
                     int a_step, int b_step) {
  const int i = get_global_id(0);
  if (i >= items) return;
  const int left = count - i * VW;
  if (left >= VW) {
    const VF x = a_step ? VLOAD(i, a) : (VF)(a[0]);
    const VF y = b_step ? VLOAD(i, b) : (VF)(b[0]);
    VSTORE(combine_all(function, x, y), i, out);
    return;
  }
  for (int k = i * VW; k < count; ++k) out[k] = combine(function, a[k * a_step], b[k * b_step]);
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
__kernel void binary_broadcast(__global const float* a, __global const float* b, __global float* out, int items, int function,
                               int n1, int n2, int n3, int n4, int n5, int a0, int a1, int a2, int a3, int a4, int a5, int b0,
                               int b1, int b2, int b3, int b4, int b5) {
  const int i = get_global_id(0);
  if (i >= items) return;
  const int pieces = (n5 + VW - 1) / VW;
  const int row = i / pieces;
  const int first = i % pieces * VW;
  __global const float* p = a + PLACE_OF_ROW(row, n1, n2, n3, n4, a0, a1, a2, a3, a4) + first * a5;
  __global const float* q = b + PLACE_OF_ROW(row, n1, n2, n3, n4, b0, b1, b2, b3, b4) + first * b5;
  __global float* o = out + (size_t)row * n5 + first;
  const int count = min(VW, n5 - first);
  if (count == VW && (a5 == 0 || a5 == 1) && (b5 == 0 || b5 == 1)) {
    const VF x = a5 ? VLOAD(0, p) : (VF)(p[0]);
    const VF y = b5 ? VLOAD(0, q) : (VF)(q[0]);
    VSTORE(combine_all(function, x, y), 0, o);
    return;
  }
  for (int k = 0; k < count; ++k) o[k] = combine(function, p[k * a5], q[k * b5]);
}

// 0 equal, 1 greater, 2 less, 3 greater or equal, 4 less or equal
#define COMPARE(NAME, T)                                                                                                    \
  __kernel void NAME(__global const T* a, __global const T* b, __global uchar* out, int count, int function, int n1, int n2, \
                     int n3, int n4, int n5, int a0, int a1, int a2, int a3, int a4, int a5, int b0, int b1, int b2, int b3,  \
                     int b4, int b5) {                                                                                      \
    const int i = get_global_id(0);                                                                                         \
    if (i >= count) return;                                                                                                 \
    const T x = a[PLACE(i, n1, n2, n3, n4, n5, a0, a1, a2, a3, a4, a5)];                                                    \
    const T y = b[PLACE(i, n1, n2, n3, n4, n5, b0, b1, b2, b3, b4, b5)];                                                    \
    out[i] = function == 0 ? x == y : function == 1 ? x > y : function == 2 ? x < y : function == 3 ? x >= y : x <= y;       \
  }
COMPARE(compare_float, float)
COMPARE(compare_int, int)
COMPARE(compare_long, long)

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
GATHER(gather_4_int, uint, int)
GATHER(gather_4_long, uint, long)
GATHER(gather_8_int, ulong, int)
GATHER(gather_8_long, ulong, long)

// ---- along an axis -----------------------------------------------------------------------------------------------------

// 0 sum, 1 mean, 2 max, 3 min, 4 product, 5 L1, 6 L2, 7 sum of squares. in is [outer, length, inner].
__kernel void reduce(__global const float* restrict in, __global float* restrict out, int outputs, int function, int length,
                     int inner) {
  const int i = get_global_id(0);
  if (i >= outputs) return;
  __global const float* p = in + (size_t)(i / inner) * length * inner + i % inner;
  float all = function == 2 || function == 3 ? p[0] : function == 4 ? 1.0f : 0.0f;
  for (int k = 0; k < length; ++k) {
    const float x = p[(size_t)k * inner];
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
  out[i] = function == 1 ? all / length : function == 6 ? sqrt(all) : all;
}

// ln: the logarithm of it
__kernel void softmax(__global const float* restrict in, __global float* restrict out, int rows, int length, int inner, int ln) {
  const int i = get_global_id(0);
  if (i >= rows) return;
  const size_t start = (size_t)(i / inner) * length * inner + i % inner;
  __global const float* p = in + start;
  __global float* q = out + start;
  float most = p[0];
  for (int k = 1; k < length; ++k) most = fmax(most, p[(size_t)k * inner]);
  float sum = 0;
  for (int k = 0; k < length; ++k) {
    const float e = exp(p[(size_t)k * inner] - most);
    sum += e;
    q[(size_t)k * inner] = e;
  }
  if (ln) {
    const float all = log(sum);
    for (int k = 0; k < length; ++k) q[(size_t)k * inner] = p[(size_t)k * inner] - most - all;
  } else {
    const float scale = 1.0f / sum;
    for (int k = 0; k < length; ++k) q[(size_t)k * inner] *= scale;
  }
}

// The same along the last axis.
__kernel void softmax_rows(__global const float* restrict in, __global float* restrict out, int rows, int length, int ln) {
  const int i = get_global_id(0);
  if (i >= rows) return;
  __global const float* p = in + (size_t)i * length;
  __global float* q = out + (size_t)i * length;
  const int vectors = length / VW;
  float most = p[0];
  for (int k = vectors * VW; k < length; ++k) most = fmax(most, p[k]);
  float lanes[VW];
  if (vectors != 0) {
    VF all = VLOAD(0, p);
    for (int k = 1; k < vectors; ++k) all = fmax(all, VLOAD(k, p));
    VSTORE(all, 0, lanes);
    for (int k = 0; k < VW; ++k) most = fmax(most, lanes[k]);
  }
  VF sums = (VF)(0.0f);
  for (int k = 0; k < vectors; ++k) {
    const VF e = exp(VLOAD(k, p) - most);
    sums += e;
    VSTORE(e, k, q);
  }
  VSTORE(sums, 0, lanes);
  float sum = 0;
  for (int k = 0; k < VW; ++k) sum += lanes[k];
  for (int k = vectors * VW; k < length; ++k) {
    q[k] = exp(p[k] - most);
    sum += q[k];
  }
  if (ln) {
    const float all = log(sum);
    for (int k = 0; k < length; ++k) q[k] = p[k] - most - all;
    return;
  }
  const float scale = 1.0f / sum;
  for (int k = 0; k < vectors; ++k) VSTORE(VLOAD(k, q) * scale, k, q);
  for (int k = vectors * VW; k < length; ++k) q[k] *= scale;
}

// rms: without taking the mean away. has_bias: bias is read.
__kernel void layer_norm(__global const float* restrict in, __global const float* restrict scale,
                         __global const float* restrict bias, __global float* restrict out, int rows, int length, int has_bias,
                         int rms, float epsilon) {
  const int i = get_global_id(0);
  if (i >= rows) return;
  __global const float* p = in + (size_t)i * length;
  __global float* q = out + (size_t)i * length;
  float mean = 0;
  for (int k = 0; k < length && !rms; ++k) mean += p[k];
  mean /= length;
  float variance = 0;
  for (int k = 0; k < length; ++k) variance += (p[k] - mean) * (p[k] - mean);
  const float inverse = 1.0f / sqrt(variance / length + epsilon);
  for (int k = 0; k < length; ++k) q[k] = (p[k] - mean) * inverse * scale[k] + (has_bias ? bias[k] : 0.0f);
}

// ---- images ------------------------------------------------------------------------------------------------------------

// kind: 0 max, 1 average of what is inside, 2 average of all. in is [planes, height, width].
__kernel void pool(__global const float* restrict in, __global float* restrict out, int count, int kind, int height, int width,
                   int out_height, int out_width, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw, int ph_end,
                   int pw_end) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const int x = i % out_width * sw - pw;
  const int y = i / out_width % out_height * sh - ph;
  __global const float* p = in + (size_t)(i / (out_width * out_height)) * height * width;
  float all = kind == 0 ? -INFINITY : 0.0f;
  int inside = 0;
  int padded = 0;
  for (int a = 0; a < kh; ++a) {
    const int yy = y + a * dh;
    for (int b = 0; b < kw; ++b) {
      const int xx = x + b * dw;
      if (yy < height + ph_end && xx < width + pw_end) ++padded;
      if (yy < 0 || yy >= height || xx < 0 || xx >= width) continue;
      const float v = p[yy * width + xx];
      all = kind == 0 ? (isnan(v) || v > all ? v : all) : all + v;
      ++inside;
    }
  }
  out[i] = kind == 0 ? all : all / (kind == 1 ? inside : padded);
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
__kernel void resize(__global const float* restrict in, __global float* restrict out, int count, int height, int width,
                     int out_height, int out_width, int mode, int transform, int how, float scale_y, float scale_x) {
  const int i = get_global_id(0);
  if (i >= count) return;
  __global const float* p = in + (size_t)(i / (out_width * out_height)) * height * width;
  const float x = source(i % out_width, width, out_width, scale_x, transform);
  const float y = source(i / out_width % out_height, height, out_height, scale_y, transform);
  if (mode == 0) {
    out[i] = p[nearest(y, height, how) * width + nearest(x, width, how)];
    return;
  }
  const float cx = clamp(x, 0.0f, (float)(width - 1));
  const float cy = clamp(y, 0.0f, (float)(height - 1));
  const int x0 = (int)cx, y0 = (int)cy;
  const int x1 = min(x0 + 1, width - 1), y1 = min(y0 + 1, height - 1);
  const float fx = cx - x0, fy = cy - y0;
  const float top = p[y0 * width + x0] * (1 - fx) + p[y0 * width + x1] * fx;
  const float bottom = p[y1 * width + x0] * (1 - fx) + p[y1 * width + x1] * fx;
  out[i] = top * (1 - fy) + bottom * fy;
}

// One filter a channel, or few: no matrix product would be worth it. weights are [outputs, inputs / groups, kh, kw].
__kernel void convolve(__global const float* restrict in, __global const float* restrict weights,
                       __global const float* restrict bias, __global float* restrict out, int count, int channels, int height,
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
  float sum = has_bias ? bias[o] : 0.0f;
  for (int c = 0; c < depth; ++c) {
    __global const float* p = in + ((size_t)n * channels + first + c) * height * width;
    __global const float* w = weights + ((size_t)o * depth + c) * kh * kw;
    for (int a = 0; a < kh; ++a) {
      const int yy = y + a * dh;
      if (yy < 0 || yy >= height) continue;
      for (int b = 0; b < kw; ++b) {
        const int xx = x + b * dw;
        if (xx >= 0 && xx < width) sum += p[yy * width + xx] * w[a * kw + b];
      }
    }
  }
  out[i] = apply(function, sum, alpha, beta);
}

// ---- matrix products ---------------------------------------------------------------------------------------------------
// The right matrix lies in *panels*: [columns / VW][depth][VW], the last one filled up with zeros, so that what a work item
// reads of it lies in one piece.

// Of a matrix at any strides; batch b of it begins at (b / batch) * outer + (b % batch) * inner.
__kernel void pack(__global const float* restrict in, __global float* restrict out, int count, int depth, int columns, int row,
                   int column, int batch, int outer, int inner) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const int panels = (columns + VW - 1) / VW;
  const int lane = i % VW;
  const int k = i / VW % depth;
  const int panel = i / (VW * depth) % panels;
  const int b = i / (VW * depth) / panels;
  const int c = panel * VW + lane;
  out[i] = c < columns ? in[b / batch * outer + b % batch * inner + k * row + c * column] : 0.0f;
}

// Of an image, for a convolution as a matrix product: row k is one place of the filter, column c one of the output.
// Batch b is image b / groups and group b % groups.
__kernel void pack_image(__global const float* restrict in, __global float* restrict out, int count, int channels, int height,
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
  __global const float* p = in + ((size_t)(b / groups) * channels + c) * height * width;
  const int dy = k / kw % kh * dh - ph;
  const int dx = k % kw * dw - pw;
  __global float* q = out + (size_t)i * VW;
  int column = panel * VW;
  int x = column % out_width;
  int y = column / out_width;
  // Most panels are pieces of one row, inside the image.
  if (sw == 1 && x + VW <= out_width) {
    const int yy = y * sh + dy;
    const int xx = x + dx;
    if (yy < 0 || yy >= height) {
      VSTORE((VF)(0.0f), 0, q);
      return;
    }
    if (xx >= 0 && xx + VW <= width) {
      VSTORE(VLOAD(0, p + yy * width + xx), 0, q);
      return;
    }
  }
  for (int lane = 0; lane < VW; ++lane, ++column) {
    const int yy = y * sh + dy;
    const int xx = x * sw + dx;
    q[lane] = column < columns && yy >= 0 && yy < height && xx >= 0 && xx < width ? p[yy * width + xx] : 0.0f;
    if (++x == out_width) {
      x = 0;
      ++y;
    }
  }
}

// out = function(alpha * left * right + bias). Left is [rows, depth]. bias_kind: 0 none, 1 one a row, 2 one a column.
// Batch b of left begins at (b / left_batch) * left_outer + (b % left_batch) * left_inner, of the bias at the same row as
// its left (convolutions with groups), of right at (b / right_batch) * right_outer + (b % right_batch) * right_inner.
__kernel void multiply(__global const float* restrict left, __global const float* restrict right,
                       __global const float* restrict bias, __global float* restrict out, int rows, int columns, int depth,
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
  __global const float* q = right + (size_t)(b / right_batch * right_outer + b % right_batch * right_inner) + (size_t)panel * depth * VW;
  VF sum[ROWS];
  for (int r = 0; r < ROWS; ++r) sum[r] = (VF)(0.0f);
  for (int k = 0; k < depth; ++k) {
    const VF x = VLOAD(k, q);
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sum[r] = MULTIPLY_ADD((VF)(p[r][k]), x, sum[r]);
  }
  const int used = min(VW, columns - panel * VW);
  const int bias_row = b % left_batch * (left_inner != 0 ? rows : 0);
  for (int r = 0; r < ROWS && row + r < rows; ++r) {
    __global float* o = out + ((size_t)b * rows + row + r) * columns + panel * VW;
    VF v = sum[r] * scale;
    if (bias_kind == 1) v += bias[bias_row + row + r];
    if (used == VW) {
      if (bias_kind == 2) v += VLOAD(panel, bias);
      VSTORE(apply_all(function, v, alpha, beta), 0, o);
      continue;
    }
    float values[VW];
    VSTORE(v, 0, values);
    for (int lane = 0; lane < used; ++lane) {
      o[lane] = apply(function, values[lane] + (bias_kind == 2 ? bias[panel * VW + lane] : 0.0f), alpha, beta);
    }
  }
}
