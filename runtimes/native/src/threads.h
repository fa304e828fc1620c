// Some threads that do the parts of one operation after another, and the calling thread with them.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "plan.h"

namespace edgevit {

class Team {
 public:
  using Work = void (*)(void* context, uint32_t part, uint32_t parts);

  Team() = default;
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team();

  // Starts the other threads; false where the system gives no more of them.
  bool start(uint32_t size);

  uint32_t size() const { return size_; }

  // Does all parts of a piece of work, and returns when they are done.
  void run(Work work, void* context);

 private:
  struct Member {
    Team* team;
    uint32_t part;
    pthread_t thread;
  };

  static void* loop(void* member);
  uint32_t wait_for_round(uint32_t last);

  uint32_t size_ = 1, started_ = 0;
  Member members_[kMaxParts];
  Work work_ = nullptr;
  void* context_ = nullptr;
  std::atomic<uint32_t> round_{0}, pending_{0};
  std::atomic<bool> ends_{false};
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake_ = PTHREAD_COND_INITIALIZER;
};

}  // namespace edgevit
