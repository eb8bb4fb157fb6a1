//===- AllocationTest.cpp - a step allocates nothing ------------------------------------------===//
//
// This program replaces operator new to count; it stays apart from the others for that reason.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/executor/Executor.h"
#include "test/unit/executor/RankTraining.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <array>
#include <atomic>
#include <barrier>
#include <cstdlib>
#include <new>
#include <thread>

static std::atomic<size_t> allocations = 0;

void *operator new(size_t bytes, const std::nothrow_t &) noexcept {
  ++allocations;
  return std::malloc(bytes);
}
void *operator new(size_t bytes) {
  if (void *memory = operator new(bytes, std::nothrow))
    return memory;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

TEST(AllocationTest, StepsAllocateNothing) {
  TemporaryDirectory directory;
  writeFile(directory.path("x.bin"), bytesOf(std::vector<double>(40, 0.5)));
  writeFile(directory.path("y.bin"), bytesOf(std::vector<double>(10, 1)));
  writeFile(directory.path("w"), bytesOf(std::vector<double>(4)));
  ExecutorOptions options;
  options.data.files = {{"x", directory.path("x.bin") + ":float64"},
                        {"y", directory.path("y.bin") + ":float64"}};
  options.recordTimeline = true;
  size_t beforeLoad = allocations;
  Executor executor(linearRegression(directory.path("w"), 4, 2, 3, 0.1), options);
  EXPECT_GT(allocations, beforeLoad); // the counter counts
  executor.step();
  size_t before = allocations;
  for (int i = 0; i < 20; ++i)
    executor.step();
  EXPECT_EQ(allocations, before);
}

TEST(AllocationTest, StepsOfManyRanksAllocateNothing) {
  TemporaryDirectory directory;
  ExecutorOptions options = writeData(directory, 8, 29);
  options.recordTimeline = true;
  planpb::Plan plan = planOf({.zero = Zero::Parameters, .ranks = 2}, directory.path("w"));
  World world(2, jobWindowBytes(plan), std::chrono::seconds(60));
  std::barrier all(2);
  std::array<size_t, 2> counts = {};
  auto run = [&](int rank) {
    Executor executor(plan, options, &world, rank);
    executor.step();
    all.arrive_and_wait();
    size_t before = allocations;
    all.arrive_and_wait();
    for (int i = 0; i < 20; ++i)
      executor.step();
    all.arrive_and_wait();
    counts[static_cast<size_t>(rank)] = allocations - before;
    all.arrive_and_wait();
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  EXPECT_THAT(counts, testing::Each(0u));
}

} // namespace
