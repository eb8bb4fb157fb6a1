//===- CudaTesting.cpp - plans of the CPU as plans of a GPU that is not there -----------------===//

#include "test/unit/cuda/CudaTesting.h"

#include "runtime/plan/Types.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>

namespace deepshard::runtime::test {

FakeCuda &fakeCuda() {
  static FakeCuda *fake = [] {
    ::setenv("DEEPSHARD_CUDA_LIBRARY", DEEPSHARD_FAKE_LIBRARY, 1);
    void *library = ::dlopen(DEEPSHARD_FAKE_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
      throw std::runtime_error(::dlerror());
    return reinterpret_cast<FakeEntry *>(::dlsym(library, kFakeEntry))();
  }();
  return *fake;
}

/// What a launch of the CPU plan computes, for the fake.
static void addKernel(const std::string &symbol, const planpb::Launch &launch) {
  KernelSpec spec = kernelSpec(launch, 1);
  std::shared_ptr<Kernel> kernel = findProvider(launch.provider())->prepare(spec);
  size_t inputs = spec.inputs.size(), outputs = spec.outputs.size();
  fakeCuda().addKernel(symbol, inputs + outputs,
                       [kernel, inputs](const std::vector<void *> &operands) {
                         std::span<void *const> all(operands);
                         kernel->run({all.first(inputs), all.subspan(inputs), nullptr});
                       });
}

static void setIntegers(planpb::Launch &launch, const char *name, std::vector<int64_t> values) {
  planpb::Attribute &attribute = (*launch.mutable_attributes())[name];
  attribute.mutable_integers()->mutable_values()->Assign(values.begin(), values.end());
}

planpb::Plan cudaPlan(planpb::Plan plan, const std::string &matmulsBy) {
  plan.set_backend(planpb::CUDA);
  for (planpb::Segment &segment : *plan.mutable_programs(0)->mutable_segments())
    std::stable_partition(segment.mutable_tasks()->begin(), segment.mutable_tasks()->end(),
                          [](const planpb::Task &task) { return task.has_feed(); });
  std::string ptx = ".version 7.8\n.target sm_80\n.address_size 64\n";
  int count = 0;
  for (planpb::Segment &segment : *plan.mutable_programs(0)->mutable_segments())
    for (planpb::Task &task : *segment.mutable_tasks()) {
      if (!task.has_launch())
        continue;
      planpb::Launch &launch = *task.mutable_launch();
      (*launch.mutable_attributes())["workspace_bytes"].set_integer(0);
      std::string name = fmt::format("k{}", count++);
      if (launch.kernel() == "matmul" && matmulsBy != "generated") {
        launch.set_provider(matmulsBy);
        continue;
      }
      addKernel(name + "_0", launch);
      launch.set_provider("generated");
      launch.set_kernel(name);
      setIntegers(launch, "grid", {1, 1, 1});
      setIntegers(launch, "block", {32, 1, 1});
      setIntegers(launch, "shared_bytes", {0});
      ptx += fmt::format(".visible .entry {}_0()\n{{\n  ret;\n}}\n", name);
    }
  planpb::DeviceCode &code = *plan.add_device_code();
  code.set_target("compute_80");
  code.set_image(ptx);
  return plan;
}

} // namespace deepshard::runtime::test
