//===- Steps.h - a primitive as launches and copies -------------------------------------------===//
//
// What a kernel of provider "cuda" does, as data: made without CUDA, run with it.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_STEPS_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_STEPS_H

#include "runtime/kernels/Kernel.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace deepshard::runtime::cuda {

/// Where a step finds an operand.
struct Place {
  enum Kind { Nowhere, Input, Output, Workspace } kind = Nowhere;
  size_t index = 0;
  int64_t offset = 0; // in bytes

  static Place input(size_t index, int64_t offset = 0) { return {Input, index, offset}; }
  static Place output(size_t index, int64_t offset = 0) { return {Output, index, offset}; }
  static Place workspace(size_t offset) { return {Workspace, 0, static_cast<int64_t>(offset)}; }

  /// Null if it is nowhere.
  char *in(const KernelArguments &arguments) const {
    void *base = kind == Input       ? arguments.inputs[index]
                 : kind == Output    ? arguments.outputs[index]
                 : kind == Workspace ? arguments.workspace
                                     : nullptr;
    return base ? static_cast<char *>(base) + offset : nullptr;
  }
};

/// A launch of a function of the library's own code (Parameters.h).
struct LaunchStep {
  std::string function;
  uint32_t blocks, threads;
  std::vector<char> parameters; // a struct, its addresses unset
  std::vector<Place> places;    // of these, in order

  template <typename Parameters>
  static LaunchStep of(std::string function, int64_t blocks, int threads,
                       const Parameters &parameters, std::vector<Place> places) {
    static_assert(std::is_trivially_copyable_v<Parameters>);
    LaunchStep step{std::move(function), static_cast<uint32_t>(blocks),
                    static_cast<uint32_t>(threads), std::vector<char>(sizeof(Parameters)),
                    std::move(places)};
    std::memcpy(step.parameters.data(), &parameters, sizeof(Parameters));
    return step;
  }
};

/// A copy of a window; strides in elements of `width` bytes.
struct CopyStep {
  Place from, to;
  std::vector<int64_t> shape, fromStrides, toStrides;
  size_t width;
};

using Step = std::variant<LaunchStep, CopyStep>;

/// Steps that run one after another.
struct Steps {
  std::vector<Step> steps;
  size_t workspaceBytes = 0;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_STEPS_H
