//===- HostImage.cpp - the parameters of a device in memory of the host -----------------------===//

#include "runtime/executor/HostImage.h"

#include "runtime/plan/Geometry.h"

namespace deepshard::runtime {

HostImage::HostImage(const planpb::Plan &plan, const Memory &ofDevice, Device &device)
    : ofDevice(ofDevice), device(device), host("", 1, nullptr),
      image(ofDevice.program(), ofDevice.mesh(), ofDevice.rank(), host) {
  for (const planpb::Parameter &parameter : plan.parameters()) {
    buckets.insert(parameter.bucket());
    if (parameter.has_copy_bucket())
      buckets.insert(parameter.copy_bucket());
  }
}

template <typename Move> void HostImage::forEachBucket(const Move &move) {
  for (uint32_t index : buckets) {
    const planpb::View &view = image.program().buckets(static_cast<int>(index)).view();
    move(ofDevice.at(view), image.at(view), *byteSpan(view));
  }
}

void HostImage::upload() {
  forEachBucket(
      [&](char *ofDevice, char *ofHost, uint64_t bytes) { device.write(ofDevice, ofHost, bytes); });
}

void HostImage::download() {
  forEachBucket(
      [&](char *ofDevice, char *ofHost, uint64_t bytes) { device.read(ofHost, ofDevice, bytes); });
}

} // namespace deepshard::runtime
