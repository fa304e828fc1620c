// Opens changed model files, and runs those that are not refused.
//
// As a libFuzzer target (clang++ -fsanitize=fuzzer,address,undefined), or, with
// -DEDGEVIT_OWN_MUTATIONS and any compiler's sanitizers, as a program of its own:
//
//   fuzz_model SEED SECONDS FILE...
//
// Checksums and lengths are set right after every change: the checks behind them are what is tried.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../src/plan.h"
#include "edgevit.h"

namespace {

constexpr uint64_t kHeader = 64, kRecord = 128;
constexpr uint64_t kMostArena = 1 << 22;  // larger ones only take time

void put(std::vector<uint8_t>& file, size_t at, const void* value, size_t size) {
  if (at + size <= file.size()) std::memcpy(file.data() + at, value, size);
}

void make_plausible(std::vector<uint8_t>& file) {
  if (file.size() < kHeader) return;
  const uint64_t size = file.size();
  const uint32_t sum = edgevit::crc32(file.data() + kHeader, size - kHeader);
  put(file, 16, &size, sizeof size);
  put(file, 24, &sum, sizeof sum);
}

// Whether it was opened.
bool try_file(const std::vector<uint8_t>& file) {
  edgevit_model* model;
  char message[256];
  if (edgevit_open_memory(file.data(), file.size(), &model, message, sizeof message) != EDGEVIT_OK)
    return false;
  edgevit_info info;
  edgevit_describe(model, &info);
  edgevit_context* context;
  const bool small = info.arena_bytes <= kMostArena && info.height * uint64_t{info.width} <= 1 << 20;
  if (small && edgevit_context_create(model, 1, nullptr, &context, nullptr, 0) == EDGEVIT_OK) {
    std::vector<uint8_t> picture(size_t{info.height} * info.width * 3, 77);
    std::vector<float> logits(info.classes);
    std::vector<int32_t> map(size_t{info.map_rows} * info.map_columns);
    edgevit_run(context, picture.data(), 0, logits.data(), map.empty() ? nullptr : map.data());
    edgevit_context_free(context);
  }
  edgevit_close(model);
  return true;
}

}  // namespace

#if !defined(EDGEVIT_OWN_MUTATIONS)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::vector<uint8_t> file(bytes, bytes + size);
  make_plausible(file);
  try_file(file);
  return 0;
}

#else

#include <chrono>
#include <random>

namespace {

std::vector<uint8_t> read_file(const char* path) {
  std::vector<uint8_t> bytes;
  FILE* file = std::fopen(path, "rb");
  if (!file) std::exit(2);
  for (int c; (c = std::fgetc(file)) != EOF;) bytes.push_back(static_cast<uint8_t>(c));
  std::fclose(file);
  return bytes;
}

// One to four changes: mostly of the numbers in header and operations, now and then of any byte.
std::vector<uint8_t> changed(std::vector<uint8_t> file, std::mt19937& random) {
  static const uint32_t telling[] = {0, 1, 2, 3, 4, 63, 64, 255, 4096, 1u << 24, 0x7FFFFFFFu,
                                     0x80000000u, 0xFFFFFFC0u, 0xFFFFFFFFu};
  uint32_t operations;
  std::memcpy(&operations, file.data() + 28, 4);
  const size_t numbers = (kHeader + kRecord * operations) / 4;
  for (uint32_t change = random() % 4 + 1; change > 0; --change) {
    if (random() % 16 == 0) {
      file[random() % file.size()] ^= 1u << random() % 8;
      continue;
    }
    if (random() % 64 == 0) {
      file.resize(kHeader + random() % (file.size() - kHeader + 1));
      break;
    }
    const size_t at = random() % numbers * 4;
    uint32_t value;
    std::memcpy(&value, file.data() + at, 4);
    switch (random() % 5) {
      case 0: value = telling[random() % (sizeof telling / 4)]; break;
      case 1: value += random() % 129 - 64; break;
      case 2: value *= 2; break;
      case 3: value ^= 1u << random() % 32; break;
      default: std::memcpy(&value, file.data() + random() % numbers * 4, 4);
    }
    put(file, at, &value, 4);
    if (28 >= at && 28 < at + 4) break;  // the number of operations itself
  }
  make_plausible(file);
  return file;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) return 2;
  std::mt19937 random(static_cast<uint32_t>(std::atoi(arguments[1])));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(arguments[2]));
  std::vector<std::vector<uint8_t>> seeds;
  for (int i = 3; i < count; ++i) seeds.push_back(read_file(arguments[i]));
  uint64_t tried = 0, opened = 0;
  while (std::chrono::steady_clock::now() < end)
    for (int i = 0; i < 256; ++i, ++tried) opened += try_file(changed(seeds[random() % seeds.size()], random));
  std::printf("%llu files tried, %llu opened and run\n", static_cast<unsigned long long>(tried),
              static_cast<unsigned long long>(opened));
  return 0;
}

#endif
