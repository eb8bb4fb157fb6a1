//===- Provider.cpp - the oneDNN provider -----------------------------------------------------===//

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/kernels/onednn/Primitive.h"
#include "runtime/kernels/onednn/Widened.h"

#include <dnnl.hpp>
#include <fmt/format.h>
#include <stdexcept>
#include <string_view>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;

namespace {

Call callOf(const KernelSpec &spec) {
  if (spec.name == "matmul")
    return matmulCall(spec);
  if (spec.name == "linear")
    return linearCall(spec);
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
      if (widens(spec))
        (void)widened(spec);
      else
        (void)callOf(spec);
      return std::nullopt;
    } catch (const std::invalid_argument &error) {
      return error.what();
    }
  }

  size_t workspaceBytes(const KernelSpec &spec) const override {
    return widens(spec) ? widened(spec).workspaceBytes : onednn::workspaceBytes(callOf(spec));
  }

  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override {
    return widens(spec) ? widened(spec).kernel : onednn::prepare(callOf(spec), spec.threads);
  }

private:
  bool widens(const KernelSpec &spec) const {
    return !multipliesBf16 && !spec.inputs.empty() && spec.inputs[0].dtype == DType::BF16;
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
