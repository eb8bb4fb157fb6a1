//===- Device.cpp - the CPU as a device -------------------------------------------------------===//

#include "runtime/device/cpu/Device.h"

#include "runtime/device/cpu/Arena.h"
#include "runtime/device/cpu/Stream.h"
#include "runtime/plan/Error.h"

#include <cstring>
#include <stdexcept>
#include <utility>

namespace deepshard::runtime {

namespace {

/// The memory that other ranks see, which the World owns.
class WindowArena final : public Arena {
public:
  WindowArena(char *window, uint64_t bytes) : Arena(bytes) { base = window; }
};

/// Throws Error.
std::unique_ptr<Code> loaded(std::string_view code) {
  if (code.empty())
    return nullptr;
  try {
    return std::make_unique<Code>(code);
  } catch (const std::runtime_error &error) {
    throw Error(error.what());
  }
}

/// Recursion over the dimensions needs no memory but the stack.
void copyDims(const StridedCopy &copy, size_t dim, const char *from, char *to) {
  if (dim == copy.shape.size()) {
    std::memcpy(to, from, copy.width);
    return;
  }
  auto width = static_cast<int64_t>(copy.width);
  for (int64_t i = 0; i < copy.shape[dim]; ++i)
    copyDims(copy, dim + 1, from + i * copy.fromStrides[dim] * width,
             to + i * copy.toStrides[dim] * width);
}

} // namespace

CpuDevice::CpuDevice(std::string_view code, int threads, char *window)
    : code(loaded(code)), generated(this->code.get()), threads(threads), window(window) {}

std::unique_ptr<Arena> CpuDevice::arena(Space space, uint64_t bytes) {
  if (space == Space::Window && window)
    return std::make_unique<WindowArena>(window, bytes);
  return std::make_unique<HostArena>(bytes);
}

std::unique_ptr<Stream> CpuDevice::stream(const std::string &) {
  return std::make_unique<CpuStream>(threads);
}

std::unique_ptr<Event> CpuDevice::event() { return std::make_unique<CpuEvent>(); }

/// The build's own providers, and the plan's.
const KernelProvider *CpuDevice::provider(std::string_view name) {
  return name == generated.name() ? &generated : findProvider(name);
}

std::unique_ptr<Communicator> CpuDevice::communicator(std::unique_ptr<Communicator> host,
                                                      std::span<const int>) {
  return host;
}

void CpuDevice::write(char *to, const void *from, uint64_t bytes) { std::memcpy(to, from, bytes); }

void CpuDevice::read(void *to, const char *from, uint64_t bytes) { std::memcpy(to, from, bytes); }

void CpuDevice::copy(const StridedCopy &copy) { copyDims(copy, 0, copy.from, copy.to); }

} // namespace deepshard::runtime
