//===- Upgrade.cpp - plans that name views instead of buckets ---------------------------------===//

#include "runtime/plan/Upgrade.h"

#include "runtime/plan/Geometry.h"

namespace deepshard::runtime {

static void addBucket(planpb::Program &program, const std::string &name, const std::string &kind,
                      const planpb::View &view) {
  planpb::Bucket &bucket = *program.add_buckets();
  bucket.set_name(name);
  bucket.set_kind(kind);
  bucket.set_elements(elementCount(view.shape()).value_or(0));
  *bucket.mutable_view() = view;
  bucket.mutable_view()->clear_shape();
  bucket.mutable_view()->clear_strides();
  bucket.mutable_view()->add_shape(static_cast<int64_t>(bucket.elements()));
  bucket.mutable_view()->add_strides(1);
}

void addBuckets(planpb::Plan &plan) {
  for (planpb::Program &program : *plan.mutable_programs()) {
    if (program.buckets_size() > 0)
      continue;
    for (planpb::Parameter &parameter : *plan.mutable_parameters()) {
      parameter.set_bucket(static_cast<uint32_t>(program.buckets_size()));
      parameter.set_bucket_offset(0);
      addBucket(program, parameter.name(), parameter.trainable() ? "parameter" : "buffer",
                parameter.view());
    }
    for (const planpb::Slot &slot : program.optimizer_state())
      addBucket(program, slot.name(), slot.name().substr(0, slot.name().rfind('.')), slot.view());
  }
}

} // namespace deepshard::runtime
