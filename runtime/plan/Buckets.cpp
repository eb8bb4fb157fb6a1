//===- Buckets.cpp - checks where parameters and optimizer state lie --------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Pieces.h"
#include "runtime/plan/Types.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

namespace deepshard::runtime {

namespace {

/// A range of bytes or elements with a name.
struct Extent {
  uint64_t place; // what it lies in: arena, bucket
  uint64_t begin, end;
  std::string name;
};

/// Calls `report` for neighbours that share something.
template <typename Report> void findSharing(std::vector<Extent> &extents, Report report) {
  std::sort(extents.begin(), extents.end(), [](const Extent &a, const Extent &b) {
    return std::tie(a.place, a.begin) < std::tie(b.place, b.begin);
  });
  const Extent *furthest = nullptr;
  for (const Extent &extent : extents) {
    if (furthest && furthest->place == extent.place && furthest->end > extent.begin)
      report(*furthest, extent);
    if (!furthest || furthest->place != extent.place || furthest->end < extent.end)
      furthest = &extent;
  }
}

class BucketsCheck {
public:
  BucketsCheck(const planpb::Plan &plan, const Mesh &mesh, const planpb::Program &program,
               Faults &faults)
      : plan(plan), mesh(mesh), program(program), faults(faults) {}

  void run() {
    size_t before = faults.number();
    for (const planpb::Bucket &bucket : program.buckets())
      checkBucket(bucket);
    if (faults.number() != before)
      return;
    findSharing(places, [&](const Extent &a, const Extent &b) {
      faults.add("buckets {} and {} share bytes of arena {}", a.name, b.name, a.place);
    });
    for (const planpb::Parameter &parameter : plan.parameters())
      checkMember(parameter);
    findSharing(members, [&](const Extent &a, const Extent &b) {
      faults.add("parameters {} and {} share elements {} to {} of bucket {}", a.name, b.name,
                 b.begin, std::min(a.end, b.end),
                 program.buckets(static_cast<int>(a.place)).name());
    });
  }

private:
  void checkBucket(const planpb::Bucket &bucket);
  void checkInitial(const planpb::Bucket &bucket, const std::string &what);
  void checkMember(const planpb::Parameter &parameter);
  void checkCopy(const planpb::Parameter &parameter, const planpb::Bucket &master,
                 const std::string &what);

