//===- Serialize.cpp - the plan dialect becomes a plan file's content -------------------------===//

#include "passes/plan/Serialize.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/HostTensor.h"
#include "runtime/plan/Types.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include <filesystem>
#include <sys/stat.h>

using namespace mlir;

namespace deepshard {

std::string locationText(Location location) {
  std::string path, source;
  location->walk([&](Location part) {
    if (auto name = dyn_cast<NameLoc>(part); name && path.empty())
      path = name.getName().str();
    if (auto file = dyn_cast<FileLineColLoc>(part); file && source.empty())
      source = (file.getFilename().getValue() + ":" + Twine(file.getLine())).str();
    return WalkResult::advance();
  });
  if (source.empty())
    return path;
  return path.empty() ? source : path + " (" + source + ")";
}

namespace {

class Serializer {
public:
  Serializer(plan::ProgramOp program, planpb::Plan &plan)
      : program(program), plan(plan), out(*plan.add_programs()) {}

  LogicalResult run() {
    out.set_name(program.getName().str());
    for (auto stream : program.getStreams().getAsRange<StringAttr>())
      out.add_streams(stream.str());
    planpb::Arena &arena = *out.add_arenas();
    arena.set_space(planpb::DEVICE);
    arena.set_bytes(program.getArenaBytes().value_or(0));
    arena.set_max_live_bytes(program.getMaxLiveBytes().value_or(0));
    arena.set_alignment(4096);
    for (auto buffer : program.getBody().getOps<plan::BufferOp>())
      if (failed(addBuffer(buffer)))
        return failure();
    for (auto segment : program.getBody().getOps<plan::SegmentOp>())
      addSegment(segment);
    for (Operation &op : program.getBody().getOps())
      if (failed(addTableEntry(&op)))
        return failure();
    addFlops();
    return success();
  }

private:
  LogicalResult addBuffer(plan::BufferOp buffer) {
    if (!buffer.getOffset())
      return buffer.emitOpError("has no offset; run pack-buffers first");
    indices[buffer] = out.buffers_size();
    planpb::Buffer &result = *out.add_buffers();
    result.set_name(buffer.getName().str());
    result.set_bytes(buffer.getBytes());
    result.set_alignment(buffer.getAlign());
    result.set_lifetime(static_cast<planpb::Lifetime>(buffer.getLifetime()));
    result.set_offset(*buffer.getOffset());
    if (auto constant = dyn_cast_or_null<DenseElementsAttr>(buffer.getConstantAttr())) {
      ArrayRef<char> raw = constant.getRawData();
      if (constant.isSplat())
        result.set_constant(std::string(buffer.getBytes(), raw.front()));
      else
        result.set_constant(raw.data(), raw.size());
    }
    return success();
  }

  planpb::View view(Value value) {
    auto op = value.getDefiningOp<plan::ViewOp>();
    plan::ViewType type = op.getType();
    planpb::View result;
    result.set_buffer(indices.lookup(op.getBuffer().getDefiningOp()));
    result.set_offset(op.getOffset());
    result.set_dtype(runtime::schemaType(graph::toDType(type.getElementType())));
    result.mutable_shape()->Add(type.getShape().begin(), type.getShape().end());
    result.mutable_strides()->Add(type.getStrides().begin(), type.getStrides().end());
    return result;
  }

  void addSegment(plan::SegmentOp segment) {
    segments[segment.getName()] = out.segments_size();
    planpb::Segment &result = *out.add_segments();
    result.set_name(segment.getName().str());
    for (Operation &op : segment.getBody().getOps()) {
      if (isa<plan::ViewOp>(op))
        continue;
      planpb::Task &task = *result.add_tasks();
      task.set_location(locationText(op.getLoc()));
      llvm::TypeSwitch<Operation *>(&op)
          .Case([&](plan::LaunchOp launch) { fill(launch, task); })
          .Case([&](plan::FeedOp feed) { fill(feed, task); })
          .Case([&](plan::RecordOp record) {
            task.set_stream(record.getStream());
            task.set_record(record.getEvent());
            out.set_events(std::max<uint32_t>(out.events(), record.getEvent() + 1));
          })
          .Case([&](plan::WaitOp wait) {
            task.set_stream(wait.getStream());
            task.set_wait(wait.getEvent());
          });
    }
  }

  void fill(plan::LaunchOp op, planpb::Task &task) {
    task.set_stream(op.getStream());
    task.set_phase(op.getPhase().str());
    planpb::Launch &launch = *task.mutable_launch();
    launch.set_provider(op.getProvider().str());
    launch.set_kernel(op.getKernel().str());
    for (Value input : op.getInputs())
      *launch.add_inputs() = view(input);
    for (Value output : op.getOutputs())
      *launch.add_outputs() = view(output);
    if (Value workspace = op.getWorkspace())
      *launch.mutable_workspace() = view(workspace);
    runtime::Attributes attributes = graph::toKernelAttributes(op.getKernelAttributes());
    for (auto &[name, value] : attributes.all())
      (*launch.mutable_attributes())[name] = attribute(value);
    launch.set_flops(op.getFlops());
  }

