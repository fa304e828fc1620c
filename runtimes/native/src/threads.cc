#include "threads.h"

namespace edgevit {
namespace {

// Operations follow each other within microseconds: a thread looks for so long before it sleeps.
constexpr int kSpins = 20000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

bool Team::start(uint32_t size) {
  size_ = size;
  for (uint32_t part = 1; part < size; ++part) {
    Member& member = members_[part];
    member.team = this;
    member.part = part;
    if (pthread_create(&member.thread, nullptr, loop, &member) != 0) return false;
    started_ = part;
  }
  return true;
}

Team::~Team() {
  pthread_mutex_lock(&mutex_);
  ends_.store(true);
  round_.fetch_add(1);
  pthread_cond_broadcast(&wake_);
  pthread_mutex_unlock(&mutex_);
  for (uint32_t part = 1; part <= started_; ++part) pthread_join(members_[part].thread, nullptr);
  pthread_cond_destroy(&wake_);
  pthread_mutex_destroy(&mutex_);
}

void Team::run(Work work, void* context) {
  if (size_ == 1) {
    work(context, 0, 1);
    return;
  }
  work_ = work;
  context_ = context;
  pending_.store(size_ - 1);
  pthread_mutex_lock(&mutex_);
  round_.fetch_add(1);
  pthread_cond_broadcast(&wake_);
  pthread_mutex_unlock(&mutex_);
  work(context, 0, size_);
  while (pending_.load(std::memory_order_acquire) != 0) relax();
}

uint32_t Team::wait_for_round(uint32_t last) {
  for (int spin = 0; spin < kSpins; ++spin) {
    const uint32_t now = round_.load(std::memory_order_acquire);
    if (now != last) return now;
    relax();
  }
  pthread_mutex_lock(&mutex_);
  while (round_.load(std::memory_order_acquire) == last) pthread_cond_wait(&wake_, &mutex_);
  const uint32_t now = round_.load(std::memory_order_acquire);
  pthread_mutex_unlock(&mutex_);
  return now;
}

void* Team::loop(void* argument) {
  const Member& member = *static_cast<Member*>(argument);
  Team& team = *member.team;
  uint32_t round = 0;
  while (true) {
    round = team.wait_for_round(round);
    if (team.ends_.load()) return nullptr;
    team.work_(team.context_, member.part, team.size_);
    team.pending_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace edgevit
