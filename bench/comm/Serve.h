//===- Serve.h - what both sides of the benchmark do ------------------------------------------===//
//
// Each of two ranks reads commands from a pipe of its own, "DIR/SIDE.0" and "DIR/SIDE.1", so that a
// side that is not measured sleeps: "all_reduce 65536 200" is a collective, its bytes, how often.
// Rank 0 answers each with "SECONDS CHECK": the median time of a call, and a sum over its result
// that the other side must agree with.
//
// Bytes are those of the larger end of a rank: the input, for all_gather the output. Elements are
// f32. Before every call both ranks write their inputs anew, as training does, and meet.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_BENCH_COMM_SERVE_H
#define DEEPSHARD_BENCH_COMM_SERVE_H

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace deepshard::bench {

constexpr int kRanks = 2;
constexpr int64_t kMostElements = 64 << 20; // 256 MiB

/// Collectives of a side, out of place. `elements` are those of the larger end.
class Side {
public:
  virtual ~Side() = default;
  virtual void allReduce(const float *input, float *output, int64_t elements) = 0;
  virtual void reduceScatter(const float *input, float *output, int64_t elements) = 0;
  virtual void allGather(const float *input, float *output, int64_t elements) = 0;
  virtual void allToAll(const float *input, float *output, int64_t elements) = 0;
  virtual void barrier() = 0;
};

struct Collective {
  const char *name;
  void (Side::*call)(const float *, float *, int64_t);
  int inputParts, outputParts; // of kRanks
};

constexpr Collective kCollectives[] = {{"all_reduce", &Side::allReduce, 2, 2},
                                       {"reduce_scatter", &Side::reduceScatter, 2, 1},
                                       {"all_gather", &Side::allGather, 1, 2},
                                       {"all_to_all", &Side::allToAll, 2, 2}};

/// Answers commands until the pipe ends. `input` and `output` have room for kMostElements.
inline void serve(Side &side, int rank, const std::string &pipe, float *input, float *output) {
  std::ifstream commands(pipe);
  std::string name;
  int64_t bytes = 0;
  int calls = 0;
  while (commands >> name >> bytes >> calls) {
    const auto *collective =
        std::find_if(std::begin(kCollectives), std::end(kCollectives),
                     [&](const Collective &candidate) { return name == candidate.name; });
    const int64_t elements = bytes / static_cast<int64_t>(sizeof(float));
    if (collective == std::end(kCollectives) || elements > kMostElements) {
      std::cerr << "unknown command " << name << " " << bytes << "\n";
      return;
    }
    std::vector<double> seconds;
    for (int call = -1; call < calls; ++call) { // one to warm up
      for (int64_t i = 0; i < elements * collective->inputParts / kRanks; ++i)
        input[i] = static_cast<float>((i + rank + call) & 1023);
      side.barrier();
      const auto start = std::chrono::steady_clock::now();
      (side.*collective->call)(input, output, elements);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      if (call >= 0)
        seconds.push_back(taken.count());
    }
    double check = 0;
    for (int64_t i = 0; i < elements * collective->outputParts / kRanks; ++i)
      check += output[i] * static_cast<double>(1 + i % 7);
    std::nth_element(seconds.begin(), seconds.begin() + calls / 2, seconds.end());
    if (rank == 0)
      std::printf("%.9f %.17g\n", seconds[calls / 2], check);
    std::fflush(stdout);
  }
}

} // namespace deepshard::bench

#endif // DEEPSHARD_BENCH_COMM_SERVE_H
