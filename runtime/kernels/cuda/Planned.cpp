//===- Planned.cpp - kernels for GPUs, where plans are made -----------------------------------===//

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Conv.h"
#include "runtime/kernels/cuda/Primitives.h"
#include "runtime/kernels/cuda/Product.h"
#include "runtime/kernels/cuda/Sdpa.h"

#include <stdexcept>

namespace deepshard::runtime {

namespace {

/// Says what a provider of libds_cuda.so will take, and prepares nothing.
class PlannedProvider final : public KernelProvider {
public:
  /// `plan` gives the bytes of workspace; it throws `std::invalid_argument` if there is no such
  /// kernel.
  PlannedProvider(std::string_view name, size_t (*plan)(const KernelSpec &))
      : providerName(name), plan(plan) {}

  std::string_view name() const override { return providerName; }

  std::optional<std::string> whyNot(const KernelSpec &spec) const override {
    try {
      (void)plan(spec);
      return std::nullopt;
    } catch (const std::invalid_argument &error) {
      return error.what();
    }
  }

  size_t workspaceBytes(const KernelSpec &spec) const override { return plan(spec); }

  std::unique_ptr<Kernel> prepare(const KernelSpec &) const override {
    throw std::invalid_argument("kernels of " + std::string(providerName) + " run on a GPU");
  }

private:
  std::string_view providerName;
  size_t (*plan)(const KernelSpec &);
};

size_t planProduct(const KernelSpec &spec) {
  (void)cuda::productOf(spec);
  return spec.attributes.has("workspace_bytes") ? workspaceAttribute(spec)
                                                : size_t{cuda::kProductWorkspace};
}

size_t planGraph(const KernelSpec &spec) {
  return cuda::isConv(spec) ? cuda::convWorkspace(spec).bytes
                            : cuda::sdpaWorkspace(cuda::sdpaOf(spec));
}

} // namespace

const KernelProvider &plannedCudnnProvider() {
  static const PlannedProvider provider("cudnn", planGraph);
  return provider;
}

const KernelProvider &plannedCublasltProvider() {
  static const PlannedProvider provider("cublaslt", planProduct);
  return provider;
}

const KernelProvider &plannedCudaProvider() {
  static const PlannedProvider provider(
      "cuda", [](const KernelSpec &spec) { return cuda::stepsOf(spec).workspaceBytes; });
  return provider;
}

} // namespace deepshard::runtime
