//===- Places.cpp - checks that everything has a place of its own -----------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"

#include <algorithm>
#include <bit>
#include <tuple>
#include <vector>

namespace deepshard::runtime {

namespace {

/// What a device offers as the alignment of an arena.
constexpr uint32_t kMostAlignment = 2u << 20;

class PlacesCheck {
public:
  PlacesCheck(const planpb::Plan &plan, const Mesh &mesh, const planpb::Program &program,
              Faults &faults)
      : plan(plan), mesh(mesh), program(program), faults(faults), slots(slotCount(program)) {}

  void run() {
    size_t before = faults.number();
    checkArenas();
    checkSchedule();
    for (const planpb::Buffer &buffer : program.buffers())
      checkBuffer(buffer);
    if (faults.number() != before)
      return;
    checkSharing();
    checkBuckets(plan, mesh, program, faults);
    checkHostViews();
    for (const planpb::Segment &segment : program.segments())
      for (int i = 0; i < segment.tasks_size(); ++i)
        checkTask(segment, i);
  }

private:
  void checkArenas();
  void checkSchedule();
  void checkBuffer(const planpb::Buffer &buffer);
  void checkSharing();
  void checkHostViews();
  void checkScalar(const planpb::Slot &slot, const char *what);
  void checkRunState(const planpb::Slot &slot);
  void checkTask(const planpb::Segment &segment, int index);
  void checkFeed(const planpb::Feed &feed, const std::string &what);
  void checkCopy(const planpb::Copy &copy, const std::string &what);

