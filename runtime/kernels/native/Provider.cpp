//===- Provider.cpp - the native provider -----------------------------------------------------===//

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/kernels/native/Native.h"

#include <stdexcept>

using namespace deepshard::runtime;
using namespace deepshard::runtime::native;

namespace {

class NativeProvider : public KernelProvider {
public:
  explicit NativeProvider(const Loops &loops) : loops(loops) {}

  std::string_view name() const override { return "native"; }

  std::optional<std::string> whyNot(const KernelSpec &spec) const override {
    try {
      find(spec);
      return std::nullopt;
    } catch (const std::invalid_argument &error) {
      return error.what();
    }
  }

  size_t workspaceBytes(const KernelSpec &spec) const override { return find(spec).workspaceBytes; }

  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override {
    return find(spec).kernel;
  }

private:
  Prepared find(const KernelSpec &spec) const {
    if (spec.name == "attention" || spec.name == "attention_grad")
      return prepareAttention(spec, loops);
    if (spec.name == "cross_entropy")
      return prepareCrossEntropy(spec, loops);
    if (spec.name == "cross_entropy_grad")
      return prepareCrossEntropyGrad(spec, loops);
    if (spec.name == "cross_entropy_with_grad")
      return prepareCrossEntropyWithGrad(spec, loops);
    if (spec.name == "adamw")
      return prepareAdamW(spec, loops);
    if (spec.name == "sum_squares")
      return prepareSumSquares(spec, loops);
    throw std::invalid_argument("there is no native kernel called " + spec.name);
  }

  const Loops &loops;
};

} // namespace

const KernelProvider &deepshard::runtime::nativeProvider(std::string_view level) {
  static const NativeProvider level3(loopsLevel3()), level4(loopsLevel4());
  return offers(level, "x86-64-v4") ? level4 : level3;
}