  static planpb::Attribute attribute(const runtime::AttributeValue &value) {
    planpb::Attribute result;
    if (auto *integer = std::get_if<int64_t>(&value))
      result.set_integer(*integer);
    else if (auto *number = std::get_if<double>(&value))
      result.set_number(*number);
    else if (auto *flag = std::get_if<bool>(&value))
      result.set_flag(*flag);
    else if (auto *text = std::get_if<std::string>(&value))
      result.set_text(*text);
    else if (auto *integers = std::get_if<std::vector<int64_t>>(&value))
      result.mutable_integers()->mutable_values()->Add(integers->begin(), integers->end());
    else if (auto *numbers = std::get_if<std::vector<double>>(&value))
      result.mutable_numbers()->mutable_values()->Add(numbers->begin(), numbers->end());
    return result;
  }

  void fill(plan::FeedOp op, planpb::Task &task) {
    task.set_stream(op.getStream());
    auto [it, inserted] = inputs.try_emplace(op.getInput(), plan.inputs_size());
    *task.mutable_feed()->mutable_view() = view(op.getView());
    task.mutable_feed()->set_input(it->second);
    if (!inserted)
      return;
    planpb::Input &input = *plan.add_inputs();
    input.set_name(op.getInput().str());
    input.set_dtype(task.feed().view().dtype());
    *input.mutable_shape() = task.feed().view().shape();
    input.set_batch_dimension(op.getBatchDimension());
    if (std::optional<uint64_t> bound = op.getIndexBound())
      input.set_index_bound(*bound);
  }

  LogicalResult addTableEntry(Operation *op) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](plan::ScheduleOp schedule) {
          for (auto call : schedule.getCalls().getAsRange<plan::CallAttr>()) {
            planpb::SegmentCall &result = *out.add_schedule();
            result.set_segment(segments.lookup(call.getSegment().getValue()));
            result.set_micro_batch(call.getMicroBatch());
            result.set_slot(call.getSlot());
          }
          return success();
        })
        .Case([&](plan::RunStateOp op) {
          return addSlot(*out.add_run_state(), op.getName(), op.getView());
        })
        .Case([&](plan::MetricOp op) {
          return addSlot(*out.add_metrics(), op.getName(), op.getView());
        })
        .Case([&](plan::OptimizerStateOp op) {
          return addSlot(*out.add_optimizer_state(), op.getName(), op.getView());
        })
        .Case([&](plan::ParameterOp op) { return addParameter(op); })
        .Default([](Operation *) { return success(); });
  }

  LogicalResult addSlot(planpb::Slot &slot, StringRef name, Value place) {
    slot.set_name(name.str());
    *slot.mutable_view() = view(place);
    return success();
  }

  LogicalResult addParameter(plan::ParameterOp op) {
    planpb::Parameter &parameter = *plan.add_parameters();
    parameter.set_name(op.getName().str());
    for (auto alias : op.getAliases().getAsRange<StringAttr>())
      parameter.add_aliases(alias.str());
    *parameter.mutable_view() = view(op.getView());
    parameter.set_dtype(parameter.view().dtype());
    *parameter.mutable_shape() = parameter.view().shape();
    parameter.set_trainable(op.getTrainable());
    parameter.set_file(-1);
    auto storage = dyn_cast_or_null<graph::StorageAttr>(op.getStorageAttr());
    if (!storage)
      return success();
    FailureOr<int32_t> file = fileIndex(op, storage.getFile().str());
    if (failed(file))
      return failure();
    parameter.set_file(*file);
    parameter.set_file_offset(storage.getOffset());
    parameter.set_file_dtype(runtime::schemaType(graph::toDType(storage.getElementType())));
    ArrayRef<int64_t> strides = storage.getStrides().asArrayRef();
    parameter.mutable_file_strides()->Add(strides.begin(), strides.end());
    return success();
  }

  FailureOr<int32_t> fileIndex(Operation *op, const std::string &path) {
    auto [it, inserted] = files.try_emplace(path, plan.files_size());
    if (!inserted)
      return it->second;
    struct stat status;
    if (stat(path.c_str(), &status) != 0)
      return op->emitOpError() << "has its initial value in " << path << ", which cannot be read";
    planpb::DataFile &file = *plan.add_files();
    file.set_path(std::filesystem::absolute(path).string());
    file.set_bytes(status.st_size);
    file.set_modified_ns(status.st_mtim.tv_sec * uint64_t(1'000'000'000) + status.st_mtim.tv_nsec);
    return it->second;
  }

  void addFlops() {
    uint64_t flops = plan.flops_per_step();
    for (const planpb::SegmentCall &call : out.schedule())
      for (const planpb::Task &task : out.segments(call.segment()).tasks())
        flops += task.launch().flops();
    plan.set_flops_per_step(flops);
  }

  plan::ProgramOp program;
  planpb::Plan &plan;
  planpb::Program &out;
  llvm::DenseMap<Operation *, uint32_t> indices;
  llvm::StringMap<uint32_t> segments;
  llvm::StringMap<uint32_t> inputs;
  llvm::StringMap<int32_t> files;
};

} // namespace

LogicalResult serialize(plan::ProgramOp program, planpb::Plan &plan) {
  return Serializer(program, plan).run();
}

} // namespace deepshard
