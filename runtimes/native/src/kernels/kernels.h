// What an instruction set offers: one function for every kind of operation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../depthwise_tables.h"
#include "../plan.h"
#include "../slic_tables.h"

namespace edgevit {

// An operation on a context's memory, for one picture.
struct Call {
  const Operation* operation;
  uint8_t* arena;
  const uint8_t* file;
  const uint8_t* rgb;
  size_t row_bytes;
  uint32_t height, width;
  uint8_t* staging;        // staging_bytes for every part
  size_t staging_bytes;
  const SlicTables* slic;  // of a slic operation
  const DepthwiseTables* depthwise;  // of a quantized depthwise convolution

  template <typename T>
  const T* read(uint32_t address) const {
    if (address == kNone) return nullptr;
    const uint8_t* memory = address & kConstant ? file : arena;
    return reinterpret_cast<const T*>(memory + (address & ~kConstant));
  }
  template <typename T>
  T* write(uint32_t address) const {
    return address == kNone ? nullptr : reinterpret_cast<T*>(arena + address);
  }
  uint8_t* staging_of(uint32_t part) const { return staging + staging_bytes * part; }
};

// Does the share `part` of `parts` of an operation.
using Kernel = void (*)(const Call& call, uint32_t part, uint32_t parts);

constexpr int kPhases = 2;  // all parts of a phase are done before the next begins

struct Kernels {
  const char* name;
  bool (*usable)();
  Kernel run[kKinds][kPhases];
};

// Places of a convolution's result whose windows are staged together, at most.
constexpr uint32_t kBlockRows = 48;

// Staged rows of windows are a multiple of so many numbers apart; the first begins less than that later.
// So each takes at most twice as many more: one for rounding and the beginning, one that lies between.
constexpr size_t kLine = 64;

// Numbers in the staging memory that a part of an operation needs: the map under a block of windows,
// some mixed columns, or one place of padding.
inline uint64_t staged_numbers(const Operation& operation) {
  const Conv& op = operation.conv;
  if (operation.kind == Kind::depthwise) return op.is_float ? op.channels : DepthwiseTables::mixed_numbers(op);
  if (operation.kind != Kind::conv) return 0;
  const uint64_t places = uint64_t{op.out_height} * op.out_width;
  const uint64_t count = places < kBlockRows ? places : kBlockRows;
  return op.kernel_h * (((count - 1) * op.stride_w + op.kernel_w) * op.channels + 2 * kLine);
}
constexpr uint32_t kStagedBytes = 4;  // of a number in staging, at most
// Bytes behind the arena and every part's staging that may be read and written, and mean nothing.
constexpr size_t kSlack = 64;

extern const Kernels kPortable;
#if defined(__x86_64__)
extern const Kernels kAvx2, kAvxVnni, kAvx512Vnni;
#elif defined(__aarch64__)
extern const Kernels kNeon, kNeonDot;
#endif

// The share of `part` of a range: [begin, end).
struct Share {
  uint32_t begin, end;

  Share(uint32_t count, uint32_t part, uint32_t parts)
      : begin(static_cast<uint32_t>(uint64_t{count} * part / parts)),
        end(static_cast<uint32_t>(uint64_t{count} * (part + 1) / parts)) {}
};

}  // namespace edgevit
