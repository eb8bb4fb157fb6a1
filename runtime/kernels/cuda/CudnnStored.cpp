//===- CudnnStored.cpp - graphs of a plan, run by cuDNN without its frontend ------------------===//

#include "runtime/kernels/cuda/CudnnStored.h"

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/cuda/CudnnProperties.h"
#include "runtime/plan/Error.h"

#include <cudnn.h>
#include <fmt/format.h>

#include <stdexcept>

namespace deepshard::runtime::cuda {

namespace {

/// The functions of the library that are needed.
struct Backend {
  decltype(cudnnBackendCreateDescriptor) *create = nullptr;
  decltype(cudnnBackendDestroyDescriptor) *destroy = nullptr;
  decltype(cudnnBackendSetAttribute) *set = nullptr;
  decltype(cudnnBackendGetAttribute) *get = nullptr;
  decltype(cudnnBackendFinalize) *finalize = nullptr;
  decltype(cudnnBackendExecute) *execute = nullptr;
  decltype(cudnnSetStream) *setStream = nullptr;
  decltype(cudnnGetErrorString) *errorText = nullptr;

  explicit Backend(const Library &library) {
    library.find("cudnnBackendCreateDescriptor", create);
    library.find("cudnnBackendDestroyDescriptor", destroy);
    library.find("cudnnBackendSetAttribute", set);
    library.find("cudnnBackendGetAttribute", get);
    library.find("cudnnBackendFinalize", finalize);
    library.find("cudnnBackendExecute", execute);
    library.find("cudnnSetStream", setStream);
    library.find("cudnnGetErrorString", errorText);
  }

  /// Throws `std::invalid_argument`.
  void must(cudnnStatus_t status, const char *what) const {
    if (status != CUDNN_STATUS_SUCCESS)
      throw std::invalid_argument(fmt::format("{}: {}", what, errorText(status)));
  }
};

/// One of the library's objects.
class Descriptor {
public:
  Descriptor(const Backend &backend, cudnnBackendDescriptorType_t type) : backend(backend) {
    backend.must(backend.create(type, &object), "cudnnBackendCreateDescriptor");
  }
  ~Descriptor() { (void)backend.destroy(object); }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, size_t count,
           const void *values) {
    backend.must(backend.set(object, name, type, static_cast<int64_t>(count), values),
                 "cudnnBackendSetAttribute");
  }
  void set(cudnnBackendAttributeName_t name, const std::string &text) {
    set(name, CUDNN_TYPE_CHAR, text.size(), text.data());
  }
  void finalize() { backend.must(backend.finalize(object), "cudnnBackendFinalize"); }
  cudnnBackendDescriptor_t raw() const { return object; }

private:
  const Backend &backend;
  cudnnBackendDescriptor_t object = nullptr;
};

class LoadedGraph final : public LibraryGraph {
  /// The frontend's own part of the workspace ends anywhere.
  static uint64_t aligned(uint64_t bytes) {
    return (bytes + kLibraryWorkspaceAlignment - 1) / kLibraryWorkspaceAlignment *
           kLibraryWorkspaceAlignment;
  }

public:
  LoadedGraph(const CudnnLibrary &library, const CudnnTarget &target, const StoredGraph &stored)
      : backend(library.library()), handle(target.handle), scalars(stored.scalars),
        parts(stored.parts), begin(aligned(stored.workspaceBegin)),
        plan(backend, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    std::optional<Descriptor> device;
    if (handle) {
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    } else {
      device.emplace(backend, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
      device->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, cudnnProperties(target.gpu));
      device->finalize();
      cudnnBackendDescriptor_t described = device->raw();
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &described);
    }
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, stored.plan);
    plan.finalize();
    int64_t count = 0, bytes = 0;
    backend.must(backend.get(plan.raw(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                             1, &count, &bytes),
                 "cudnnBackendGetAttribute");
    workspace = begin + static_cast<uint64_t>(bytes);
  }

  uint64_t workspaceBytes() const override { return workspace; }

  void run(const KernelArguments &arguments, cudaStream_t stream) override {
    std::vector<int64_t> numbers;
    std::vector<void *> places;
    auto add = [&](int64_t number, void *place) {
      numbers.push_back(number);
      places.push_back(place);
    };
    for (std::span<void *const> operands : {arguments.inputs, arguments.outputs})
      for (void *operand : operands)
        add(static_cast<int64_t>(places.size()) + 1, operand);
    for (StoredGraph::Scalar &scalar : scalars)
      add(scalar.number, &scalar.value);
    auto *own = static_cast<char *>(arguments.workspace);
    for (const StoredGraph::Part &part : parts)
      add(part.number, own + part.offset);
    void *behind = own + begin;
    try {
      Descriptor pack(backend, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
      pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, numbers.size(),
               numbers.data());
      pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, places.size(),
               places.data());
      pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &behind);
      pack.finalize();
      backend.must(backend.setStream(handle, stream), "cudnnSetStream");
      backend.must(backend.execute(handle, plan.raw(), pack.raw()), "cudnnBackendExecute");
    } catch (const std::invalid_argument &error) {
      throw Error(error.what(), ExitCode::RankFailed);
    }
  }

private:
  const Backend backend;
  cudnnHandle_t handle;
  std::vector<StoredGraph::Scalar> scalars;
  std::vector<StoredGraph::Part> parts;
  uint64_t begin, workspace = 0;
  Descriptor plan;
};

} // namespace

std::unique_ptr<LibraryGraph> loadGraph(const CudnnLibrary &library, const CudnnTarget &target,
                                        const StoredGraph &stored) {
  return std::make_unique<LoadedGraph>(library, target, stored);
}

std::unique_ptr<LibraryGraph> loadOrBuildGraph(const CudnnLibrary &library,
                                               const CudnnTarget &target, const KernelSpec &spec,
                                               const std::vector<StoredGraph> &graphs) {
  const StoredGraph *stored = storedFor(spec, graphs, library.version(), textOf(target.gpu));
  try {
    if (stored)
      return loadGraph(library, target, *stored);
  } catch (const std::invalid_argument &) {
    // It depends on more than is compared: what cuDNN refuses is built.
  }
  return buildGraph(library, target, spec);
}

} // namespace deepshard::runtime::cuda
