//===- Mpi.cpp - the benchmark's side with MPI's collectives ----------------------------------===//
//
// mpirun -n 2 bench-comm-mpi DIR
//
//===------------------------------------------------------------------------------------------===//

#include "bench/comm/Serve.h"

#include <mpi.h>

using namespace deepshard::bench;

namespace {

class MpiSide final : public Side {
public:
  void allReduce(const float *input, float *output, int64_t elements) override {
    MPI_Allreduce(input, output, static_cast<int>(elements), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  }
  void reduceScatter(const float *input, float *output, int64_t elements) override {
    MPI_Reduce_scatter_block(input, output, static_cast<int>(elements / kRanks), MPI_FLOAT, MPI_SUM,
                             MPI_COMM_WORLD);
  }
  void allGather(const float *input, float *output, int64_t elements) override {
    const int part = static_cast<int>(elements / kRanks);
    MPI_Allgather(input, part, MPI_FLOAT, output, part, MPI_FLOAT, MPI_COMM_WORLD);
  }
  void allToAll(const float *input, float *output, int64_t elements) override {
    const int part = static_cast<int>(elements / kRanks);
    MPI_Alltoall(input, part, MPI_FLOAT, output, part, MPI_FLOAT, MPI_COMM_WORLD);
  }
  void barrier() override { MPI_Barrier(MPI_COMM_WORLD); }
};

} // namespace

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (argc != 2 || ranks != kRanks) {
    std::fprintf(stderr, "usage: mpirun -n %d %s DIR\n", kRanks, argv[0]);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  std::vector<float> input(kMostElements), output(kMostElements);
  MpiSide side;
  serve(side, rank, std::string(argv[1]) + "/mpi." + std::to_string(rank), input.data(),
        output.data());
  MPI_Finalize();
  return 0;
}
