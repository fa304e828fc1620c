// The C interface: models, contexts, and one inference.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>

#include "edgevit.h"
#include "isa.h"
#include "plan.h"
#include "threads.h"

using edgevit::Call;
using edgevit::DepthwiseTables;
using edgevit::Kernel;
using edgevit::Kernels;
using edgevit::Kind;
using edgevit::Operation;
using edgevit::Plan;
using edgevit::Refusal;
using edgevit::SlicTables;
using edgevit::Team;

namespace {

constexpr size_t kAlignment = 64;
constexpr uint64_t kMostFileBytes = uint64_t{1} << 31;

edgevit_status tell(edgevit_status status, const std::string& reason, char* message, size_t bytes) {
  if (message != nullptr && bytes > 0) std::snprintf(message, bytes, "%s", reason.c_str());
  return status;
}

size_t round_up(size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

struct Freed {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<uint8_t, Freed>;

Memory aligned_memory(size_t size) {
  return Memory(static_cast<uint8_t*>(std::aligned_alloc(kAlignment, round_up(size > 0 ? size : 1))));
}

// The bytes of a model file: mapped, or a copy.
class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() {
    if (mapped_ != MAP_FAILED) munmap(mapped_, size_);
  }

  Refusal map(const char* path) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return {EDGEVIT_NO_FILE, std::string("cannot open ") + path + ": " + std::strerror(errno)};
    struct stat facts;
    const bool known = fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0;
    if (!known || static_cast<uint64_t>(facts.st_size) >= kMostFileBytes) {
      close(file);
      return {EDGEVIT_NO_FILE, std::string(path) + " is no file, empty, or larger than 2 GiB"};
    }
    size_ = static_cast<size_t>(facts.st_size);
    mapped_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (mapped_ == MAP_FAILED) return {EDGEVIT_NO_FILE, std::string("cannot map ") + path};
    data_ = static_cast<const uint8_t*>(mapped_);
    return {};
  }

  Refusal copy(const void* bytes, size_t size) {
    if (size >= kMostFileBytes) return {EDGEVIT_BAD_ARGUMENT, "a model is larger than 2 GiB"};
    copy_ = aligned_memory(size);
    if (!copy_) return {EDGEVIT_NO_MEMORY, "no memory for the model"};
    std::memcpy(copy_.get(), bytes, size);
    data_ = copy_.get();
    size_ = size;
    return {};
  }

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  void* mapped_ = MAP_FAILED;
  Memory copy_;
};

// Memory that a part needs beside the arena.
size_t staging_bytes(const Plan& plan) {
  uint64_t most = 0;
  for (const Operation& operation : plan.operations) most = std::max(most, edgevit::staged_numbers(operation));
  return round_up(most * edgevit::kStagedBytes + edgevit::kSlack);
}

bool is_quantized_depthwise(const Operation& operation) {
  return operation.kind == Kind::depthwise && !operation.conv.is_float;
}

uint64_t nanoseconds_now() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

struct edgevit_model {
  Bytes bytes;
  Plan plan;
  std::map<const Operation*, SlicTables> slic;
  std::map<const Operation*, DepthwiseTables> depthwise;

  Refusal read() {
    const Refusal refusal = edgevit::read_plan(bytes.data(), bytes.size(), plan);
    if (refusal.status != 0) return refusal;
    for (const Operation& operation : plan.operations) {
      if (operation.kind == Kind::slic) slic.emplace(&operation, SlicTables(operation.slic));
      if (is_quantized_depthwise(operation))
        depthwise.emplace(&operation, DepthwiseTables(plan, operation.conv));
    }
    return {};
  }
};

struct edgevit_context {
  const edgevit_model* model;
  const Kernels* kernels;
  Memory arena, staging;
  size_t staging_of_part;
  Team team;
  Call call;
  Kernel kernel;  // of the phase that is being run

  static void do_part(void* self, uint32_t part, uint32_t parts) {
    const edgevit_context& context = *static_cast<edgevit_context*>(self);
    context.kernel(context.call, part, parts);
  }

