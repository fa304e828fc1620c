// The header of a model file, and its list of operations.
#include "plan.h"

#include <cstring>

#include "edgevit.h"

namespace edgevit {
namespace {

// What no model of a picture comes near, and what a file of a few hundred bytes could ask for.
constexpr uint32_t kMostArenaBytes = 512u << 20;
constexpr double kMostWork = 137e9;  // seconds of one core

constexpr char kMagic[8] = "EDGEVIT";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kByteOrder = 0x01020304u;
constexpr uint64_t kHeaderBytes = 64;
constexpr uint64_t kOperationBytes = 128;
constexpr uint32_t kMostOperations = 100000;
constexpr uint32_t kMostPixels = 8192;  // a side
constexpr uint32_t kMostNameBytes = 255;

struct Header {
  char magic[8];
  uint32_t version, byte_order;
  uint64_t file_bytes;
  uint32_t crc, operations, arena_bytes, height, width, logits, classes, map, map_rows, map_columns;
};
static_assert(sizeof(Header) == kHeaderBytes, "the header has 64 bytes");

Refusal damaged(const std::string& reason) { return {EDGEVIT_DAMAGED, reason}; }

Refusal check_header(const Header& header, uint64_t size) {
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0)
    return damaged("this is no native model of edgevit: it does not begin with EDGEVIT");
  if (header.byte_order != kByteOrder)
    return damaged("the file was written in another byte order than this processor's");
  if (header.version != kVersion)
    return {EDGEVIT_OTHER_VERSION,
            "the file has version " + std::to_string(header.version) + ", this library reads " +
                std::to_string(kVersion) + "; compile the model again with this edgevit"};
  if (header.file_bytes != size)
    return damaged("the file has " + std::to_string(size) + " bytes, its header says " +
                   std::to_string(header.file_bytes));
  return {};
}

Refusal check_sizes(const Header& header) {
  if (header.operations == 0 || header.operations > kMostOperations ||
      kHeaderBytes + kOperationBytes * header.operations > header.file_bytes)
    return damaged("the list of operations does not fit into the file");
  if (header.height == 0 || header.width == 0 || header.height > kMostPixels ||
      header.width > kMostPixels)
    return damaged("the picture has no size, or too large a one");
  if (header.arena_bytes > kMostArenaBytes) return damaged("the model needs more than 512 MiB of memory");
  if (header.arena_bytes % 64 != 0)
    return damaged("the size of the arena is wrong");
  if (header.classes == 0 || header.logits % 4 != 0 ||
      uint64_t{header.logits} + 4 * uint64_t{header.classes} > header.arena_bytes)
    return damaged("the logits lie outside of the arena");
  const uint64_t map_bytes = 4 * uint64_t{header.map_rows} * header.map_columns;
  if (header.map_rows > kMostPixels || header.map_columns > kMostPixels)
    return damaged("the superpixel map is too large");
  if (header.map != kNone &&
      (map_bytes == 0 || header.map % 4 != 0 || header.map + map_bytes > header.arena_bytes))
    return damaged("the superpixel map lies outside of the arena");
  return {};
}

// The name of an operation, or NULL where there is no whole string in the file.
const char* name_at(const uint8_t* bytes, uint64_t size, uint32_t offset) {
  if (offset >= size) return nullptr;
  const uint64_t left = size - offset;
  const void* end = std::memchr(bytes + offset, 0, left < kMostNameBytes + 1 ? left : kMostNameBytes + 1);
  return end ? reinterpret_cast<const char*>(bytes + offset) : nullptr;
}

Refusal read_operations(Plan& plan, uint32_t count) {
  plan.operations.resize(count);
  double work = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint8_t* record = plan.file + kHeaderBytes + kOperationBytes * i;
    Operation& operation = plan.operations[i];
    uint32_t kind, name;
    std::memcpy(&kind, record, 4);
    std::memcpy(&name, record + 4, 4);
    std::memcpy(operation.raw, record + 8, sizeof operation.raw);
    const std::string where = "operation " + std::to_string(i);
    if (kind == 0 || kind >= kKinds) return damaged(where + " is of an unknown kind");
    operation.kind = static_cast<Kind>(kind);
    operation.name = name_at(plan.file, plan.file_bytes, name);
    if (operation.name == nullptr) return damaged(where + " has no name");
    const Refusal refusal = check_operation(plan, operation);
    if (refusal.status != 0)
      return {refusal.status, where + " (" + operation.name + "): " + refusal.reason};
    work += work_of(plan, operation);
    if (work > kMostWork) return damaged("the model has more than 137 billion operations");
  }
  return {};
}

}  // namespace

const char* kind_name(Kind kind) {
  static const char* const names[kKinds] = {"",     "picture",    "conv",      "depthwise", "slic",
                                            "pool", "layer_norm", "attention", "binary",    "unary",
                                            "mean", "scores",     "weighted",  "transpose"};
  return names[static_cast<uint32_t>(kind)];
}

Refusal read_plan(const uint8_t* bytes, uint64_t size, Plan& plan) {
  if (size < kHeaderBytes) return damaged("the file is shorter than a header");
  Header header;
  std::memcpy(&header, bytes, sizeof header);
  Refusal refusal = check_header(header, size);
  if (refusal.status == 0) refusal = check_sizes(header);
  if (refusal.status != 0) return refusal;
  if (crc32(bytes + kHeaderBytes, size - kHeaderBytes) != header.crc)
    return damaged("the file was changed or not copied whole: its checksum is another one");
  plan.file = bytes;
  plan.file_bytes = size;
  plan.arena_bytes = header.arena_bytes;
  plan.height = header.height;
  plan.width = header.width;
  plan.logits = header.logits;
  plan.classes = header.classes;
  plan.map = header.map;
  plan.map_rows = header.map_rows;
  plan.map_columns = header.map_columns;
  return read_operations(plan, header.operations);
}

}  // namespace edgevit
