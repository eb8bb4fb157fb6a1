//===- OneRankPlan.cpp - collectives of one rank, as plans for a GPU and for the CPU ----------===//
//
// `one-rank-plan DIR` writes DIR/nccl.dsplan and DIR/nccl-cpu.dsplan: least squares in f64 whose
// gradient goes through reduce_scatter and the weight through all_gather, in groups of one. ds-opt
// makes no such plan; on a GPU it is the least that NCCL can be asked for.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/plan/PlanFile.h"
#include "test/unit/executor/RankTraining.h"

#include <algorithm>
#include <cstdio>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

/// The same with the kernels of a GPU.
planpb::Plan onGpu(planpb::Plan plan) {
  plan.set_backend(planpb::CUDA);
  for (planpb::Segment &segment : *plan.mutable_programs(0)->mutable_segments()) {
    std::stable_partition(segment.mutable_tasks()->begin(), segment.mutable_tasks()->end(),
                          [](const planpb::Task &task) { return task.has_feed(); });
    for (planpb::Task &task : *segment.mutable_tasks()) {
      if (!task.has_launch())
        continue;
      planpb::Launch &launch = *task.mutable_launch();
      launch.set_provider(launch.kernel() == "matmul" ? "cublaslt" : "cuda");
      if (launch.kernel() == "matmul")
        (*launch.mutable_attributes())["workspace_bytes"].set_integer(0);
    }
  }
  return plan;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: one-rank-plan DIR\n");
    return 2;
  }
  TemporaryDirectory scratch;
  const Regression regression{.zero = Zero::Update, .ranks = 1};
  (void)writeData(scratch, regression.features, 1);
  planpb::Plan plan = planOf(regression, scratch.path("w"));
  // Its first weights come from a file that ds-run is given.
  plan.clear_files();
  plan.mutable_parameters(0)->set_file(-1);
  const std::string path = std::string(argv[1]) + "/nccl";
  writePlan(plan, path + "-cpu.dsplan");
  writePlan(onGpu(std::move(plan)), path + ".dsplan");
  return 0;
}
