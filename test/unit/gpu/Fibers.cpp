//===- Fibers.cpp - the threads of an emulated block ------------------------------------------===//

#include "Fibers.h"

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstdlib>
#include <new>
#include <numeric>
#include <sys/mman.h>
#include <ucontext.h>

// void emulatedSwitch(void **save, void *to): goes on where `to` stopped.
extern "C" void emulatedSwitch(void **save, void *to);
asm(R"(
.text
.globl emulatedSwitch
.type emulatedSwitch, @function
emulatedSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulatedSwitch, .-emulatedSwitch
)");

namespace deepshard {

static constexpr size_t kStackBytes = 64 << 10;

Block *Block::current = nullptr;

Block::Block(uint32_t count, uint64_t seed)
    : threads(count), given((count + kWarp - 1) / kWarp), random(seed) {
  void *memory = mmap(nullptr, count * kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw std::bad_alloc();
  stacks = static_cast<char *>(memory);
}

Block::~Block() { munmap(stacks, threads.size() * kStackBytes); }

void Block::start() {
  (*current->body)();
  current->leave(State::Done);
  std::abort();
}

void Block::prepare(uint32_t index) {
  // As if it had been left at the first instruction of `start`.
  auto *top = reinterpret_cast<void **>(stacks + (index + 1) * kStackBytes - 64);
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(&Block::start);
  for (int saved = 0; saved < 6; ++saved)
    *--top = nullptr;
  threads[index] = Thread();
  threads[index].stackPointer = top;
}

void Block::leave(State state) {
  Thread &thread = threads[running];
  thread.state = state;
  emulatedSwitch(&thread.stackPointer, scheduler);
}

const std::array<uint64_t, Block::kWarp> &Block::meet(uint64_t value, uint32_t which) {
  threads[running].value = value;
  threads[running].which = which;
  leave(State::AtMeeting);
  return given[running / kWarp];
}

float Block::shuffle(uint32_t mask, float value, uint32_t distance, uint32_t clamp) {
  if (mask != 0xFFFFFFFF || clamp != kWarp - 1)
    fail("a shuffle of some lanes only");
  const std::array<uint64_t, kWarp> &values = meet(std::bit_cast<uint32_t>(value), distance);
  uint32_t lane = running % kWarp, from = lane ^ distance;
  if (from >= kWarp || running - lane + from >= threads.size())
    fail("a shuffle with a lane that does not exist");
  return std::bit_cast<float>(static_cast<uint32_t>(values[from]));
}

void Block::barrier() { leave(State::AtBarrier); }

void Block::fail(const char *what) {
  fault = what;
  leave(State::Faulted);
  std::abort();
}

void Block::onFault() { current->fail("an access outside of the operands"); }

/// An access that is not allowed ends the thread that made it: behind the handler, it is in
/// `onFault`.
void Block::handleSignal(int signal, void *, void *context) {
  if (!current) {
    std::signal(signal, SIG_DFL);
    return;
  }
  greg_t *registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
  registers[REG_RIP] = reinterpret_cast<greg_t>(&Block::onFault);
  registers[REG_RSP] = ((registers[REG_RSP] - 128) & ~greg_t{15}) - 8;
}

/// The lanes of a warp exchange values when all of them have come to the same meeting.
std::string Block::exchange(uint32_t warp) {
  auto first = static_cast<size_t>(warp) * kWarp;
  size_t lanes = std::min<size_t>(kWarp, threads.size() - first);
  Thread *lane = &threads[first];
  bool isThere = std::all_of(lane, lane + lanes,
                             [](const Thread &thread) { return thread.state == State::AtMeeting; });
  if (!isThere)
    return "";
  for (size_t i = 0; i < lanes; ++i) {
    if (lane[i].which != lane[0].which)
      return "lanes of a warp are at different shuffles";
    given[warp][i] = lane[i].value;
    lane[i].state = State::Ready;
  }
  return "";
}

std::string Block::exchangeAll() {
  for (uint32_t warp = 0; warp * kWarp < threads.size(); ++warp)
    if (std::string error = exchange(warp); !error.empty())
      return error;
  auto count = [&](State state) {
    return static_cast<size_t>(
        std::count_if(threads.begin(), threads.end(),
                      [&](const Thread &thread) { return thread.state == state; }));
  };
  if (fault)
    return fault;
  if (count(State::AtBarrier) == threads.size()) {
    for (Thread &thread : threads)
      thread.state = State::Ready;
    return "";
  }
  if (count(State::Ready) > 0 || count(State::Done) == threads.size())
    return "";
  return count(State::AtMeeting) > 0 ? "a shuffle that not all lanes of a warp reach"
                                     : "a barrier that not all threads reach";
}

std::string Block::run(const std::function<void()> &function) {
  body = &function;
  fault = nullptr;
  for (uint32_t i = 0; i < threads.size(); ++i)
    prepare(i);
  static char signalStack[64 << 10];
  stack_t alternate{signalStack, 0, sizeof(signalStack)}, oldStack;
  sigaltstack(&alternate, &oldStack);
  struct sigaction action = {}, old;
  action.sa_sigaction = reinterpret_cast<void (*)(int, siginfo_t *, void *)>(&handleSignal);
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &action, &old);
  std::vector<uint32_t> order(threads.size());
  std::iota(order.begin(), order.end(), 0);
  std::string error;
  auto isDone = [](const Thread &thread) { return thread.state == State::Done; };
  current = this;
  while (error.empty() && !std::all_of(threads.begin(), threads.end(), isDone)) {
    // Half of the warps sleep, so that some get far ahead of others.
    std::shuffle(order.begin(), order.end(), random);
    uint64_t awake = random();
    for (uint32_t index : order)
      if (threads[index].state == State::Ready && (awake >> (index / kWarp) & 1) != 0) {
        running = index;
        emulatedSwitch(&scheduler, threads[index].stackPointer);
      }
    error = exchangeAll();
  }
  current = nullptr;
  sigaction(SIGSEGV, &old, nullptr);
  sigaltstack(&oldStack, nullptr);
  return error;
}

} // namespace deepshard