  const planpb::Plan &plan;
  const Mesh &mesh;
  const planpb::Program &program;
  Faults &faults;
  uint64_t slots;
};

void PlacesCheck::checkArenas() {
  if (program.streams_size() == 0)
    faults.add("program {}: it has no stream", program.name());
  unsigned __int128 total = 0;
  for (int i = 0; i < program.arenas_size(); ++i) {
    const planpb::Arena &arena = program.arenas(i);
    total += arena.bytes();
    if (!std::has_single_bit(arena.alignment()) || arena.alignment() > kMostAlignment)
      faults.add("arena {}: alignment {} is not a power of two up to {}", i, arena.alignment(),
                 kMostAlignment);
  }
  // Addresses are 47 bits on the machines of today; more is a damaged number, not a plan.
  constexpr unsigned __int128 kMostTotal = uint64_t{1} << 47;
  uint64_t shown = static_cast<uint64_t>(std::min(total, kMostTotal));
  if (total > kMostTotal)
    faults.add("program {}: its arenas take more than {} bytes", program.name(), shown);
  else if (plan.memory_budget() != 0 && total > plan.memory_budget())
    faults.add("program {}: its arenas take {} bytes, the budget of a rank is {}; a smaller "
               "micro-batch, recomputation, a higher stage of ZeRO or more ranks take less",
               program.name(), shown, plan.memory_budget());
}

void PlacesCheck::checkSchedule() {
  for (int i = 0; i < program.schedule_size(); ++i) {
    const planpb::SegmentCall &call = program.schedule(i);
    if (call.segment() >= static_cast<uint32_t>(program.segments_size()))
      faults.add("schedule entry {}: segment {} of {} does not exist", i, call.segment(),
                 program.segments_size());
    if (call.micro_batch() >= plan.training().accumulation())
      faults.add("schedule entry {}: micro-batch {} of {} does not exist", i, call.micro_batch(),
                 plan.training().accumulation());
    if (call.slot() >= static_cast<uint32_t>(program.schedule_size()))
      faults.add("schedule entry {}: slot {} is more than the calls of a step", i, call.slot());
  }
}

void PlacesCheck::checkBuffer(const planpb::Buffer &buffer) {
  if (buffer.arena() >= static_cast<uint32_t>(program.arenas_size())) {
    faults.add("buffer {}: arena {} of {} does not exist", buffer.name(), buffer.arena(),
               program.arenas_size());
    return;
  }
  const planpb::Arena &arena = program.arenas(buffer.arena());
  uint32_t alignment = buffer.alignment();
  if (!std::has_single_bit(alignment) || alignment > arena.alignment())
    faults.add("buffer {}: alignment {} is not a power of two up to the {} of its arena",
               buffer.name(), alignment, arena.alignment());
  else if (buffer.offset() % alignment != 0 || buffer.slot_stride() % alignment != 0)
    faults.add("buffer {}: offset {} or slot stride {} is not a multiple of its alignment {}",
               buffer.name(), buffer.offset(), buffer.slot_stride(), alignment);
  bool hasSlots = buffer.lifetime() == planpb::SLOT;
  if (hasSlots ? slots > 1 && buffer.slot_stride() < buffer.bytes() : buffer.slot_stride() != 0)
    faults.add("buffer {}: slot stride {} does not fit its {} bytes and lifetime", buffer.name(),
               buffer.slot_stride(), buffer.bytes());
  unsigned __int128 end = static_cast<unsigned __int128>(buffer.offset()) + buffer.bytes() +
                          static_cast<unsigned __int128>(slots - 1) * buffer.slot_stride();
  if (end > arena.bytes())
    faults.add("buffer {}: {} bytes at offset {} do not lie in arena {} of {} bytes", buffer.name(),
               buffer.bytes(), buffer.offset(), buffer.arena(), arena.bytes());
  if (!buffer.constant().empty() &&
      (buffer.constant().size() != buffer.bytes() || buffer.lifetime() != planpb::PERSISTENT))
    faults.add("buffer {}: its constant has {} bytes; it must fill the buffer of {} bytes, which "
               "must be persistent",
               buffer.name(), buffer.constant().size(), buffer.bytes());
}

/// Rule 3 by a sweep over addresses: two buffers of which at least one is neither transient nor of
/// a step share no byte. Other pairs are left to the order of their uses.
void PlacesCheck::checkSharing() {
  struct Interval {
    uint32_t arena;
    uint64_t begin, end;
    const planpb::Buffer *buffer;
  };
  std::vector<Interval> intervals;
  for (const planpb::Buffer &buffer : program.buffers()) {
    uint64_t copies = buffer.lifetime() == planpb::SLOT ? slots : 1;
    for (uint64_t slot = 0; slot < copies && buffer.bytes() > 0; ++slot) {
      uint64_t begin = buffer.offset() + slot * buffer.slot_stride();
      intervals.push_back({buffer.arena(), begin, begin + buffer.bytes(), &buffer});
    }
  }
  std::sort(intervals.begin(), intervals.end(), [](const Interval &a, const Interval &b) {
    return std::tie(a.arena, a.begin) < std::tie(b.arena, b.begin);
  });
  const Interval *furthest = nullptr;        // of all so far
  const Interval *furthestLasting = nullptr; // of those that share with none
  for (const Interval &interval : intervals) {
    bool isLasting = interval.buffer->lifetime() != planpb::TRANSIENT &&
                     interval.buffer->lifetime() != planpb::STEP;
    const Interval *other = isLasting ? furthest : furthestLasting;
    if (other && other->arena == interval.arena && other->end > interval.begin)
      faults.add("buffers {} and {} share bytes {} to {} of arena {}, but one of them has "
                 "them for itself",
                 other->buffer->name(), interval.buffer->name(), interval.begin,
                 std::min(other->end, interval.end), interval.arena);
    auto isFurther = [&](const Interval *best) {
      return !best || best->arena != interval.arena || best->end < interval.end;
    };
    if (isFurther(furthest))
      furthest = &interval;
    if (isLasting && isFurther(furthestLasting))
      furthestLasting = &interval;
  }
}

void PlacesCheck::checkScalar(const planpb::Slot &slot, const char *what) {
  std::string name = fmt::format("{} {}", what, slot.name());
  if (!checkView(mesh, program, slot.view(), name, faults))
    return;
  planpb::DType dtype = slot.view().dtype();
  if (elementCount(slot.view().shape()) != 1u ||
      (dtype != planpb::F32 && dtype != planpb::F64 && dtype != planpb::I64))
    faults.add("{}: one number of type f32, f64 or i64 was expected", name);
}

void PlacesCheck::checkRunState(const planpb::Slot &slot) {
  std::string name = fmt::format("run state {}", slot.name());
  if (!checkView(mesh, program, slot.view(), name, faults))
    return;
  struct Known {
    const char *name;
    planpb::DType dtype;
    uint64_t elements;
  };
  static constexpr Known kKnown[] = {{"random_counter", planpb::I64, 3},
                                     {"learning_rate", planpb::F64, 1},
                                     {"update_step", planpb::I64, 1},
                                     {"part", planpb::I64, 1}};
  if (auto fault = mesh.faultOf(slot.axes()))
    faults.add("{}: {}", name, *fault);
  for (const Known &known : kKnown) {
    if (slot.name() != known.name)
      continue;
    if (slot.view().dtype() != known.dtype || byteSpan(slot.view()) != known.elements * 8 ||
        elementCount(slot.view().shape()) != known.elements)
      faults.add("{}: {} contiguous elements of type {} were expected", name, known.elements,
                 known.dtype == planpb::I64 ? "i64" : "f64");
    return;
  }
  faults.add("{}: unknown; random_counter, learning_rate, update_step and part are known", name);
}

void PlacesCheck::checkHostViews() {
  for (const planpb::Slot &slot : program.run_state())
    checkRunState(slot);
  for (const planpb::Slot &slot : program.metrics())
    checkScalar(slot, "metric");
}

void PlacesCheck::checkFeed(const planpb::Feed &feed, const std::string &what) {
  if (feed.input() >= static_cast<uint32_t>(plan.inputs_size())) {
    faults.add("{}: input {} of {} does not exist", what, feed.input(), plan.inputs_size());
    return;
  }
  const planpb::Input &input = plan.inputs(feed.input());
  if (!checkView(mesh, program, feed.view(), what, faults))
    return;
  checkWritten(program, feed.view(), what, faults);
  if (feed.view().dtype() != input.dtype() ||
      !std::equal(feed.view().shape().begin(), feed.view().shape().end(), input.shape().begin(),
                  input.shape().end()))
    faults.add("{}: type or shape differ from input {}", what, input.name());
}

void PlacesCheck::checkCopy(const planpb::Copy &copy, const std::string &what) {
  if (!checkView(mesh, program, copy.from(), what + ": from", faults) ||
      !checkView(mesh, program, copy.to(), what + ": to", faults))
    return;
  checkWritten(program, copy.to(), what + ": to", faults);
  if (copy.from().dtype() != copy.to().dtype() ||
      !std::equal(copy.from().shape().begin(), copy.from().shape().end(), copy.to().shape().begin(),
                  copy.to().shape().end()))
    faults.add("{}: type or shape of its two sides differ", what);
}

void PlacesCheck::checkTask(const planpb::Segment &segment, int index) {
  const planpb::Task &task = segment.tasks(index);
  std::string what = describeTask(segment, index);
  if (task.stream() >= static_cast<uint32_t>(program.streams_size()))
    faults.add("{}: stream {} of {} does not exist", what, task.stream(), program.streams_size());
  switch (task.kind_case()) {
  case planpb::Task::kLaunch: {
    const planpb::Launch &launch = task.launch();
    for (int i = 0; i < launch.inputs_size(); ++i)
      checkView(mesh, program, launch.inputs(i), fmt::format("{}: input {}", what, i), faults);
    for (int i = 0; i < launch.outputs_size(); ++i) {
      std::string name = fmt::format("{}: output {}", what, i);
      if (checkView(mesh, program, launch.outputs(i), name, faults))
        checkWritten(program, launch.outputs(i), name, faults);
    }
    if (launch.has_workspace())
      checkView(mesh, program, launch.workspace(), what + ": workspace", faults);
    return;
  }
  case planpb::Task::kRecord:
  case planpb::Task::kWait: {
    uint32_t event = task.kind_case() == planpb::Task::kRecord ? task.record() : task.wait();
    if (event >= program.events())
      faults.add("{}: event {} of {} does not exist", what, event, program.events());
    return;
  }
  case planpb::Task::kFeed:
    return checkFeed(task.feed(), what);
  case planpb::Task::kCopy:
    return checkCopy(task.copy(), what);
  case planpb::Task::kCollective:
    return checkCollective(mesh, program, task.collective(), what, faults);
  case planpb::Task::KIND_NOT_SET:
    faults.add("{}: of a kind that this ds-run does not know", what);
  }
}

} // namespace

bool checkView(const Mesh &mesh, const planpb::Program &program, const planpb::View &view,
               const std::string &what, Faults &faults) {
  if (view.buffer() >= static_cast<uint32_t>(program.buffers_size())) {
    faults.add("{}: buffer {} of {} does not exist", what, view.buffer(), program.buffers_size());
    return false;
  }
  const planpb::Buffer &buffer = program.buffers(view.buffer());
  std::optional<uint64_t> span = byteSpan(view);
  uint64_t width = elementBytes(view.dtype());
  if (!span || width == 0) {
    faults.add("{}: shape, strides or type of its view of buffer {} are not valid", what,
               buffer.name());
    return false;
  }
  bool isAligned = true;
  for (const planpb::AxisStride &stride : view.axis_strides()) {
    if (auto fault = mesh.faultOf(stride.axis())) {
      faults.add("{}: its view of buffer {}: {}", what, buffer.name(), *fault);
      return false;
    }
    isAligned &= stride.bytes() % width == 0;
  }
  std::optional<uint64_t> shift = mesh.largestShift(view);
  // Both below 2^63: the sum does not overflow.
  uint64_t reach = shift ? *span + *shift : 0;
  if (!shift || reach > buffer.bytes() || view.offset() > buffer.bytes() - reach) {
    faults.add("{}: {} bytes at offset {}{} do not lie in buffer {} of {} bytes", what, *span,
               view.offset(), shift == 0u ? "" : ", moved by the rank's coordinates,",
               buffer.name(), buffer.bytes());
    return false;
  }
  if (!isAligned || view.offset() % width != 0 || buffer.alignment() % width != 0) {
    faults.add("{}: offset {} in buffer {} (alignment {}) is not a multiple of the {} bytes of an "
               "element",
               what, view.offset(), buffer.name(), buffer.alignment(), width);
    return false;
  }
  return true;
}

void checkWritten(const planpb::Program &program, const planpb::View &view, const std::string &what,
                  Faults &faults) {
  for (int i = 0; i < view.shape_size(); ++i)
    if (view.strides(i) == 0 && view.shape(i) > 1)
      faults.add("{}: dimension {} repeats (stride 0), but it is written", what, i);
  const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
  if (!buffer.constant().empty())
    faults.add("{}: buffer {} is a constant, but it is written", what, buffer.name());
}

void checkPlaces(const planpb::Plan &plan, const Mesh &mesh, const planpb::Program &program,
                 Faults &faults) {
  PlacesCheck(plan, mesh, program, faults).run();
}

} // namespace deepshard::runtime
