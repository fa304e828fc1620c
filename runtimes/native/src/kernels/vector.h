// Vectors in the compiler's own notation (GCC, Clang), which every instruction set has.
//
// Included by one file for each instruction set, inside its namespace; EDGEVIT_LANES says how many
// floats its registers hold. What adds up numbers always uses 8 lanes, so that every instruction
// set adds them in the same order: answers are the same bits everywhere. (Nothing is fused: the
// library is compiled with -ffp-contract=off.)

constexpr int kLanes = EDGEVIT_LANES;

typedef float F8 __attribute__((vector_size(32)));
typedef int32_t I8 __attribute__((vector_size(32)));
typedef float F __attribute__((vector_size(4 * EDGEVIT_LANES)));
typedef int32_t I __attribute__((vector_size(4 * EDGEVIT_LANES)));

// The vector of int32 as wide as a vector of floats, and its number of lanes.
template <typename V>
using IntsOf = decltype(V{} < V{});
template <typename V>
constexpr int kLanesOf = sizeof(V) / sizeof(float);

template <typename V>
inline V load(const void* from) {
  V result;
  std::memcpy(&result, from, sizeof result);
  return result;
}

template <typename V>
inline void store(void* to, V value) {
  std::memcpy(to, &value, sizeof value);
}

template <typename V>
inline V fill(float value) {
  return V{} + value;
}

template <typename V>
inline V greater_of(V a, V b) {
  return a > b ? a : b;
}

template <typename V>
inline V lesser_of(V a, V b) {
  return a < b ? a : b;
}

template <typename To, typename From>
inline To same_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "the same number of bits");
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

// Nearest whole number, ties to even, of |x| < 2^22, as a float and as an int.
constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: a float that large has no fraction
constexpr int32_t kShiftBits = 0x4B400000;

template <typename V>
inline V rounded(V x) {
  return (x + kShift) - kShift;
}

template <typename V>
inline IntsOf<V> to_nearest_int(V x) {
  return same_bits<IntsOf<V>>(x + kShift) - kShiftBits;
}

// The lanes in a fixed order.
inline float sum_of(F8 v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

constexpr size_t kSearched = 64;  // of what is searched in one go

// The numbers in [begin, end), at most kSearched of them, for which `is_wanted` holds; returns how many.
// Without a branch, where those would look like chance to a processor.
template <typename IsWanted>
inline size_t find_wanted(size_t begin, size_t end, uint32_t (&wanted)[kSearched], IsWanted is_wanted) {
  size_t found = 0;
  for (size_t i = begin; i < end; ++i) {
    wanted[found] = static_cast<uint32_t>(i);
    found += is_wanted(i);
  }
  return found;
}

typedef float F4 __attribute__((vector_size(16)));

inline float greatest_of(F8 v) {
  F4 halves[2];
  std::memcpy(halves, &v, sizeof v);
  const F4 four = greater_of(halves[0], halves[1]);
  const float even = four[0] > four[2] ? four[0] : four[2], odd = four[1] > four[3] ? four[1] : four[3];
  return even > odd ? even : odd;
}

// The first `count` lanes of a vector; the others are `other`.
inline F8 first_lanes(F8 v, size_t count, float other) {
  const I8 lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return lane < static_cast<int32_t>(std::min<size_t>(count, 8)) ? v : fill<F8>(other);
}
