//===- Provider.cpp - the oneDNN provider -----------------------------------------------------===//

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/kernels/onednn/Primitive.h"

#include <dnnl.hpp>
#include <fmt/format.h>
#include <stdexcept>
#include <string_view>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;

namespace {

Call callOf(const KernelSpec &spec) {
  constexpr std::pair<std::string_view, Call (*)(const KernelSpec &)> kCalls[] = {
      {"matmul", matmulCall},
      {"linear", linearCall},
      {"convolution", convolutionCall},
      {"convolution_input_grad", convolutionCall},
      {"convolution_weight_grad", convolutionCall}};
  for (auto [name, call] : kCalls)
    if (name == spec.name)
      return call(spec);
  throw std::invalid_argument("there is no oneDNN kernel called " + spec.name);
}

class OnednnProvider : public KernelProvider {
public:
  std::string_view name() const override { return "onednn"; }

  std::string library() const override {
    const dnnl_version_t *version = dnnl_version();
    return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
  }

  std::optional<std::string> whyNot(const KernelSpec &spec) const override {
    try {
      callOf(spec);
      return std::nullopt;
    } catch (const std::invalid_argument &error) {
      return error.what();
    }
  }

  size_t workspaceBytes(const KernelSpec &spec) const override {
    return onednn::workspaceBytes(callOf(spec));
  }

  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override {
    return onednn::prepare(callOf(spec), spec.threads);
  }
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

const KernelProvider &deepshard::runtime::onednnProvider() {
  static const OnednnProvider provider;
  return provider;
}
