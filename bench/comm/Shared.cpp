//===- Shared.cpp - the benchmark's side with this project's collectives ----------------------===//
//
// bench-comm-shared DIR: two forked processes, each on a core of its own, as MPI places its own.
//
//===------------------------------------------------------------------------------------------===//

#include "bench/comm/Serve.h"
#include "runtime/comm/World.h"

#include <array>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace deepshard;
using namespace deepshard::bench;

namespace {

class SharedSide final : public Side {
public:
  explicit SharedSide(runtime::Communicator &group) : group(group) {}

  void allReduce(const float *input, float *output, int64_t elements) override {
    group.allReduce(input, output, elements, runtime::DType::F32, runtime::Reduction::Sum);
  }
  void reduceScatter(const float *input, float *output, int64_t elements) override {
    group.reduceScatter(input, output, 1, elements / kRanks, runtime::DType::F32,
                        runtime::Reduction::Sum);
  }
  void allGather(const float *input, float *output, int64_t elements) override {
    group.allGather(input, output, 1, elements / kRanks, runtime::DType::F32);
  }
  void allToAll(const float *input, float *output, int64_t elements) override {
    group.allToAllForward(input, output, 1, 1, elements / kRanks, runtime::DType::F32);
  }
  void barrier() override { group.barrier(); }

private:
  runtime::Communicator &group;
};

void pinTo(int index) {
  cpu_set_t allowed, one;
  CPU_ZERO(&one);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &allowed) && index-- == 0)
      CPU_SET(core, &one);
  if (CPU_COUNT(&one) == 1)
    ::sched_setaffinity(0, sizeof(one), &one);
}

void runRank(runtime::World &world, int rank, const std::string &directory) {
  pinTo(rank);
  constexpr std::array<int, kRanks> kMembers = {0, 1};
  auto group = world.communicator(rank, 0, kMembers);
  SharedSide side(*group);
  auto *input = reinterpret_cast<float *>(world.window(rank));
  serve(side, rank, directory + "/shared." + std::to_string(rank), input, input + kMostElements);
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIR\n", argv[0]);
    return 2;
  }
  runtime::World world(kRanks, 2 * kMostElements * sizeof(float), std::chrono::seconds(60));
  const pid_t child = ::fork();
  if (child < 0)
    return 4;
  try {
    runRank(world, child == 0 ? 1 : 0, argv[1]);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
  int status = 0;
  if (child > 0)
    ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}
