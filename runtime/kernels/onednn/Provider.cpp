//===- Provider.cpp - the oneDNN provider -----------------------------------------------------===//
//
// Which implementation runs a call follows from its descriptors and the number of threads alone:
// the library is asked with a team of that size, and its plain fallback, which is a thousand times
// slower, is refused. The scratchpad is the kernel's workspace. oneDNN is linked against the same
// libgomp as everything else, so that its loops run on the calling thread's team.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/onednn/Primitive.h"

#include <dnnl.hpp>
#include <fmt/format.h>
#include <omp.h>
#include <stdexcept>
#include <string_view>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;

namespace {

const dnnl::engine &cpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// oneDNN takes the size of its team from the calling thread's setting.
class TeamSize {
public:
  explicit TeamSize(int threads) : before(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~TeamSize() { omp_set_num_threads(before); }
  TeamSize(const TeamSize &) = delete;
  TeamSize &operator=(const TeamSize &) = delete;

private:
  int before;
};

dnnl::matmul::primitive_desc describe(const MatmulCall &call, int threads) {
  const TeamSize team(threads);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::matmul::desc operation =
      call.bias ? dnnl::matmul::desc(call.src, call.weights, *call.bias, call.dst)
                : dnnl::matmul::desc(call.src, call.weights, call.dst);
  try {
    dnnl::matmul::primitive_desc described(operation, attributes, cpuEngine());
    require(std::string_view(described.impl_info_str()).substr(0, 3) != "ref",
            "oneDNN has no fast implementation for these strides");
    return described;
  } catch (const dnnl::error &error) {
    throw std::invalid_argument(std::string("oneDNN refuses: ") + error.what());
  }
}

class OnednnKernel : public Kernel {
public:
  OnednnKernel(const MatmulCall &call, int threads)
      : call(call), description(describe(call, threads)), threads(threads), stream(cpuEngine()),
        src(call.src, cpuEngine(), nullptr), weights(call.weights, cpuEngine(), nullptr),
        dst(call.dst, cpuEngine(), nullptr),
        scratchpad(description.scratchpad_desc(), cpuEngine(), nullptr) {
    const TeamSize team(threads);
    primitive = dnnl::matmul(description);
    arguments = {{DNNL_ARG_SRC, src.get()},
                 {DNNL_ARG_WEIGHTS, weights.get()},
                 {DNNL_ARG_DST, dst.get()},
                 {DNNL_ARG_SCRATCHPAD, scratchpad.get()}};
    if (call.bias) {
      bias = dnnl::memory(*call.bias, cpuEngine(), nullptr);
      arguments.push_back({DNNL_ARG_BIAS, bias.get()});
    }
  }

  void run(const KernelArguments &given) noexcept override {
    const TeamSize team(threads);
    point(src, given.inputs[call.srcInput]);
    point(weights, given.inputs[call.weightsInput]);
    point(dst, given.outputs[0]);
    point(scratchpad, given.workspace);
    if (call.bias)
      point(bias, given.inputs[call.biasInput]);
    // The C interface: the C++ one builds a map for every call.
    check(dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(arguments.size()),
                                 arguments.data()));
  }

private:
  /// Nothing that was prepared can fail but by a defect here or there, which must not go on with
  /// wrong results.
  static void check(dnnl_status_t status) noexcept {
    if (status != dnnl_success)
      std::terminate();
  }

  static void point(dnnl::memory &memory, void *address) noexcept {
    check(dnnl_memory_set_data_handle(memory.get(), address));
  }

  MatmulCall call;
  dnnl::matmul::primitive_desc description;
  int threads;
  dnnl::stream stream;
  dnnl::memory src, weights, dst, scratchpad, bias;
  dnnl::matmul primitive;
  std::vector<dnnl_exec_arg_t> arguments;
};

class OnednnProvider : public KernelProvider {
public:
  std::string_view name() const override { return "onednn"; }

  std::string library() const override {
    const dnnl_version_t *version = dnnl_version();
    return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
  }

  std::optional<std::string> whyNot(const KernelSpec &spec) const override {
    try {
      describe(callOf(spec), spec.threads);
      return std::nullopt;
    } catch (const std::invalid_argument &error) {
      return error.what();
    }
  }

  size_t workspaceBytes(const KernelSpec &spec) const override {
    return describe(callOf(spec), spec.threads).scratchpad_desc().get_size();
  }

  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override {
    return std::make_unique<OnednnKernel>(callOf(spec), spec.threads);
  }

private:
  static MatmulCall callOf(const KernelSpec &spec) {
    if (spec.name == "matmul")
      return matmulCall(spec);
    if (spec.name == "linear")
      return linearCall(spec);
    throw std::invalid_argument("there is no oneDNN kernel called " + spec.name);
  }
};

} // namespace

const KernelProvider &deepshard::runtime::onednnProvider() {
  static const OnednnProvider provider;
  return provider;
}