  void run(const Operation& operation) {
    call.operation = &operation;
    if (operation.kind == Kind::slic) call.slic = &model->slic.at(&operation);
    if (is_quantized_depthwise(operation)) call.depthwise = &model->depthwise.at(&operation);
    for (const Kernel phase : kernels->run[static_cast<uint32_t>(operation.kind)]) {
      if (phase == nullptr) break;
      kernel = phase;
      team.run(do_part, this);
    }
  }
};

namespace {

template <typename Fill>
edgevit_status open_model(Fill fill, edgevit_model** model, char* message, size_t message_bytes) {
  if (model == nullptr) return tell(EDGEVIT_BAD_ARGUMENT, "model is NULL", message, message_bytes);
  *model = nullptr;
  try {
    auto made = std::make_unique<edgevit_model>();
    Refusal refusal = fill(made->bytes);
    if (refusal.status == 0) refusal = made->read();
    if (refusal.status != 0)
      return tell(static_cast<edgevit_status>(refusal.status), refusal.reason, message, message_bytes);
    *model = made.release();
    return EDGEVIT_OK;
  } catch (const std::bad_alloc&) {
    return tell(EDGEVIT_NO_MEMORY, "no memory for the model", message, message_bytes);
  }
}

edgevit_status fill_context(edgevit_context& context, const edgevit_model* model, uint32_t threads,
                            char* message, size_t message_bytes) {
  const Plan& plan = model->plan;
  context.model = model;
  context.arena = aligned_memory(plan.arena_bytes + edgevit::kSlack);
  context.staging_of_part = staging_bytes(plan);
  context.staging = aligned_memory(context.staging_of_part * threads);
  if (!context.arena || !context.staging)
    return tell(EDGEVIT_NO_MEMORY, "no memory for the activations", message, message_bytes);
  std::memset(context.arena.get(), 0, plan.arena_bytes);
  if (!context.team.start(threads))
    return tell(EDGEVIT_NO_MEMORY, "the system gives no more threads", message, message_bytes);
  context.call = Call{};
  context.call.arena = context.arena.get();
  context.call.file = plan.file;
  context.call.height = plan.height;
  context.call.width = plan.width;
  context.call.staging = context.staging.get();
  context.call.staging_bytes = context.staging_of_part;
  return EDGEVIT_OK;
}

}  // namespace

extern "C" {

uint32_t edgevit_abi_version(void) { return EDGEVIT_ABI_VERSION; }

edgevit_status edgevit_open(const char* path, edgevit_model** model, char* message,
                            size_t message_bytes) {
  if (path == nullptr) return tell(EDGEVIT_BAD_ARGUMENT, "path is NULL", message, message_bytes);
  return open_model([&](Bytes& bytes) { return bytes.map(path); }, model, message, message_bytes);
}

edgevit_status edgevit_open_memory(const void* memory, size_t size, edgevit_model** model,
                                   char* message, size_t message_bytes) {
  if (memory == nullptr) return tell(EDGEVIT_BAD_ARGUMENT, "bytes is NULL", message, message_bytes);
  return open_model([&](Bytes& bytes) { return bytes.copy(memory, size); }, model, message,
                    message_bytes);
}

void edgevit_close(edgevit_model* model) { delete model; }

void edgevit_describe(const edgevit_model* model, edgevit_info* info) {
  const Plan& plan = model->plan;
  *info = {plan.height,
           plan.width,
           plan.classes,
           plan.has_map() ? plan.map_rows : 0,
           plan.has_map() ? plan.map_columns : 0,
           static_cast<uint32_t>(plan.operations.size()),
           plan.arena_bytes};
}

const char* edgevit_operation_name(const edgevit_model* model, uint32_t operation) {
  const auto& all = model->plan.operations;
  return operation < all.size() ? all[operation].name : nullptr;
}

const char* edgevit_operation_kind(const edgevit_model* model, uint32_t operation) {
  const auto& all = model->plan.operations;
  return operation < all.size() ? edgevit::kind_name(all[operation].kind) : nullptr;
}

const char* edgevit_isa_name(uint32_t place) {
  const Kernels* set = edgevit::isa_at(place);
  return set ? set->name : nullptr;
}

int edgevit_isa_usable(uint32_t place) {
  const Kernels* set = edgevit::isa_at(place);
  return set != nullptr && set->usable();
}

edgevit_status edgevit_context_create(const edgevit_model* model, uint32_t threads, const char* isa,
                                      edgevit_context** context, char* message,
                                      size_t message_bytes) {
  if (model == nullptr || context == nullptr)
    return tell(EDGEVIT_BAD_ARGUMENT, "model or context is NULL", message, message_bytes);
  *context = nullptr;
  if (threads < 1 || threads > edgevit::kMaxParts)
    return tell(EDGEVIT_BAD_ARGUMENT, "threads are 1 to 16, not " + std::to_string(threads), message,
                message_bytes);
  const Kernels* kernels = edgevit::choose_isa(isa);
  if (kernels == nullptr)
    return tell(EDGEVIT_BAD_ARGUMENT,
                std::string("this processor or library has no instruction set called ") + isa, message,
                message_bytes);
  auto* made = new (std::nothrow) edgevit_context;
  if (made == nullptr)
    return tell(EDGEVIT_NO_MEMORY, "no memory for the context", message, message_bytes);
  made->kernels = kernels;
  const edgevit_status status = fill_context(*made, model, threads, message, message_bytes);
  if (status != EDGEVIT_OK)
    delete made;
  else
    *context = made;
  return status;
}

void edgevit_context_free(edgevit_context* context) { delete context; }

const char* edgevit_context_isa(const edgevit_context* context) { return context->kernels->name; }

edgevit_status edgevit_run(edgevit_context* context, const uint8_t* rgb, size_t row_bytes,
                           float* logits, int32_t* superpixels) {
  return edgevit_run_profiled(context, rgb, row_bytes, logits, superpixels, nullptr);
}

edgevit_status edgevit_run_profiled(edgevit_context* context, const uint8_t* rgb, size_t row_bytes,
                                    float* logits, int32_t* superpixels, uint64_t* nanoseconds) {
  if (context == nullptr || rgb == nullptr || logits == nullptr) return EDGEVIT_BAD_ARGUMENT;
  const Plan& plan = context->model->plan;
  if (superpixels != nullptr && !plan.has_map()) return EDGEVIT_BAD_ARGUMENT;
  if (row_bytes == 0) row_bytes = size_t{plan.width} * 3;
  if (row_bytes < size_t{plan.width} * 3) return EDGEVIT_BAD_ARGUMENT;
  context->call.rgb = rgb;
  context->call.row_bytes = row_bytes;
  uint64_t before = nanoseconds ? nanoseconds_now() : 0;
  for (const Operation& operation : plan.operations) {
    context->run(operation);
    if (nanoseconds == nullptr) continue;
    const uint64_t now = nanoseconds_now();
    *nanoseconds++ = now - before;
    before = now;
  }
  const uint8_t* arena = context->arena.get();
  std::memcpy(logits, arena + plan.logits, plan.classes * sizeof(float));
  if (superpixels != nullptr)
    std::memcpy(superpixels, arena + plan.map, sizeof(int32_t) * plan.map_rows * plan.map_columns);
  return EDGEVIT_OK;
}

}  // extern "C"
