// CRC-32 as zlib computes it, eight bytes at a time.
#include <cstring>

#include "plan.h"

namespace edgevit {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320u;

struct Tables {
  uint32_t of[8][256];

  constexpr Tables() : of() {
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t remainder = i;
      for (int bit = 0; bit < 8; ++bit)
        remainder = remainder >> 1 ^ (remainder & 1 ? kPolynomial : 0);
      of[0][i] = remainder;
    }
    for (int table = 1; table < 8; ++table)
      for (uint32_t i = 0; i < 256; ++i)
        of[table][i] = of[table - 1][i] >> 8 ^ of[0][of[table - 1][i] & 255];
  }
};

constexpr Tables kTables;

}  // namespace

uint32_t crc32(const uint8_t* bytes, uint64_t size) {
  const auto& t = kTables.of;
  uint32_t sum = ~0u;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint32_t low, high;
    std::memcpy(&low, bytes, 4);
    std::memcpy(&high, bytes + 4, 4);
    low ^= sum;
    sum = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^
          t[3][high & 255] ^ t[2][high >> 8 & 255] ^ t[1][high >> 16 & 255] ^ t[0][high >> 24];
  }
  for (; size > 0; --size, ++bytes) sum = sum >> 8 ^ t[0][(sum ^ *bytes) & 255];
  return ~sum;
}

}  // namespace edgevit
