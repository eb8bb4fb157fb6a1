//===- Providers.h - the providers of this build ----------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_PROVIDERS_H
#define DEEPSHARD_RUNTIME_KERNELS_PROVIDERS_H

#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime {

/// "reference": every primitive of the graph dialect over strided operands.
const KernelProvider &referenceProvider();

/// "onednn": matmul, linear, convolution and its gradients on f32, bf16 and f16; with f32 products
/// for f16, and for bf16 where `level` (see CpuLevel.h) has no bf16 instructions.
const KernelProvider &onednnProvider(std::string_view level);

/// "native": attention, the loss and the update, for a machine of `level`.
const KernelProvider &nativeProvider(std::string_view level);

/// From now on the providers of `findProvider` choose and compute as on a machine of `level`, where
/// this one offers more: oneDNN's implementations, native loops and the workspaces of both. To be
/// called before anything is asked of them, because oneDNN decides once.
void limitProviders(std::string_view level);

/// oneDNN's part of it.
void limitOnednn(std::string_view level);

/// "generated" without code, for those who make plans; a plan's own kernels come from a
/// GeneratedProvider with its code (generated/Generated.h).
const KernelProvider &generatedProvider();

/// "cudnn", "cublaslt" and "cuda" for those who make plans for GPUs, on machines without one:
/// `whyNot` and `workspaceBytes` are those of the providers of libds_cuda.so, `prepare` throws.
/// `findProvider` knows none of them, because plans for CPUs must not.
///
/// "cudnn" gives attention what cuDNN needs at most on any GPU; the plan has to record it as
/// attribute `workspace_bytes`. Whether the library has a kernel for it on the GPU is known when
/// the plan is loaded.
///
/// Both libraries want workspaces at multiples of kLibraryWorkspaceAlignment.
///
/// "cublaslt" gives a product the workspace that its attribute `workspace_bytes` says, else 32 MiB;
/// the plan has to record it as that attribute. Whether the library has an algorithm for it is
/// known when the plan is loaded.
const KernelProvider &plannedCudnnProvider();
const KernelProvider &plannedCublasltProvider();
const KernelProvider &plannedCudaProvider();

inline constexpr uint64_t kLibraryWorkspaceAlignment = 256;

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_PROVIDERS_H
