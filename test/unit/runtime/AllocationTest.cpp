//===- AllocationTest.cpp - a step allocates nothing ------------------------------------------===//
//
// This program replaces operator new to count; it stays apart from the others for that reason.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/executor/Executor.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<size_t> allocations = 0;

void *operator new(size_t bytes) {
  ++allocations;
  if (void *memory = std::malloc(bytes))
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

} // namespace