  const planpb::Plan &plan;
  const Mesh &mesh;
  const planpb::Program &program;
  Faults &faults;
  std::set<std::string> names;
  std::vector<Extent> places;
  std::vector<Extent> members;
};

void BucketsCheck::checkBucket(const planpb::Bucket &bucket) {
  std::string what = fmt::format("bucket {}", bucket.name());
  if (bucket.kind().empty() || !names.insert(bucket.name()).second)
    faults.add("{}: it has no kind, or its name occurs twice", what);
  if (auto fault = mesh.faultOf(bucket.axes())) {
    faults.add("{}: {}", what, *fault);
    return;
  }
  const planpb::View &view = bucket.view();
  if (!checkView(mesh, program, view, what, faults))
    return;
  checkWritten(program, view, what, faults);
  const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
  if (buffer.lifetime() != planpb::PERSISTENT)
    faults.add("{}: buffer {} is not persistent", what, buffer.name());
  uint64_t parts = mesh.parts(bucket.axes());
  if (view.shape_size() != 1 || (view.shape(0) > 1 && view.strides(0) != 1))
    faults.add("{}: its view is not one dimension of neighbours", what);
  else if (bucket.elements() % parts != 0 ||
           bucket.elements() / parts != static_cast<uint64_t>(view.shape(0)))
    faults.add("{}: {} elements in {} parts ({}) are not the {} of its view", what,
               bucket.elements(), parts, mesh.text(bucket.axes()), view.shape(0));
  checkInitial(bucket, what);
  uint64_t begin = buffer.offset() + view.offset();
  places.push_back({buffer.arena(), begin,
                    begin + *byteSpan(view) + mesh.largestShift(view).value_or(0), bucket.name()});
}

/// Only what is no tensor of the model has a first content, and every rank all of it; the state of
/// a loss scale is such.
void BucketsCheck::checkInitial(const planpb::Bucket &bucket, const std::string &what) {
  const bool isTensors =
      bucket.kind() == "parameter" || bucket.kind() == "master" || bucket.kind() == "buffer";
  const uint64_t bytes = bucket.elements() * elementBytes(bucket.view().dtype());
  if (!bucket.initial().empty() &&
      (isTensors || mesh.parts(bucket.axes()) != 1 || bucket.initial().size() != bytes))
    faults.add("{}: its first content has {} bytes; only a bucket that is whole on every rank and "
               "holds no tensor of the model has one, of its {} bytes",
               what, bucket.initial().size(), bytes);
  if (bucket.kind() == kLossScaleKind &&
      (bucket.view().dtype() != planpb::F64 || bucket.elements() != kLossScaleNumbers ||
       bucket.initial().empty()))
    faults.add("{}: a loss scale is {} numbers of f64 with a first content", what,
               kLossScaleNumbers);
}

/// A copy lies where the master does, in as many elements of a type that a value can be rounded to.
void BucketsCheck::checkCopy(const planpb::Parameter &parameter, const planpb::Bucket &master,
                             const std::string &what) {
  if (parameter.copy_bucket() >= static_cast<uint32_t>(program.buckets_size())) {
    faults.add("{}: bucket {} of {} for its copy does not exist", what, parameter.copy_bucket(),
               program.buckets_size());
    return;
  }
  const planpb::Bucket &copy = program.buckets(static_cast<int>(parameter.copy_bucket()));
  if (copy.kind() != "parameter" || copy.elements() != master.elements())
    faults.add(
        "{}: its copy's bucket {} is of kind {} with {} elements; parameter and the {} of {} "
        "were expected",
        what, copy.name(), copy.kind(), copy.elements(), master.elements(), master.name());
  const planpb::DType type = copy.view().dtype();
  if (type != planpb::BF16 && type != planpb::F16)
    faults.add("{}: its copy's bucket {} is not of bf16 or f16", what, copy.name());
  for (const planpb::AxisList &list : parameter.layout().dims())
    if (mesh.overlap(list, copy.axes()))
      faults.add("{}: it is cut over {}, and its copy's bucket {} over {}, which overlap", what,
                 mesh.text(list), copy.name(), mesh.text(copy.axes()));
}

void BucketsCheck::checkMember(const planpb::Parameter &parameter) {
  std::string what = fmt::format("parameter {}", parameter.name());
  if (parameter.bucket() >= static_cast<uint32_t>(program.buckets_size())) {
    faults.add("{}: bucket {} of {} does not exist", what, parameter.bucket(),
               program.buckets_size());
    return;
  }
  const planpb::Bucket &bucket = program.buckets(static_cast<int>(parameter.bucket()));
  const bool hasCopy = parameter.has_copy_bucket();
  if (hasCopy ? bucket.kind() != "master"
              : bucket.kind() != "parameter" && bucket.kind() != "buffer")
    faults.add("{}: bucket {} is of kind {}; {} was expected", what, bucket.name(), bucket.kind(),
               hasCopy ? "master" : "parameter or buffer");
  if (bucket.view().dtype() != parameter.dtype())
    faults.add("{}: its type is not that of bucket {}", what, bucket.name());
  if (hasCopy)
    checkCopy(parameter, bucket, what);
  for (const planpb::AxisList &list : parameter.layout().dims())
    if (mesh.overlap(list, bucket.axes()))
      faults.add("{}: it is cut over {}, and its bucket {} over {}, which overlap", what,
                 mesh.text(list), bucket.name(), mesh.text(bucket.axes()));
  uint64_t elements = Cut(mesh, parameter).pieceElements();
  if (elements > bucket.elements() || parameter.bucket_offset() > bucket.elements() - elements)
    faults.add("{}: {} elements at {} do not lie in bucket {} of {}", what, elements,
               parameter.bucket_offset(), bucket.name(), bucket.elements());
  else if (elements > 0)
    members.push_back({parameter.bucket(), parameter.bucket_offset(),
                       parameter.bucket_offset() + elements, parameter.name()});
}

} // namespace

void checkBuckets(const planpb::Plan &plan, const Mesh &mesh, const planpb::Program &program,
                  Faults &faults) {
  BucketsCheck(plan, mesh, program, faults).run();
}

} // namespace deepshard::runtime
