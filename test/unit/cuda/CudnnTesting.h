//===- CudnnTesting.h - kernels of provider "cudnn", with the host's behind it ----------------===//

#ifndef DEEPSHARD_TEST_UNIT_CUDA_CUDNNTESTING_H
#define DEEPSHARD_TEST_UNIT_CUDA_CUDNNTESTING_H

#include "runtime/device/Cuda.h"
#include "test/unit/cuda/CudaTesting.h"
#include "test/unit/kernels/TestTensors.h"

namespace deepshard::runtime::test {

struct CudnnTest : testing::Test {
  FakeCuda &fake = fakeCuda();
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;

  CudnnTest() {
    fake.reset({});
    open({});
  }

  /// The device for a plan with these graphs.
  void open(std::vector<StoredGraph> graphs) {
    CudaOptions options;
    options.libraries = DEEPSHARD_FAKE_LIBRARIES;
    options.graphs = std::move(graphs);
    stream.reset();
    device = openCuda(options);
    stream = device->stream("compute");
  }

  const KernelProvider &cudnn() { return *device->provider("cudnn"); }

  /// `spec` with the workspace that a plan gives it.
  static KernelSpec planned(KernelSpec spec) {
    spec.attributes.set("workspace_bytes",
                        static_cast<int64_t>(plannedCudnnProvider().workspaceBytes(spec)));
    return spec;
  }

  /// Runs `kernel` on copies of the inputs in memory of the device.
  void run(Kernel &kernel, const std::vector<Tensor *> &inputs,
           const std::vector<Tensor *> &outputs, size_t workspaceBytes) {
    std::vector<std::unique_ptr<Arena>> arenas;
    std::vector<void *> places;
    for (const std::vector<Tensor *> *tensors : {&inputs, &outputs})
      for (Tensor *tensor : *tensors) {
        arenas.push_back(device->arena(Space::Device, tensor->bytes.size()));
        device->write(arenas.back()->data(), tensor->bytes.data(), tensor->bytes.size());
        places.push_back(arenas.back()->data());
      }
    std::unique_ptr<Arena> workspace = device->arena(Space::Device, workspaceBytes);
    std::span<void *const> all(places);
    KernelArguments arguments{all.first(inputs.size()), all.subspan(inputs.size()),
                              workspace->data()};
    std::function<void()> work = [&] { kernel.run(arguments); };
    stream->issue([](void *context,
                     uint64_t) noexcept { (*static_cast<std::function<void()> *>(context))(); },
                  &work, 0);
    device->throwIfFailed();
    stream->join();
    for (size_t i = 0; i < outputs.size(); ++i)
      device->read(outputs[i]->bytes.data(), arenas[inputs.size() + i]->data(),
                   outputs[i]->bytes.size());
  }
};

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_CUDA_CUDNNTESTING_H
