//===- Provider.cpp - the oneDNN provider -----------------------------------------------------===//

#include "runtime/kernels/Accumulate.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/onednn/Primitive.h"
#include "runtime/kernels/onednn/Widened.h"

#include <dnnl.hpp>
#include <fmt/format.h>
#include <stdexcept>
#include <string_view>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;

namespace {

Call callOf(const KernelSpec &spec, bool adds) {
  if (spec.name == "matmul")
    return matmulCall(spec, adds);
  if (spec.name == "linear")
    return linearCall(spec, adds);
  for (std::string_view name : {"convolution", "convolution_input_grad", "convolution_weight_grad"})
    if (name == spec.name)
      return convolutionCall(spec);
  throw std::invalid_argument("there is no oneDNN kernel called " + spec.name);
}

class OnednnProvider : public KernelProvider {
public:
  explicit OnednnProvider(bool multipliesBf16) : multipliesBf16(multipliesBf16) {}

  std::string_view name() const override { return "onednn"; }

  std::string library() const override {
    const dnnl_version_t *version = dnnl_version();
    return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
  }

  std::optional<std::string> whyNot(const KernelSpec &spec) const override {
    try {
      (void)find(spec, /*prepares=*/false);
      return std::nullopt;
    } catch (const std::invalid_argument &error) {
      return error.what();
    }
  }

  size_t workspaceBytes(const KernelSpec &spec) const override {
    return find(spec, /*prepares=*/false).workspaceBytes;
  }

  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override {
    return find(spec, /*prepares=*/true).kernel;
  }

private:
  struct Found {
    std::unique_ptr<Kernel> kernel; // null unless it was to be prepared
    size_t workspaceBytes;
  };

  Found find(const KernelSpec &spec, bool prepares) const {
    const bool adds = accumulates(spec);
    const KernelSpec product = adds ? withoutAccumulator(spec) : spec;
    require(!adds || product.name == "matmul" || product.name == "linear",
            product.name + " does not accumulate");
    Found found;
    if (widens(product)) {
      WidenedKernel kernel = widened(product, adds);
      found = {std::move(kernel.kernel), kernel.workspaceBytes};
    } else {
      const Call call = callOf(product, adds);
      found = {prepares ? onednn::prepare(call, spec.threads) : nullptr,
               onednn::workspaceBytes(call)};
    }
    if (prepares && adds)
      found.kernel = accumulating(std::move(found.kernel), spec);
    return found;
  }

  bool widens(const KernelSpec &spec) const {
    if (spec.inputs.empty())
      return false;
    const DType type = spec.inputs[0].dtype;
    return type == DType::F16 || (type == DType::BF16 && !multipliesBf16);
  }

  bool multipliesBf16;
};

} // namespace

void deepshard::runtime::limitOnednn(std::string_view level) {
  dnnl::cpu_isa isa = dnnl::cpu_isa::avx2;
  if (offers(level, "x86-64-v4"))
    isa = offers(level, "x86-64-v4-bf16") ? dnnl::cpu_isa::avx512_core_bf16
                                          : dnnl::cpu_isa::avx512_core;
  // Refused where it comes too late; then it works without.
  (void)dnnl::set_max_cpu_isa(isa);
}

const KernelProvider &deepshard::runtime::onednnProvider(std::string_view level) {
  static const OnednnProvider without(false), with(true);
  return offers(level, "x86-64-v4-bf16") ? with : without;
}
