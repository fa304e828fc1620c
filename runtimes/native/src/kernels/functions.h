// Elementary functions of vectors, by polynomials: the same bits on every processor.

// e^x for x <= 88; below -87 it is as at -87. Relative error below 2e-7.
template <typename V>
inline V exponential(V x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  x = lesser_of(greater_of(x, fill<V>(-87.0f)), fill<V>(88.0f));
  const V n = rounded(x * kLog2E);
  const V r = (x - n * kLn2High) - n * kLn2Low;
  V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const IntsOf<V> power = to_nearest_int(n);
  return p * same_bits<V>((power + 127) << 23);
}

// An odd polynomial by an even one, of degrees 11 and 10, fitted to |x| < 3.92, beyond which the error
// function is 1 within 3e-8. Absolute error below 5e-7. NaN becomes -1.
template <typename V>
inline V error_function(V x) {
  x = lesser_of(greater_of(x, fill<V>(-3.92f)), fill<V>(3.92f));
  const V s = x * x;
  V p = s * 2.03466973e-6f + 2.87460495e-4f;
  p = p * s + 3.86793528e-3f;
  p = p * s + 5.30592749e-2f;
  p = p * s + 1.92756327e-1f;
  p = p * s + 1.12837902f;
  V q = s * 3.80689599e-5f + 1.18800038e-3f;
  q = q * s + 1.51715327e-2f;
  q = q * s + 1.15081253e-1f;
  q = q * s + 5.04157519e-1f;
  q = q * s + 1.0f;
  return x * p / q;
}

template <typename V>
inline V gelu(V x) {
  return x * 0.5f * (error_function(x * 0.70710678f) + 1.0f);
}

template <typename V>
inline V hard_sigmoid(V x) {
  return lesser_of(greater_of(x * (1.0f / 6.0f) + 0.5f, fill<V>(0.0f)), fill<V>(1.0f));
}

// Sine of |x| < 10000: x less a multiple of pi, then a polynomial. Absolute error below 1e-6.
template <typename V>
inline V sine(V x) {
  const V n = rounded(x * 0.318309886f);
  V r = x - n * 3.140625f;
  r = r - n * 9.67502593994140625e-4f;
  r = r - n * 1.509957990978376432e-7f;
  const V s = r * r;
  V p = s * 2.6083159809786593541503e-6f - 1.981069071916863322258e-4f;
  p = p * s + 8.33307858556509017944336e-3f;
  p = p * s - 1.66666597127914428710938e-1f;
  p = p * (s * r) + r;
  const IntsOf<V> odd = to_nearest_int(n) << 31;  // an odd multiple of pi turns the sign
  return same_bits<V>(same_bits<IntsOf<V>>(p) ^ odd);
}

template <typename V>
inline V square_root(V x) {
  V result;
  for (size_t i = 0; i < sizeof(V) / sizeof(float); ++i) result[i] = std::sqrt(x[i]);
  return result;
}
